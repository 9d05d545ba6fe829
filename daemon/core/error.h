// SPDX-License-Identifier: Apache-2.0
// The published list of reasons why something is refused. The data plane sends the number, the
// control API the name.
#ifndef HLBUF_DAEMON_CORE_ERROR_H_
#define HLBUF_DAEMON_CORE_ERROR_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace hlbuf {

// Numbers are those of enum hlbuf_wire_status (proto/hlbuf_wire.h), which says what each means;
// they never change.
enum class ErrorCode : std::uint32_t {
  kInvalidArgument = 1,
  kProtocolError = 2,
  kNotFound = 3,
  kGone = 4,
  kPermissionDenied = 5,
  kAlreadyExists = 6,
  kQuotaExceeded = 7,
  kNoMemory = 8,
  kDeviceUnavailable = 9,
  kRevoked = 10,
  kBusy = 11,
  kUnimplemented = 12,
  kDeviceError = 13,
  kShuttingDown = 14,
};

// UPPER_SNAKE, as ErrorInfo.reason has it.
absl::string_view ErrorName(ErrorCode code);

// A status with that code and a text for people: what, why, what to do.
absl::Status Error(ErrorCode code, absl::string_view text);

// The code of a status made by Error(); of another one, what is nearest to its canonical code.
ErrorCode ErrorCodeOf(const absl::Status& status);

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_CORE_ERROR_H_
