/* SPDX-License-Identifier: Apache-2.0
 *
 * Only ALLOCATE makes something that a second one would make again. */
#include <stdlib.h>
#include <string.h>

#include "client/src/call.h"

struct hlbuf_repeat {
  struct hlbuf_repeat* next;
  size_t bytes;
  uint8_t frame[];
};

static bool creates(const struct hlbuf_call* call) {
  struct hlbuf_wire_header header;
  memcpy(&header, call->frame, sizeof(header));
  return header.opcode == HLBUF_WIRE_ALLOCATE;
}

bool hlbuf_repeat_promise(struct hlbuf_call* call) {
  if (!creates(call)) return false;
  if (call->promised != NULL) return true;
  call->promised = malloc(sizeof(*call->promised) + call->frame_bytes);
  if (call->promised == NULL) return false;
  call->promised->bytes = call->frame_bytes;
  memcpy(call->promised->frame, call->frame, call->frame_bytes);
  return true;
}

void hlbuf_repeat_leave(hlbuf_client* client, struct hlbuf_call* call) {
  struct hlbuf_repeat* repeat = call->promised;
  call->promised = NULL;
  if (repeat == NULL) return;
  /* Without a connection nothing was promised yet that the next REATTACH would not take back. */
  if (call->sent || client->reconnect.link == HLBUF_LINK_DOWN) {
    free(repeat);
    return;
  }
  repeat->next = client->reconnect.repeats;
  client->reconnect.repeats = repeat;
  hlbuf_send_left(client);
}

void hlbuf_repeats_send(hlbuf_client* client) {
  if (!hlbuf_is_up(client) || client->reconnect.repeats == NULL) return;
  enum hlbuf_sent sent = HLBUF_SENT;
  struct hlbuf_repeat* repeat;
  while ((repeat = client->reconnect.repeats) != NULL &&
         (sent = hlbuf_send(client, repeat->frame, repeat->bytes)) == HLBUF_SENT) {
    client->reconnect.repeats = repeat->next;
    free(repeat);
  }
  /* A connection that does not take it is given up, and the next REATTACH takes the promise back;
   * the reader finds that. */
  if (sent == HLBUF_SENT_NEVER) hlbuf_session_break(client);
  hlbuf_poll_update(client);
}

void hlbuf_repeats_forget(hlbuf_client* client) {
  for (struct hlbuf_repeat *r = client->reconnect.repeats, *next; r != NULL; r = next) {
    next = r->next;
    free(r);
  }
  client->reconnect.repeats = NULL;
}
