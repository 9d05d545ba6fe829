/* SPDX-License-Identifier: Apache-2.0
 *
 * Every frame goes out here. A socket has room although the kernel has no memory for a packet:
 * poll() for room would return at once, for as long as that lasts. Nothing tells when there is
 * memory again, so who has something to send looks again after a pause. */
#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "client/src/call.h"

static enum hlbuf_sent judge(hlbuf_client* client, ssize_t sent) {
  client->memory_retry_at = 0;
  if (sent >= 0) return HLBUF_SENT;
  if (errno == ENOBUFS || errno == ENOMEM)
    client->memory_retry_at = hlbuf_now() + HLBUF_SEND_PAUSE_NS;
  else if (errno != EAGAIN)
    return HLBUF_SENT_NEVER;
  return HLBUF_SENT_LATER;
}

enum hlbuf_sent hlbuf_send(hlbuf_client* client, const void* frame, size_t frame_bytes) {
  ssize_t sent;
  do sent = send(client->socket, frame, frame_bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
  return judge(client, sent);
}

enum hlbuf_sent hlbuf_send_parts(hlbuf_client* client, struct iovec* parts, size_t count) {
  const struct msghdr message = {.msg_iov = parts, .msg_iovlen = count};
  ssize_t sent;
  do sent = sendmsg(client->socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
  return judge(client, sent);
}

static bool has_unsent(const hlbuf_client* client) {
  const struct hlbuf_reconnect* r = &client->reconnect;
  if (r->link == HLBUF_LINK_REATTACHING) return !r->all_sent;
  return r->repeats != NULL || !hlbuf_outbox_is_empty(&client->outbox);
}

void hlbuf_send_left(hlbuf_client* client) {
  hlbuf_poll_update(client);
  hlbuf_notices_announce(client);
}

bool hlbuf_wants_room(const hlbuf_client* client) {
  return client->memory_retry_at == 0 && has_unsent(client);
}

int64_t hlbuf_send_next(const hlbuf_client* client) {
  return client->memory_retry_at != 0 && has_unsent(client) ? client->memory_retry_at : HLBUF_NEVER;
}
