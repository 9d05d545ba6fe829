/* SPDX-License-Identifier: Apache-2.0 */
#include "client/src/grants.h"

#include <stddef.h>

#include "client/src/errors.h"

enum { FIRST_OWN_CODE = 100 };

/* What they had before the epoch page. */
enum {
  ALLOCATED_BYTES_MIN = offsetof(struct hlbuf_wire_allocated, epoch_slot),
  OPENED_ITEM_BYTES_MIN = offsetof(struct hlbuf_wire_opened_item, epoch_slot)
};

/* Whether a daemon may refuse with it: it is neither OK nor one of this library's own codes. */
static bool is_refusal(uint32_t status) { return status != HLBUF_OK && status < FIRST_OWN_CODE; }

bool hlbuf_take_refusal(const hlbuf_client* client, uint32_t* status, struct hlbuf_span* text) {
  struct hlbuf_wire_error frame;
  if (!hlbuf_packet_fixed(&client->packet, &frame, sizeof(frame)) ||
      !hlbuf_span_cut(hlbuf_packet_trailing(&client->packet), 0, frame.text_bytes, text))
    return false;
  *status = frame.status;
  return is_refusal(frame.status);
}

void hlbuf_set_refusal(hlbuf_error* error, uint32_t status, struct hlbuf_span text) {
  if (error == NULL) return;
  error->code = (int32_t)status;
  hlbuf_copy_text(error->text, sizeof(error->text), text.bytes, text.count);
}

static int fail_no_descriptors(hlbuf_error* error) {
  return hlbuf_fail(error, HLBUF_E_NO_DESCRIPTORS,
                    "a descriptor was granted, but this process could not take it: it has no free "
                    "ones (raise RLIMIT_NOFILE, or close some), or a security module refused it");
}

static int fail_memory(hlbuf_error* error) {
  return hlbuf_fail(error, HLBUF_E_OUT_OF_MEMORY, "no memory for a buffer's record");
}

static bool read_allocated(const hlbuf_client* client, struct hlbuf_wire_allocated* frame) {
  const struct hlbuf_packet* packet = &client->packet;
  return hlbuf_packet_grown(packet, frame, sizeof(*frame), ALLOCATED_BYTES_MIN) &&
         frame->lease_id != 0 && frame->reserved == 0 &&
         hlbuf_epoch_slot_is_sound(client, frame->epoch_slot) &&
         (packet->fd_count == 1 || packet->fds_cut);
}

enum hlbuf_took hlbuf_take_allocated(struct hlbuf_call* call, hlbuf_client* client) {
  struct hlbuf_wire_allocated frame;
  if (!read_allocated(client, &frame)) return HLBUF_TOOK_BREACH;
  if (client->packet.fds_cut) {
    hlbuf_packet_close_fds(&client->packet);
    hlbuf_outbox_release(client, &frame.lease_id, 1);
    call->code = fail_no_descriptors(call->error);
    return HLBUF_TOOK;
  }
  const struct hlbuf_grant grant = {.buffer_id = frame.buffer_id,
                                    .lease_id = frame.lease_id,
                                    .size_bytes = frame.size_bytes,
                                    .epoch = frame.epoch,
                                    .epoch_slot = frame.epoch_slot};
  hlbuf_buffer* buffer = hlbuf_buffer_new(client, hlbuf_packet_take_fd(&client->packet, 0), &grant);
  if (buffer == NULL) hlbuf_outbox_release(client, &frame.lease_id, 1);
  *(hlbuf_buffer**)call->into = buffer;
  call->code = buffer == NULL ? fail_memory(call->error) : hlbuf_succeed(call->error);
  return HLBUF_TOOK;
}

struct opened {
  struct hlbuf_wire_opened frame;
  struct hlbuf_items items;
};

static bool item_is_sound(const hlbuf_client* client, const struct opened* opened,
                          const struct hlbuf_wire_opened_item* item) {
  struct hlbuf_span text;
  if (item->reserved != 0 || item->reserved2 != 0 || item->reserved3 != 0) return false;
  if (item->status == HLBUF_OK)
    return item->lease_id != 0 && hlbuf_epoch_slot_is_sound(client, item->epoch_slot);
  return is_refusal(item->status) &&
         hlbuf_span_cut(opened->items.texts, item->text_offset, item->text_bytes, &text);
}

