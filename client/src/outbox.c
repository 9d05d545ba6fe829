/* SPDX-License-Identifier: Apache-2.0 */
#include "client/src/outbox.h"

#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "client/src/client.h"

static enum hlbuf_sent send_release(hlbuf_client* client, const uint64_t* leases, size_t count) {
  const size_t array_bytes = count * sizeof(*leases);
  struct hlbuf_wire_release frame = {
      .header = {.frame_bytes = (uint32_t)(sizeof(frame) + array_bytes),
                 .opcode = HLBUF_WIRE_RELEASE,
                 .fixed_bytes = sizeof(frame)},
      .lease_count = (uint32_t)count};
  struct iovec parts[2] = {{.iov_base = &frame, .iov_len = sizeof(frame)},
                           {.iov_base = (void*)leases, .iov_len = array_bytes}};
  return hlbuf_send_parts(client, parts, 2);
}

static enum hlbuf_sent send_pong(hlbuf_client* client, uint64_t nonce) {
  struct hlbuf_wire_ping frame = {.header = {.frame_bytes = sizeof(frame),
                                             .opcode = HLBUF_WIRE_PONG,
                                             .fixed_bytes = sizeof(frame)},
                                  .nonce = nonce};
  struct iovec part = {.iov_base = &frame, .iov_len = sizeof(frame)};
  return hlbuf_send_parts(client, &part, 1);
}

static bool reserve(struct hlbuf_outbox* outbox, size_t more) {
  if (more <= outbox->capacity - outbox->count) return true;
  const size_t capacity = outbox->capacity * 2 + more;
  uint64_t* leases = realloc(outbox->leases, capacity * sizeof(*leases));
  if (leases == NULL) return false;
  outbox->leases = leases;
  outbox->capacity = capacity;
  return true;
}

static void keep(hlbuf_client* client, const uint64_t* leases, size_t count) {
  struct hlbuf_outbox* outbox = &client->outbox;
  if (!reserve(outbox, count)) {
    hlbuf_session_break(client);
    return;
  }
  memcpy(outbox->leases + outbox->count, leases, count * sizeof(*leases));
  outbox->count += count;
  hlbuf_send_left(client);
}

void hlbuf_outbox_release(hlbuf_client* client, const uint64_t* leases, size_t count) {
  if (client->gone || count == 0) return;
  /* REATTACH will not name them. */
  if (client->reconnect.link == HLBUF_LINK_DOWN) return;
  if (hlbuf_is_up(client) && hlbuf_outbox_is_empty(&client->outbox)) {
    while (count > 0) {
      const size_t n = count < HLBUF_WIRE_LEASES_MAX ? count : HLBUF_WIRE_LEASES_MAX;
      const enum hlbuf_sent sent = send_release(client, leases, n);
      /* A lost connection ends the leases; the reader finds it. */
      if (sent == HLBUF_SENT_NEVER) return;
      if (sent == HLBUF_SENT_LATER) break;
      leases += n;
      count -= n;
    }
  }
  if (count > 0) keep(client, leases, count);
}

void hlbuf_outbox_pong(hlbuf_client* client, uint64_t nonce) {
  client->outbox.pong = true;
  client->outbox.nonce = nonce;
  hlbuf_outbox_flush(client);
  if (client->outbox.pong) hlbuf_send_left(client);
}

void hlbuf_outbox_flush(hlbuf_client* client) {
  struct hlbuf_outbox* outbox = &client->outbox;
  if (!hlbuf_is_up(client)) return;
  hlbuf_repeats_send(client);
  if (hlbuf_outbox_is_empty(outbox)) return;
  if (outbox->pong && send_pong(client, outbox->nonce) != HLBUF_SENT_LATER) outbox->pong = false;
  while (outbox->count > 0) {
    const size_t n = outbox->count < HLBUF_WIRE_LEASES_MAX ? outbox->count : HLBUF_WIRE_LEASES_MAX;
    if (send_release(client, outbox->leases + outbox->count - n, n) == HLBUF_SENT_LATER) break;
    outbox->count -= n;
  }
  hlbuf_poll_update(client);
}

bool hlbuf_outbox_is_empty(const struct hlbuf_outbox* outbox) {
  return outbox->count == 0 && !outbox->pong;
}

void hlbuf_outbox_clear(struct hlbuf_outbox* outbox) {
  free(outbox->leases);
  *outbox = (struct hlbuf_outbox){0};
}
