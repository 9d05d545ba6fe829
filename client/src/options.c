/* SPDX-License-Identifier: Apache-2.0 */
#include "client/src/options.h"

#include <string.h>

#include "client/src/errors.h"
#include "proto/hlbuf_wire.h"

enum { DEFAULT_TIMEOUT_MS = 30000, DEFAULT_RECONNECT_TIMEOUT_MS = 90000 };

int hlbuf_copy_options(void* into, size_t known_bytes, const void* options, hlbuf_error* error) {
  size_t struct_bytes;
  memcpy(&struct_bytes, options, sizeof(struct_bytes));
  if (struct_bytes < sizeof(struct_bytes))
    return hlbuf_fail(error, HLBUF_E_INVALID_ARGUMENT,
                      "options: struct_bytes is %zu; set it to the size of the struct",
                      struct_bytes);
  for (size_t i = known_bytes; i < struct_bytes; ++i)
    if (((const unsigned char*)options)[i] != 0)
      return hlbuf_fail(error, HLBUF_E_INVALID_ARGUMENT,
                        "options: the program uses a field that libhlbuf %s does not know",
                        hlbuf_version());
  memset(into, 0, known_bytes);
  memcpy(into, options, struct_bytes < known_bytes ? struct_bytes : known_bytes);
  return HLBUF_OK;
}

int hlbuf_measure_name(const char* what, const char* name, size_t* ret_bytes, hlbuf_error* error) {
  *ret_bytes = 0;
  if (name == NULL) return HLBUF_OK;
  const size_t bytes = strnlen(name, HLBUF_WIRE_NAME_BYTES_MAX + 1);
  if (bytes == 0 || bytes > HLBUF_WIRE_NAME_BYTES_MAX)
    return hlbuf_fail(error, HLBUF_E_INVALID_ARGUMENT, "%s: a name has 1 to %d bytes", what,
                      HLBUF_WIRE_NAME_BYTES_MAX);
  *ret_bytes = bytes;
  return HLBUF_OK;
}

int32_t hlbuf_normal_timeout(int32_t timeout_ms) {
  if (timeout_ms < 0) return -1;
  return timeout_ms == 0 ? DEFAULT_TIMEOUT_MS : timeout_ms;
}

int32_t hlbuf_normal_reconnect_timeout(int32_t timeout_ms) {
  if (timeout_ms == HLBUF_NO_RECONNECT) return 0;
  return timeout_ms == 0 ? DEFAULT_RECONNECT_TIMEOUT_MS : timeout_ms;
}
