/* SPDX-License-Identifier: Apache-2.0 */
#include <unistd.h>

#include "client/src/call.h"

static void close_fds(const hlbuf_client* client) {
  if (client->poll_fd >= 0) close(client->poll_fd);
  if (client->reconnect.timer_fd >= 0) close(client->reconnect.timer_fd);
  if (client->wake_fd >= 0) close(client->wake_fd);
  if (client->socket >= 0) close(client->socket);
}

static void forget_revocations(hlbuf_client* client) {
  for (hlbuf_buffer *b = client->notices.first_revoked, *next; b != NULL; b = next) {
    next = b->next_revoked;
    hlbuf_buffer_unref(b);
  }
  client->notices.first_revoked = client->notices.last_revoked = NULL;
}

/* Before the socket, so that the leases do not end before their descriptors. */
static void close_buffers(hlbuf_client* client) {
  for (hlbuf_buffer* b; (b = hlbuf_leases_pop(&client->leases)) != NULL;) {
    b->leased = false;
    atomic_store(&b->revoked, true);
    hlbuf_epoch_end(b);
    const int fd = atomic_exchange(&b->fd, -1);
    if (fd >= 0) close(fd);
  }
}

void hlbuf_client_close(hlbuf_client* client) {
  if (client == NULL) return;
  if (hlbuf_is_forked(client)) {
    /* The memory stays: buffers of the child's own copy still look at it. */
    close_fds(client);
    return;
  }
  hlbuf_thread_stop(client);
  pthread_mutex_lock(&client->lock);
  client->gone = true;
  close_buffers(client);
  forget_revocations(client);
  hlbuf_outbox_clear(&client->outbox);
  hlbuf_repeats_forget(client);
  hlbuf_reattach_forget(client);
  close_fds(client);
  hlbuf_client_unlock_unref(client);
}
