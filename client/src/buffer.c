/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <unistd.h>

#include "client/src/client.h"

hlbuf_buffer* hlbuf_buffer_new(hlbuf_client* client, int fd, const struct hlbuf_grant* grant) {
  hlbuf_buffer* buffer = malloc(sizeof(*buffer));
  if (buffer == NULL) {
    close(fd);
    return NULL;
  }
  *buffer = (hlbuf_buffer){.client = client,
                           .buffer_id = grant->buffer_id,
                           .lease_id = grant->lease_id,
                           .size_bytes = grant->size_bytes,
                           .epoch = grant->epoch,
                           .epoch_slot = grant->epoch_slot,
                           .references = 1,
                           .leased = true};
  atomic_init(&buffer->context, NULL);
  atomic_init(&buffer->fd, fd);
  atomic_init(&buffer->revoked, false);
  atomic_init(&buffer->own_word, grant->buffer_id);
  hlbuf_epoch_look(buffer);
  hlbuf_leases_insert(&client->leases, buffer);
  ++client->references;
  return buffer;
}

void hlbuf_buffer_unref(hlbuf_buffer* buffer) {
  if (--buffer->references > 0) return;
  --buffer->client->references;
  free(buffer);
}

int hlbuf_buffer_detach(hlbuf_buffer* buffer) {
  if (buffer->leased) {
    buffer->leased = false;
    hlbuf_leases_remove(&buffer->client->leases, buffer);
  }
  return atomic_exchange(&buffer->fd, -1);
}

void hlbuf_client_unlock_unref(hlbuf_client* client) {
  const bool last = --client->references == 0;
  pthread_mutex_unlock(&client->lock);
  if (!last) return;
  hlbuf_leases_destroy(&client->leases);
  hlbuf_epoch_page_destroy(&client->page);
  pthread_cond_destroy(&client->noticed);
  pthread_mutex_destroy(&client->lock);
  free(client);
}

void hlbuf_parting_add(struct hlbuf_parting* parting, hlbuf_buffer* buffer) {
  if (!buffer->leased) return;
  parting->leases[parting->count] = buffer->lease_id;
  parting->fds[parting->count] = hlbuf_buffer_detach(buffer);
  ++parting->count;
}

void hlbuf_parting_finish(struct hlbuf_parting* parting, hlbuf_client* client) {
  if (parting->count == 0) return;
  pthread_mutex_unlock(&client->lock);
  for (size_t i = 0; i < parting->count; ++i)
    if (parting->fds[i] >= 0) close(parting->fds[i]);
  pthread_mutex_lock(&client->lock);
  hlbuf_outbox_release(client, parting->leases, parting->count);
  parting->count = 0;
}

/* The record is the child's own copy, and so is the descriptor; the rest is the parent's. */
static void release_in_child(hlbuf_buffer* buffer) {
  const int fd = atomic_load(&buffer->fd);
  if (fd >= 0) close(fd);
  free(buffer);
}

/* A run of buffers of one client. */
static size_t release_some(hlbuf_buffer* const* buffers, size_t count) {
  hlbuf_client* client = buffers[0]->client;
  struct hlbuf_parting parting;
  parting.count = 0;
  size_t n = 0;
  pthread_mutex_lock(&client->lock);
  /* Keeps the client while its last buffers go. */
  ++client->references;
  for (; n < count && parting.count < HLBUF_PARTING_MAX; ++n) {
    if (buffers[n] == NULL) continue;
    if (buffers[n]->client != client) break;
    hlbuf_parting_add(&parting, buffers[n]);
    hlbuf_buffer_unref(buffers[n]);
  }
  hlbuf_parting_finish(&parting, client);
  hlbuf_client_unlock_unref(client);
  return n;
}

void hlbuf_buffers_release(hlbuf_buffer* const* buffers, size_t count) {
  for (size_t i = 0; i < count;) {
    if (buffers[i] == NULL) {
      ++i;
    } else if (hlbuf_is_forked(buffers[i]->client)) {
      release_in_child(buffers[i++]);
    } else {
      i += release_some(buffers + i, count - i);
    }
  }
}

void hlbuf_buffer_release(hlbuf_buffer* buffer) { hlbuf_buffers_release(&buffer, 1); }

int hlbuf_buffer_fd(const hlbuf_buffer* buffer) { return atomic_load(&buffer->fd); }

int hlbuf_buffer_take_fd(hlbuf_buffer* buffer) { return atomic_exchange(&buffer->fd, -1); }

uint64_t hlbuf_buffer_id(const hlbuf_buffer* buffer) { return buffer->buffer_id; }

uint64_t hlbuf_buffer_lease_id(const hlbuf_buffer* buffer) { return buffer->lease_id; }

uint64_t hlbuf_buffer_size_bytes(const hlbuf_buffer* buffer) { return buffer->size_bytes; }

uint64_t hlbuf_buffer_epoch(const hlbuf_buffer* buffer) { return buffer->epoch; }

bool hlbuf_buffer_is_revoked(const hlbuf_buffer* buffer) {
  return atomic_load_explicit(&buffer->revoked, memory_order_acquire);
}

void hlbuf_buffer_set_context(hlbuf_buffer* buffer, void* context) {
  atomic_store(&buffer->context, context);
}

void* hlbuf_buffer_context(const hlbuf_buffer* buffer) { return atomic_load(&buffer->context); }
