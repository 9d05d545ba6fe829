/* SPDX-License-Identifier: Apache-2.0 */
#include "client/src/grants.h"

#include "client/src/errors.h"

enum { FIRST_OWN_CODE = 100 };

bool hlbuf_is_refusal(uint32_t status) { return status != HLBUF_OK && status < FIRST_OWN_CODE; }

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

static bool read_allocated(const struct hlbuf_packet* packet, struct hlbuf_wire_allocated* frame) {
  return hlbuf_packet_fixed(packet, frame, sizeof(*frame)) && frame->lease_id != 0 &&
         (packet->fd_count == 1 || packet->fds_cut);
}

enum hlbuf_took hlbuf_take_allocated(struct hlbuf_call* call, hlbuf_client* client) {
  struct hlbuf_wire_allocated frame;
  if (!read_allocated(&client->packet, &frame)) return HLBUF_TOOK_BREACH;
  if (client->packet.fds_cut) {
    hlbuf_packet_close_fds(&client->packet);
    hlbuf_outbox_release(client, &frame.lease_id, 1);
    call->code = fail_no_descriptors(call->error);
    return HLBUF_TOOK;
  }
  hlbuf_buffer* buffer =
      hlbuf_buffer_new(client, hlbuf_packet_take_fd(&client->packet, 0), frame.buffer_id,
                       frame.lease_id, frame.size_bytes, frame.epoch);
  if (buffer == NULL) hlbuf_outbox_release(client, &frame.lease_id, 1);
  *(hlbuf_buffer**)call->into = buffer;
  call->code = buffer == NULL ? fail_memory(call->error) : hlbuf_succeed(call->error);
  return HLBUF_TOOK;
}

struct opened {
  struct hlbuf_wire_opened frame;
  struct hlbuf_items items;
};

static bool item_is_sound(const struct opened* opened, const struct hlbuf_wire_opened_item* item) {
  struct hlbuf_span text;
  if (item->reserved != 0 || item->reserved2 != 0) return false;
  if (item->status == HLBUF_OK) return item->lease_id != 0;
  return hlbuf_is_refusal(item->status) &&
         hlbuf_span_cut(opened->items.texts, item->text_offset, item->text_bytes, &text);
}

/* All or nothing: no item is believed before all were checked. */
static bool read_opened(const struct hlbuf_packet* packet, struct opened* opened) {
  struct hlbuf_wire_opened* frame = &opened->frame;
  if (!hlbuf_packet_fixed(packet, frame, sizeof(*frame)) || frame->reserved != 0 ||
      frame->item_count > HLBUF_WIRE_BATCH_MAX ||
      !hlbuf_packet_items(packet, frame->item_count, frame->item_bytes,
                          sizeof(struct hlbuf_wire_opened_item), &opened->items))
    return false;
  size_t granted = 0;
  for (size_t i = 0; i < frame->item_count; ++i) {
    struct hlbuf_wire_opened_item item;
    hlbuf_items_copy(&opened->items, i, &item, sizeof(item));
    if (!item_is_sound(opened, &item)) return false;
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
  result->buffer = hlbuf_buffer_new(client, hlbuf_packet_take_fd(&client->packet, fd_index),
                                    item->buffer_id, item->lease_id, item->size_bytes, item->epoch);
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
  if (!read_opened(&client->packet, &opened) || opened.frame.item_count != outcome->count)
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
    if (!read_opened(&client->packet, &opened)) return false;
    give_back(client, &opened);
  } else if (opcode == HLBUF_WIRE_ALLOCATED) {
    struct hlbuf_wire_allocated frame;
    if (!read_allocated(&client->packet, &frame)) return false;
    hlbuf_packet_close_fds(&client->packet);
    hlbuf_outbox_release(client, &frame.lease_id, 1);
  }
  return true;
}
