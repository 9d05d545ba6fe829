/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "client/src/call.h"
#include "client/src/errors.h"
#include "client/src/grants.h"
#include "client/src/options.h"

/* Room for `n` items; the names follow the last of them at once. */
#define OPEN_FRAME_BYTES(n)         \
  (sizeof(struct hlbuf_wire_open) + \
   (n) * (sizeof(struct hlbuf_wire_open_item) + HLBUF_WIRE_NAME_BYTES_MAX))

static int append_item(const hlbuf_open_item* item, uint8_t* at, uint8_t* names, size_t* names_used,
                       hlbuf_error* error) {
  size_t bytes;
  const int code = hlbuf_measure_name("name", item->name, &bytes, error);
  if (code != HLBUF_OK) return code;
  if ((item->buffer_id == 0) == (bytes == 0) || item->reserved != 0)
    return hlbuf_fail(error, HLBUF_E_INVALID_ARGUMENT,
                      "an item to open has either a buffer_id or a name, and its reserved is 0");
  const struct hlbuf_wire_open_item wire = {.buffer_id = item->buffer_id,
                                            .name_offset = (uint32_t)*names_used,
                                            .name_bytes = (uint16_t)bytes,
                                            .owner_uid = bytes > 0 ? item->owner_uid : 0};
  memcpy(at, &wire, sizeof(wire));
  if (bytes > 0) memcpy(names + *names_used, item->name, bytes);
  *names_used += bytes;
  return HLBUF_OK;
}

/* `frame` has OPEN_FRAME_BYTES(count). */
static int build_open(const hlbuf_open_item* items, size_t count, uint8_t* frame, size_t* ret_bytes,
                      hlbuf_error* error) {
  uint8_t* array = frame + sizeof(struct hlbuf_wire_open);
  uint8_t* names = array + count * sizeof(struct hlbuf_wire_open_item);
  size_t names_used = 0;
  for (size_t i = 0; i < count; ++i) {
    const int code = append_item(&items[i], array + i * sizeof(struct hlbuf_wire_open_item), names,
                                 &names_used, error);
    if (code != HLBUF_OK) return code;
  }
  *ret_bytes = (size_t)(names - frame) + names_used;
  const struct hlbuf_wire_open fixed = {.header = {.frame_bytes = (uint32_t)*ret_bytes,
                                                   .opcode = HLBUF_WIRE_OPEN,
                                                   .fixed_bytes = sizeof(fixed)},
                                        .item_count = (uint16_t)count,
                                        .item_bytes = sizeof(struct hlbuf_wire_open_item)};
  memcpy(frame, &fixed, sizeof(fixed));
  return HLBUF_OK;
}

static int open_items(hlbuf_client* client, const hlbuf_open_item* items, size_t count,
                      uint8_t* frame, hlbuf_open_result* results, hlbuf_error* error) {
  size_t bytes;
  const int code = build_open(items, count, frame, &bytes, error);
  if (code != HLBUF_OK) return code;
  struct hlbuf_open_outcome outcome = {.results = results, .count = count};
  struct hlbuf_call call = {
      .reply = HLBUF_WIRE_OPENED, .take = hlbuf_take_opened, .into = &outcome, .error = error};
  return hlbuf_call(client, &call, frame, bytes);
}

int hlbuf_open_many(hlbuf_client* client, const hlbuf_open_item* items, size_t count,
                    hlbuf_open_result* results, hlbuf_error* error) {
  for (size_t i = 0; i < count; ++i) results[i].buffer = NULL;
  const uint32_t most = atomic_load_explicit(&client->batch_max, memory_order_relaxed);
  if (count == 0 || count > most)
    return hlbuf_fail(error, HLBUF_E_INVALID_ARGUMENT, "one request opens 1 to %u buffers, not %zu",
                      most, count);
  alignas(8) uint8_t frame[OPEN_FRAME_BYTES(HLBUF_WIRE_BATCH_MAX)];
  return open_items(client, items, count, frame, results, error);
}

static int open_one(hlbuf_client* client, const hlbuf_open_item* item, hlbuf_buffer** ret_buffer,
                    hlbuf_error* error) {
  alignas(8) uint8_t frame[OPEN_FRAME_BYTES(1)];
  hlbuf_open_result result;
  const int code = open_items(client, item, 1, frame, &result, error);
  if (code != HLBUF_OK) return code;
  if (result.buffer == NULL) return hlbuf_fail(error, result.error.code, "%s", result.error.text);
  *ret_buffer = result.buffer;
  return HLBUF_OK;
}

int hlbuf_open_id(hlbuf_client* client, uint64_t buffer_id, hlbuf_buffer** ret_buffer,
                  hlbuf_error* error) {
  const hlbuf_open_item item = {.buffer_id = buffer_id};
  return open_one(client, &item, ret_buffer, error);
}

int hlbuf_open_name(hlbuf_client* client, const char* name, uint32_t owner_uid,
                    hlbuf_buffer** ret_buffer, hlbuf_error* error) {
  const hlbuf_open_item item = {.name = name, .owner_uid = owner_uid};
  return open_one(client, &item, ret_buffer, error);
}