/* All or nothing: no item is believed before all were checked. */
static bool read_opened(const hlbuf_client* client, struct opened* opened) {
  const struct hlbuf_packet* packet = &client->packet;
  struct hlbuf_wire_opened* frame = &opened->frame;
  if (!hlbuf_packet_fixed(packet, frame, sizeof(*frame)) || frame->reserved != 0 ||
      frame->item_count > HLBUF_WIRE_BATCH_MAX ||
      !hlbuf_packet_items(packet, frame->item_count, frame->item_bytes, OPENED_ITEM_BYTES_MIN,
                          &opened->items))
    return false;
  size_t granted = 0;
  for (size_t i = 0; i < frame->item_count; ++i) {
    struct hlbuf_wire_opened_item item;
    hlbuf_items_copy(&opened->items, i, &item, sizeof(item));
    if (!item_is_sound(client, opened, &item)) return false;
    granted += item.status == HLBUF_OK;
  }
  return frame->fd_count == granted && (packet->fd_count == granted || packet->fds_cut);
}

static void give_back(hlbuf_client* client, const struct opened* opened) {
  uint64_t leases[HLBUF_WIRE_BATCH_MAX];
  size_t count = 0;
  for (size_t i = 0; i < opened->frame.item_count; ++i) {
    struct hlbuf_wire_opened_item item;
    hlbuf_items_copy(&opened->items, i, &item, sizeof(item));
    if (item.status == HLBUF_OK) leases[count++] = item.lease_id;
  }
  hlbuf_packet_close_fds(&client->packet);
  hlbuf_outbox_release(client, leases, count);
}

static void take_item(hlbuf_client* client, const struct opened* opened,
                      const struct hlbuf_wire_opened_item* item, size_t fd_index,
                      hlbuf_open_result* result) {
  result->buffer = NULL;
  if (item->status != HLBUF_OK) {
    struct hlbuf_span text = {0};
    (void)hlbuf_span_cut(opened->items.texts, item->text_offset, item->text_bytes, &text);
    hlbuf_set_refusal(&result->error, item->status, text);
    return;
  }
  const struct hlbuf_grant grant = {.buffer_id = item->buffer_id,
                                    .lease_id = item->lease_id,
                                    .size_bytes = item->size_bytes,
                                    .epoch = item->epoch,
                                    .epoch_slot = item->epoch_slot};
  result->buffer =
      hlbuf_buffer_new(client, hlbuf_packet_take_fd(&client->packet, fd_index), &grant);
  if (result->buffer != NULL) {
    hlbuf_succeed(&result->error);
  } else {
    hlbuf_outbox_release(client, &item->lease_id, 1);
    fail_memory(&result->error);
  }
}

enum hlbuf_took hlbuf_take_opened(struct hlbuf_call* call, hlbuf_client* client) {
  const struct hlbuf_open_outcome* outcome = call->into;
  struct opened opened;
  if (!read_opened(client, &opened) || opened.frame.item_count != outcome->count)
    return HLBUF_TOOK_BREACH;
  if (client->packet.fds_cut) {
    give_back(client, &opened);
    call->code = fail_no_descriptors(call->error);
    return HLBUF_TOOK;
  }
  size_t fd_index = 0;
  for (size_t i = 0; i < outcome->count; ++i) {
    struct hlbuf_wire_opened_item item;
    hlbuf_items_copy(&opened.items, i, &item, sizeof(item));
    take_item(client, &opened, &item, fd_index, &outcome->results[i]);
    fd_index += item.status == HLBUF_OK;
  }
  call->code = hlbuf_succeed(call->error);
  return HLBUF_TOOK;
}

bool hlbuf_grants_discard(hlbuf_client* client, uint16_t opcode) {
  if (opcode == HLBUF_WIRE_OPENED) {
    struct opened opened;
    if (!read_opened(client, &opened)) return false;
    give_back(client, &opened);
  } else if (opcode == HLBUF_WIRE_ALLOCATED) {
    struct hlbuf_wire_allocated frame;
    if (!read_allocated(client, &frame)) return false;
    hlbuf_packet_close_fds(&client->packet);
    hlbuf_outbox_release(client, &frame.lease_id, 1);
  }
  return true;
}
