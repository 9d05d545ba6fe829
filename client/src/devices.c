/* SPDX-License-Identifier: Apache-2.0 */
#include "client/src/call.h"
#include "client/src/errors.h"

struct listing {
  hlbuf_device* devices;
  size_t capacity;
  size_t count;
};

static bool take_device(const struct hlbuf_items* items, size_t index, hlbuf_device* device) {
  struct hlbuf_wire_device_item item;
  struct hlbuf_span name, kind;
  hlbuf_items_copy(items, index, &item, sizeof(item));
  if (item.name_bytes > HLBUF_WIRE_DEVICE_BYTES_MAX ||
      item.kind_bytes > HLBUF_WIRE_DEVICE_BYTES_MAX ||
      !hlbuf_span_cut(items->texts, item.name_offset, item.name_bytes, &name) ||
      !hlbuf_span_cut(items->texts, (size_t)item.name_offset + item.name_bytes, item.kind_bytes,
                      &kind))
    return false;
  if (device == NULL) return true;
  *device = (hlbuf_device){.epoch = item.epoch,
                           .total_bytes = item.total_bytes,
                           .used_bytes = item.used_bytes,
                           .page_bytes = item.page_bytes,
                           .state = item.state,
                           .flags = item.flags};
  hlbuf_copy_text(device->name, sizeof(device->name), name.bytes, name.count);
  hlbuf_copy_text(device->kind, sizeof(device->kind), kind.bytes, kind.count);
  return true;
}

static enum hlbuf_took take_list(struct hlbuf_call* call, hlbuf_client* client) {
  struct listing* listing = call->into;
  struct hlbuf_wire_device_list frame;
  struct hlbuf_items items;
  if (!hlbuf_packet_fixed(&client->packet, &frame, sizeof(frame)) || frame.reserved != 0 ||
      !hlbuf_packet_items(&client->packet, frame.item_count, frame.item_bytes,
                          sizeof(struct hlbuf_wire_device_item), &items))
    return HLBUF_TOOK_BREACH;
  for (size_t i = 0; i < frame.item_count; ++i)
    if (!take_device(&items, i, i < listing->capacity ? &listing->devices[i] : NULL))
      return HLBUF_TOOK_BREACH;
  listing->count = frame.item_count;
  call->code = hlbuf_succeed(call->error);
  return HLBUF_TOOK;
}

int hlbuf_devices(hlbuf_client* client, hlbuf_device* devices, size_t capacity, size_t* ret_count,
                  hlbuf_error* error) {
  struct hlbuf_wire_header frame = {
      .frame_bytes = sizeof(frame), .opcode = HLBUF_WIRE_DEVICES, .fixed_bytes = sizeof(frame)};
  struct listing listing = {.devices = devices, .capacity = capacity};
  struct hlbuf_call call = {
      .reply = HLBUF_WIRE_DEVICE_LIST, .take = take_list, .into = &listing, .error = error};
  const int code = hlbuf_call(client, &call, &frame, sizeof(frame));
  if (code == HLBUF_OK) *ret_count = listing.count;
  return code;
}
