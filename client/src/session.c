/* SPDX-License-Identifier: Apache-2.0 */
#include "client/src/call.h"
#include "client/src/errors.h"
#include "client/src/grants.h"

#include <string.h>
#include <sys/socket.h>

int hlbuf_fail_gone(const hlbuf_client* client, hlbuf_error* error) {
  return hlbuf_fail(error, HLBUF_E_SERVICE_GONE, "the session is over (%s): %s",
                    hlbuf_goodbye_reason_name(client->goodbye_reason), client->goodbye_text);
}

void hlbuf_session_break(hlbuf_client* client) { (void)shutdown(client->socket, SHUT_RDWR); }

/* Descriptors in an unread packet keep their buffers alive for as long as the socket is open, and
 * it stays open because programs poll it. */
static void drain(hlbuf_client* client) {
  hlbuf_session_break(client);
  hlbuf_packet_close_fds(&client->packet);
  while (hlbuf_packet_receive(client->socket, &client->packet, MSG_DONTWAIT) ==
         HLBUF_RECEIVED_PACKET)
    hlbuf_packet_close_fds(&client->packet);
}

void hlbuf_session_end(hlbuf_client* client, uint32_t reason, uint32_t leases_kept,
                       const char* text) {
  if (client->gone) return;
  client->gone = true;
  client->goodbye_reason = reason;
  client->goodbye_leases_kept = leases_kept;
  hlbuf_copy_text(client->goodbye_text, sizeof(client->goodbye_text), text, strlen(text));
  drain(client);
  hlbuf_outbox_clear(&client->outbox);
  hlbuf_repeats_forget(client);
  hlbuf_reattach_forget(client);
  while (client->calls != NULL) {
    struct hlbuf_call* call = client->calls;
    const int code = reason == HLBUF_GOODBYE_BAD_REPLY
                         ? hlbuf_fail(call->error, HLBUF_E_BAD_REPLY, "%s", client->goodbye_text)
                         : hlbuf_fail_gone(client, call->error);
    hlbuf_call_finish(client, call, code);
  }
  hlbuf_notices_revoke_all(client);
  hlbuf_poll_update(client);
  client->notices.goodbye = true;
  hlbuf_notices_announce(client);
}

static void breach(hlbuf_client* client, const char* what) {
  hlbuf_session_end(client, HLBUF_GOODBYE_BAD_REPLY, 0, what);
}

/* False when it is no ERROR that a daemon may send. */
static bool take_error(hlbuf_client* client, struct hlbuf_call* call) {
  uint32_t status;
  struct hlbuf_span text;
  if (!hlbuf_take_refusal(client, &status, &text)) return false;
  if (call == NULL) return true;
  hlbuf_set_refusal(call->error, status, text);
  hlbuf_call_finish(client, call, (int)status);
  return true;
}

static void take_answer(hlbuf_client* client, const struct hlbuf_wire_header* header) {
  struct hlbuf_call* call = hlbuf_call_find(client, header->cookie);
  if (header->cookie == 0 || header->cookie > client->last_cookie) {
    breach(client, "the daemon answered a request that was never made");
  } else if (header->opcode == HLBUF_WIRE_ERROR) {
    if (!take_error(client, call)) breach(client, "the daemon sent a broken ERROR");
  } else if (call == NULL) {
    if (!hlbuf_grants_discard(client, header->opcode))
      breach(client, "the daemon sent a broken answer");
  } else if (header->opcode != call->reply || call->take(call, client) != HLBUF_TOOK) {
    breach(client, "the daemon sent an answer that does not fit its request");
  } else {
    hlbuf_call_finish(client, call, call->code);
  }
}

static bool is_answer(uint16_t opcode) {
  return (opcode >= HLBUF_WIRE_REPLY && opcode < HLBUF_WIRE_REVOKE) || opcode == HLBUF_WIRE_ERROR;
}

static bool is_notice(uint16_t opcode) {
  return opcode >= HLBUF_WIRE_REVOKE && opcode < HLBUF_WIRE_ERROR;
}

static bool has_stray_fds(const struct hlbuf_packet* packet, uint16_t opcode) {
  return opcode != HLBUF_WIRE_ALLOCATED && opcode != HLBUF_WIRE_OPENED &&
         opcode != HLBUF_WIRE_WELCOME && opcode != HLBUF_WIRE_REATTACHED &&
         (packet->fd_count > 0 || packet->fds_cut);
}

void hlbuf_session_take(hlbuf_client* client) {
  struct hlbuf_wire_header header;
  if (!hlbuf_packet_header(&client->packet, &header)) {
    breach(client, "the daemon sent a frame whose sizes do not add up");
  } else if (has_stray_fds(&client->packet, header.opcode)) {
    breach(client, "the daemon sent descriptors with a frame that carries none");
  } else if (is_answer(header.opcode) && client->reconnect.link == HLBUF_LINK_REATTACHING) {
    if (!hlbuf_reattach_take(client, &header))
      breach(client, "the daemon sent a broken answer to REATTACH, or another one before it");
  } else if (is_answer(header.opcode)) {
    take_answer(client, &header);
  } else if (is_notice(header.opcode) && header.cookie == 0) {
    if (!hlbuf_notices_take(client, header.opcode))
      breach(client, "the daemon sent a broken notice");
  } else {
    breach(client, "the daemon sent something that only a client may send");
  }
  hlbuf_packet_close_fds(&client->packet);
  hlbuf_outbox_flush(client);
}
