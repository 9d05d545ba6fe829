/* SPDX-License-Identifier: Apache-2.0
 *
 * REATTACH: what the session has, in as many parts as it takes. It is complete and taken at one
 * moment: what the program gives back later is sent behind it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "client/src/call.h"
#include "client/src/errors.h"
#include "client/src/grants.h"

static size_t count_calls(const hlbuf_client* client) {
  size_t count = 0;
  for (const struct hlbuf_call* call = client->calls; call != NULL; call = call->next) ++count;
  return count < HLBUF_WIRE_COOKIES_MAX ? count : HLBUF_WIRE_COOKIES_MAX;
}

static void list_leases(hlbuf_client* client) {
  struct hlbuf_reconnect* r = &client->reconnect;
  r->lease_count = 0;
  for (size_t i = 0; i < (size_t)1 << client->leases.bucket_bits; ++i)
    for (hlbuf_buffer* b = client->leases.buckets[i]; b != NULL; b = b->next_in_bucket)
      r->ids[r->lease_count++] = b->lease_id;
}

static void list_cookies(hlbuf_client* client, size_t most) {
  struct hlbuf_reconnect* r = &client->reconnect;
  r->cookie_count = 0;
  for (struct hlbuf_call* call = client->calls; call != NULL && r->cookie_count < most;
       call = call->next)
    if (hlbuf_repeat_promise(call)) r->ids[r->lease_count + r->cookie_count++] = call->cookie;
}

bool hlbuf_reattach_begin(hlbuf_client* client) {
  struct hlbuf_reconnect* r = &client->reconnect;
  const size_t cookies = count_calls(client);
  hlbuf_reattach_forget(client);
  r->ids = malloc((client->leases.count + cookies + 1) * sizeof(*r->ids));
  if (r->ids == NULL) return false;
  list_leases(client);
  list_cookies(client, cookies);
  r->sent = 0;
  r->all_sent = false;
  r->cookie = ++client->last_cookie;
  return true;
}

void hlbuf_reattach_forget(hlbuf_client* client) {
  free(client->reconnect.ids);
  client->reconnect.ids = NULL;
}

/* The next leases, or else the next cookies: a part with both would save nothing. */
static size_t next_part(const struct hlbuf_reconnect* r, struct hlbuf_wire_reattach* frame) {
  const size_t all = r->lease_count + r->cookie_count;
  const bool leases = r->sent < r->lease_count;
  size_t count = (leases ? r->lease_count : all) - r->sent;
  if (count > HLBUF_WIRE_LEASES_MAX) count = HLBUF_WIRE_LEASES_MAX;
  *(leases ? &frame->lease_count : &frame->cookie_count) = (uint32_t)count;
  if (r->sent + count < all) frame->flags = HLBUF_WIRE_REATTACH_MORE;
  return count;
}

static bool send_part(hlbuf_client* client, const struct hlbuf_wire_reattach* frame, size_t count) {
  struct hlbuf_reconnect* r = &client->reconnect;
  struct iovec parts[3] = {{.iov_base = (void*)frame, .iov_len = sizeof(*frame)},
                           {.iov_base = r->ids + r->sent, .iov_len = count * sizeof(*r->ids)},
                           {.iov_base = r->name, .iov_len = r->name_bytes}};
  return hlbuf_send_parts(client, parts, 3) == HLBUF_SENT;
}

void hlbuf_reattach_send(hlbuf_client* client) {
  struct hlbuf_reconnect* r = &client->reconnect;
  if (r->link != HLBUF_LINK_REATTACHING) return;
  while (!r->all_sent) {
    struct hlbuf_wire_reattach frame = {
        .version = HLBUF_WIRE_VERSION,
        .client_bytes = (uint32_t)r->name_bytes,
        .features = HLBUF_WIRE_FEATURE_REATTACH | HLBUF_WIRE_FEATURE_EPOCH_PAGE,
        .session_id = client->session_id};
    memcpy(frame.secret, r->secret, sizeof(frame.secret));
    const size_t count = next_part(r, &frame);
    frame.header = (struct hlbuf_wire_header){
        .frame_bytes = (uint32_t)(sizeof(frame) + count * sizeof(*r->ids) + r->name_bytes),
        .opcode = HLBUF_WIRE_REATTACH,
        .fixed_bytes = sizeof(frame),
        .cookie = r->cookie};
    /* Later, or lost: the reader finds out which. */
    if (!send_part(client, &frame, count)) break;
    r->sent += count;
    r->all_sent = frame.flags == 0;
  }
  hlbuf_poll_update(client);
}

void hlbuf_welcome_take(hlbuf_client* client, const struct hlbuf_wire_welcome* frame) {
  const uint32_t most =
      frame->batch_max < HLBUF_WIRE_BATCH_MAX ? frame->batch_max : HLBUF_WIRE_BATCH_MAX;
  atomic_store_explicit(&client->batch_max, most, memory_order_relaxed);
  uint8_t any = 0;
  for (size_t i = 0; i < sizeof(frame->secret); ++i) any |= frame->secret[i];
  memcpy(client->reconnect.secret, frame->secret, sizeof(frame->secret));
  client->reconnect.has_secret = (frame->features & HLBUF_WIRE_FEATURE_REATTACH) != 0 && any != 0;
}

static bool take_reattached(hlbuf_client* client) {
  struct hlbuf_wire_welcome frame;
  if (!hlbuf_packet_fixed(&client->packet, &frame, sizeof(frame)) ||
      frame.version != HLBUF_WIRE_VERSION || frame.batch_max == 0 ||
      frame.session_id != client->session_id || !hlbuf_epoch_page_take(client, &frame))
    return false;
  hlbuf_welcome_take(client, &frame);
  hlbuf_connection_up(client);
  return true;
}

static bool take_refusal(hlbuf_client* client) {
  uint32_t status;
  struct hlbuf_span text;
  if (!hlbuf_take_refusal(client, &status, &text)) return false;
  /* Not now is not no. */
  if (status == HLBUF_WIRE_BUSY || status == HLBUF_WIRE_SHUTTING_DOWN) {
    hlbuf_session_break(client);
    return true;
  }
  char reason[128], words[HLBUF_ERROR_TEXT_BYTES];
  hlbuf_copy_text(reason, sizeof(reason), text.bytes, text.count);
  (void)snprintf(words, sizeof(words), "the service came back without this session: %s: %s",
                 hlbuf_error_name((int)status), reason);
  hlbuf_session_end(client, HLBUF_GOODBYE_REATTACH, 0, words);
  return true;
}

bool hlbuf_reattach_take(hlbuf_client* client, const struct hlbuf_wire_header* header) {
  struct hlbuf_reconnect* r = &client->reconnect;
  /* An answer to half of a request is none. */
  if (header->cookie != r->cookie) return false;
  if (header->opcode == HLBUF_WIRE_ERROR) return take_refusal(client);
  return header->opcode == HLBUF_WIRE_REATTACHED && r->all_sent && take_reattached(client);
}

/* A daemon that stops again, or has no room, or no time, has not said no. */
bool hlbuf_reattach_goodbye(hlbuf_client* client, uint32_t reason) {
  if (reason != HLBUF_WIRE_GOODBYE_SHUTDOWN && reason != HLBUF_WIRE_GOODBYE_QUOTA &&
      reason != HLBUF_WIRE_GOODBYE_HELLO)
    return false;
  hlbuf_session_break(client);
  return true;
}
