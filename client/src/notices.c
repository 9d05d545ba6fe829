/* SPDX-License-Identifier: Apache-2.0
 *
 * Notices as they are read. Only PING is answered here; the rest waits for somebody who dispatches,
 * without any allocation, so that a daemon cannot make a client grow. */
#include <string.h>
#include <unistd.h>

#include "client/src/client.h"
#include "client/src/errors.h"

static void queue_revocation(struct hlbuf_notices* notices, hlbuf_buffer* buffer) {
  if (buffer->queued) return;
  buffer->queued = true;
  buffer->next_revoked = NULL;
  ++buffer->references;
  if (notices->last_revoked == NULL)
    notices->first_revoked = buffer;
  else
    notices->last_revoked->next_revoked = buffer;
  notices->last_revoked = buffer;
}

/* A program that has been told, and keeps the buffer for a while, hears of it again when it has
 * less time than it was told. */
static void mark_revoked(hlbuf_client* client, hlbuf_buffer* buffer, uint32_t reason,
                         uint64_t deadline_boottime_ns) {
  const bool first = !atomic_load_explicit(&buffer->revoked, memory_order_relaxed);
  const bool sooner = first || deadline_boottime_ns < buffer->deadline_boottime_ns;
  if (!sooner && !buffer->queued) return;
  buffer->reason = reason;
  if (sooner) buffer->deadline_boottime_ns = deadline_boottime_ns;
  queue_revocation(&client->notices, buffer);
  hlbuf_epoch_end(buffer);
  atomic_store_explicit(&buffer->revoked, true, memory_order_release);
}

static bool take_revoke(hlbuf_client* client) {
  struct hlbuf_wire_revoke frame;
  struct hlbuf_items items;
  if (!hlbuf_packet_fixed(&client->packet, &frame, sizeof(frame)) || frame.reserved != 0 ||
      frame.lease_count == 0 || frame.lease_count > HLBUF_WIRE_LEASES_MAX ||
      !hlbuf_packet_items(&client->packet, frame.lease_count, frame.item_bytes,
                          sizeof(struct hlbuf_wire_revoked_lease), &items))
    return false;
  for (size_t i = 0; i < frame.lease_count; ++i) {
    struct hlbuf_wire_revoked_lease item;
    hlbuf_items_copy(&items, i, &item, sizeof(item));
    /* None: our RELEASE crossed the notice. */
    hlbuf_buffer* buffer = hlbuf_leases_find(&client->leases, item.lease_id);
    if (buffer != NULL) mark_revoked(client, buffer, frame.reason, frame.deadline_boottime_ns);
  }
  return true;
}

/* A device's newest state takes the place of an older one; beyond the room, the oldest goes. */
static struct hlbuf_queued_event* event_slot(struct hlbuf_notices* notices, const char* name) {
  size_t i = 0;
  while (i < notices->event_count && strcmp(notices->events[i].name, name) != 0) ++i;
  if (i < notices->event_count) return &notices->events[i];
  if (notices->event_count == HLBUF_DEVICE_EVENTS_MAX) {
    --notices->event_count;
    memmove(notices->events, notices->events + 1,
            notices->event_count * sizeof(notices->events[0]));
  }
  return &notices->events[notices->event_count++];
}

static bool take_device(hlbuf_client* client) {
  struct hlbuf_wire_device frame;
  struct hlbuf_span text;
  if (!hlbuf_packet_fixed(&client->packet, &frame, sizeof(frame)) || frame.reserved != 0 ||
      frame.name_bytes == 0 || frame.name_bytes > HLBUF_WIRE_DEVICE_BYTES_MAX ||
      !hlbuf_span_cut(hlbuf_packet_trailing(&client->packet), 0, frame.name_bytes, &text))
    return false;
  if (client->callbacks.on_device == NULL) return true;
  char name[HLBUF_WIRE_DEVICE_BYTES_MAX + 1];
  hlbuf_copy_text(name, sizeof(name), text.bytes, text.count);
  struct hlbuf_queued_event* event = event_slot(&client->notices, name);
  memcpy(event->name, name, sizeof(name));
  event->state = frame.state;
  event->epoch = frame.epoch;
  return true;
}

static bool take_ping(hlbuf_client* client) {
  struct hlbuf_wire_ping frame;
  if (!hlbuf_packet_fixed(&client->packet, &frame, sizeof(frame))) return false;
  hlbuf_outbox_pong(client, frame.nonce);
  return true;
}

static bool take_goodbye(hlbuf_client* client) {
  struct hlbuf_wire_goodbye frame;
  struct hlbuf_span text;
  if (!hlbuf_packet_fixed(&client->packet, &frame, sizeof(frame)) || frame.reserved != 0 ||
      !hlbuf_span_cut(hlbuf_packet_trailing(&client->packet), 0, frame.text_bytes, &text))
    return false;
  struct hlbuf_reconnect* r = &client->reconnect;
  if (r->link == HLBUF_LINK_REATTACHING && hlbuf_reattach_goodbye(client, frame.reason))
    return true;
  r->kept = frame.leases_kept == 1;
  if (r->kept && r->has_secret && r->timeout_ms != 0) {
    /* Its end of file is next; what stands in front of it is read. */
    hlbuf_session_break(client);
    return true;
  }
  char words[HLBUF_ERROR_TEXT_BYTES];
  hlbuf_copy_text(words, sizeof(words), text.bytes, text.count);
  hlbuf_session_end(client, frame.reason, frame.leases_kept, words);
  return true;
}

bool hlbuf_notices_take(hlbuf_client* client, uint16_t opcode) {
  bool sound = true;
  switch (opcode) {
    case HLBUF_WIRE_REVOKE:
      sound = take_revoke(client);
      break;
    case HLBUF_WIRE_DEVICE:
      sound = take_device(client);
      break;
    case HLBUF_WIRE_PING:
      return take_ping(client);
    case HLBUF_WIRE_GOODBYE:
      return take_goodbye(client);
    default:
      /* A later daemon's. */
      return true;
  }
  hlbuf_notices_announce(client);
  return sound;
}

void hlbuf_notices_revoke_all(hlbuf_client* client) {
  for (size_t i = 0; i < (size_t)1 << client->leases.bucket_bits; ++i)
    for (hlbuf_buffer* b = client->leases.buckets[i]; b != NULL; b = b->next_in_bucket)
      mark_revoked(client, b, HLBUF_REVOKE_SERVICE_GONE, 0);
}

void hlbuf_notices_announce(hlbuf_client* client) {
  pthread_cond_broadcast(&client->noticed);
  if (client->wake_fd < 0 || client->wake_set) return;
  const uint64_t one = 1;
  client->wake_set = write(client->wake_fd, &one, sizeof(one)) == (ssize_t)sizeof(one);
}
