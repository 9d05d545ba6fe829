/* SPDX-License-Identifier: Apache-2.0
 *
 * Published numbers, as words. */
#include "hlbuf/hlbuf.h"

#ifndef HLBUF_VERSION
#error "the build defines HLBUF_VERSION"
#endif

struct name {
  uint32_t value;
  const char* text;
};

#define NAME(prefix, word) \
  { prefix##word, #word }
#define FIND(table, value) find(table, sizeof(table) / sizeof((table)[0]), value)

static const char* find(const struct name* table, size_t count, uint32_t value) {
  for (size_t i = 0; i < count; ++i)
    if (table[i].value == value) return table[i].text;
  return "UNKNOWN";
}

static const struct name kCodes[] = {
    {HLBUF_OK, "OK"},
    NAME(HLBUF_E_, INVALID_ARGUMENT),
    NAME(HLBUF_E_, PROTOCOL_ERROR),
    NAME(HLBUF_E_, NOT_FOUND),
    NAME(HLBUF_E_, GONE),
    NAME(HLBUF_E_, PERMISSION_DENIED),
    NAME(HLBUF_E_, ALREADY_EXISTS),
    NAME(HLBUF_E_, QUOTA_EXCEEDED),
    NAME(HLBUF_E_, NO_MEMORY),
    NAME(HLBUF_E_, DEVICE_UNAVAILABLE),
    NAME(HLBUF_E_, REVOKED),
    NAME(HLBUF_E_, BUSY),
    NAME(HLBUF_E_, UNIMPLEMENTED),
    NAME(HLBUF_E_, DEVICE_ERROR),
    NAME(HLBUF_E_, SHUTTING_DOWN),
    NAME(HLBUF_E_, CANNOT_CONNECT),
    NAME(HLBUF_E_, SERVICE_GONE),
    NAME(HLBUF_E_, TIMED_OUT),
    NAME(HLBUF_E_, NO_DESCRIPTORS),
    NAME(HLBUF_E_, BAD_REPLY),
    NAME(HLBUF_E_, FORKED),
    NAME(HLBUF_E_, OUT_OF_MEMORY),
    NAME(HLBUF_E_, SYSTEM),
};

static const struct name kRevokeReasons[] = {
    NAME(HLBUF_REVOKE_, RESET), NAME(HLBUF_REVOKE_, OPERATOR),     NAME(HLBUF_REVOKE_, UNSHARED),
    NAME(HLBUF_REVOKE_, LOST),  NAME(HLBUF_REVOKE_, SERVICE_GONE),
};

static const struct name kDeviceStates[] = {
    NAME(HLBUF_DEVICE_, ABSENT),   NAME(HLBUF_DEVICE_, OPENING), NAME(HLBUF_DEVICE_, READY),
    NAME(HLBUF_DEVICE_, REVOKING), NAME(HLBUF_DEVICE_, CLOSING), NAME(HLBUF_DEVICE_, RESETTING),
    NAME(HLBUF_DEVICE_, DRAINED),  NAME(HLBUF_DEVICE_, FAILED),
};

static const struct name kGoodbyeReasons[] = {
    NAME(HLBUF_GOODBYE_, SHUTDOWN),  NAME(HLBUF_GOODBYE_, PROTOCOL),
    NAME(HLBUF_GOODBYE_, QUOTA),     NAME(HLBUF_GOODBYE_, HELLO),
    NAME(HLBUF_GOODBYE_, REATTACH),  NAME(HLBUF_GOODBYE_, CONNECTION_LOST),
    NAME(HLBUF_GOODBYE_, BAD_REPLY),
};

const char* hlbuf_error_name(int code) { return FIND(kCodes, (uint32_t)code); }

const char* hlbuf_revoke_reason_name(uint32_t reason) { return FIND(kRevokeReasons, reason); }

const char* hlbuf_device_state_name(uint32_t state) { return FIND(kDeviceStates, state); }

const char* hlbuf_goodbye_reason_name(uint32_t reason) { return FIND(kGoodbyeReasons, reason); }

const char* hlbuf_version(void) { return HLBUF_VERSION; }
