/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <string.h>

#include "client/src/call.h"
#include "client/src/errors.h"
#include "client/src/grants.h"
#include "client/src/options.h"

struct allocate_frame {
  struct hlbuf_wire_allocate fixed;
  char trailing[HLBUF_WIRE_NAME_BYTES_MAX + HLBUF_WIRE_DEVICE_BYTES_MAX +
                HLBUF_WIRE_LABEL_BYTES_MAX + HLBUF_WIRE_LABELS_MAX - 1];
};

/* `key=value` texts, with one NUL between two of them, which the limit does not count. */
static int join_labels(const hlbuf_allocate_options* options, char* into, size_t* ret_bytes,
                       hlbuf_error* error) {
  size_t used = 0;
  size_t room = HLBUF_WIRE_LABEL_BYTES_MAX;
  if (options->label_count > HLBUF_WIRE_LABELS_MAX)
    return hlbuf_fail(error, HLBUF_E_INVALID_ARGUMENT, "labels: a buffer has at most %d",
                      HLBUF_WIRE_LABELS_MAX);
  for (size_t i = 0; i < options->label_count; ++i) {
    const size_t bytes = strlen(options->labels[i]);
    if (bytes == 0)
      return hlbuf_fail(error, HLBUF_E_INVALID_ARGUMENT, "labels: number %zu is empty", i);
    if (bytes > room)
      return hlbuf_fail(error, HLBUF_E_INVALID_ARGUMENT, "labels: together at most %d bytes",
                        HLBUF_WIRE_LABEL_BYTES_MAX);
    if (i > 0) into[used++] = '\0';
    memcpy(into + used, options->labels[i], bytes);
    used += bytes;
    room -= bytes;
  }
  *ret_bytes = used;
  return HLBUF_OK;
}

/* A little less than the call itself has, so that the daemon's reason arrives before the call
 * times out. */
static uint32_t wait_ms(hlbuf_client* client) {
  enum { MARGIN_PART = 16, MARGIN_MS_MIN = 50 };
  pthread_mutex_lock(&client->lock);
  const int32_t timeout_ms = client->timeout_ms;
  pthread_mutex_unlock(&client->lock);
  if (timeout_ms < 0) return UINT32_MAX;
  int32_t margin_ms = timeout_ms / MARGIN_PART;
  if (margin_ms < MARGIN_MS_MIN) margin_ms = MARGIN_MS_MIN;
  return timeout_ms > margin_ms ? (uint32_t)(timeout_ms - margin_ms) : 1;
}

static int build_allocate(const hlbuf_allocate_options* options, struct allocate_frame* frame,
                          size_t* ret_bytes, hlbuf_error* error) {
  size_t name = 0, device = 0, labels = 0;
  char* at = frame->trailing;
  int code = hlbuf_measure_name("name", options->name, &name, error);
  if (code == HLBUF_OK) code = hlbuf_measure_name("device", options->device, &device, error);
  if (code != HLBUF_OK) return code;
  if (name > 0) memcpy(at, options->name, name);
  if (device > 0) memcpy(at + name, options->device, device);
  code = join_labels(options, at + name + device, &labels, error);
  if (code != HLBUF_OK) return code;
  *ret_bytes = sizeof(frame->fixed) + name + device + labels;
  frame->fixed = (struct hlbuf_wire_allocate){.header = {.frame_bytes = (uint32_t)*ret_bytes,
                                                         .opcode = HLBUF_WIRE_ALLOCATE,
                                                         .fixed_bytes = sizeof(frame->fixed)},
                                              .size_bytes = options->size_bytes,
                                              .name_bytes = (uint16_t)name,
                                              .device_bytes = (uint16_t)device,
                                              .label_bytes = (uint16_t)labels};
  return HLBUF_OK;
}

int hlbuf_allocate(hlbuf_client* client, const hlbuf_allocate_options* options,
                   hlbuf_buffer** ret_buffer, hlbuf_error* error) {
  hlbuf_allocate_options own;
  int code = hlbuf_copy_options(&own, sizeof(own), options, error);
  if (code != HLBUF_OK) return code;
  if (own.wait_for_device > 1 || own.reserved != 0)
    return hlbuf_fail(error, HLBUF_E_INVALID_ARGUMENT,
                      "options: wait_for_device is 0 or 1, and reserved is 0");
  struct allocate_frame frame;
  size_t bytes;
  code = build_allocate(&own, &frame, &bytes, error);
  if (code != HLBUF_OK) return code;
  if (hlbuf_is_forked(client)) return hlbuf_fail_forked(error);
  if (own.wait_for_device != 0) frame.fixed.wait_ms = wait_ms(client);
  struct hlbuf_call call = {.reply = HLBUF_WIRE_ALLOCATED,
                            .take = hlbuf_take_allocated,
                            .into = ret_buffer,
                            .error = error};
  return hlbuf_call(client, &call, &frame, bytes);
}

/* An answer that is a bare header. */
static enum hlbuf_took take_nothing(struct hlbuf_call* call, hlbuf_client* client) {
  (void)client;
  call->code = hlbuf_succeed(call->error);
  return HLBUF_TOOK;
}

static int share(hlbuf_client* client, uint16_t opcode, uint64_t buffer_id, uint32_t kind,
                 uint32_t grantee, hlbuf_error* error) {
  /* To the daemon another kind is a broken frame, which ends the session. */
  if (kind != HLBUF_GRANTEE_UID && kind != HLBUF_GRANTEE_GID)
    return hlbuf_fail(error, HLBUF_E_INVALID_ARGUMENT,
                      "kind: %u is neither HLBUF_GRANTEE_UID nor HLBUF_GRANTEE_GID", kind);
  struct hlbuf_wire_share frame = {
      .header = {.frame_bytes = sizeof(frame), .opcode = opcode, .fixed_bytes = sizeof(frame)},
      .buffer_id = buffer_id,
      .grantee_kind = kind,
      .grantee = grantee};
  struct hlbuf_call call = {
      .reply = opcode | HLBUF_WIRE_REPLY, .take = take_nothing, .error = error};
  return hlbuf_call(client, &call, &frame, sizeof(frame));
}

int hlbuf_share(hlbuf_client* client, uint64_t buffer_id, enum hlbuf_grantee_kind kind,
                uint32_t grantee, hlbuf_error* error) {
  return share(client, HLBUF_WIRE_SHARE, buffer_id, (uint32_t)kind, grantee, error);
}

int hlbuf_unshare(hlbuf_client* client, uint64_t buffer_id, enum hlbuf_grantee_kind kind,
                  uint32_t grantee, hlbuf_error* error) {
  return share(client, HLBUF_WIRE_UNSHARE, buffer_id, (uint32_t)kind, grantee, error);
}
