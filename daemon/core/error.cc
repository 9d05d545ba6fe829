// SPDX-License-Identifier: Apache-2.0
#include "daemon/core/error.h"

#include <array>
#include <optional>

#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace hlbuf {
namespace {

constexpr absl::string_view kPayload = "hlbuf.code";

struct Row {
  ErrorCode code;
  absl::StatusCode canonical;
  absl::string_view name;
};
constexpr std::array kRows = {
    Row{ErrorCode::kInvalidArgument, absl::StatusCode::kInvalidArgument, "INVALID_ARGUMENT"},
    Row{ErrorCode::kProtocolError, absl::StatusCode::kDataLoss, "PROTOCOL_ERROR"},
    Row{ErrorCode::kNotFound, absl::StatusCode::kNotFound, "NOT_FOUND"},
    Row{ErrorCode::kGone, absl::StatusCode::kNotFound, "GONE"},
    Row{ErrorCode::kPermissionDenied, absl::StatusCode::kPermissionDenied, "PERMISSION_DENIED"},
    Row{ErrorCode::kAlreadyExists, absl::StatusCode::kAlreadyExists, "ALREADY_EXISTS"},
    Row{ErrorCode::kQuotaExceeded, absl::StatusCode::kResourceExhausted, "QUOTA_EXCEEDED"},
    Row{ErrorCode::kNoMemory, absl::StatusCode::kResourceExhausted, "NO_MEMORY"},
    Row{ErrorCode::kDeviceUnavailable, absl::StatusCode::kUnavailable, "DEVICE_UNAVAILABLE"},
    Row{ErrorCode::kRevoked, absl::StatusCode::kAborted, "REVOKED"},
    Row{ErrorCode::kBusy, absl::StatusCode::kUnavailable, "BUSY"},
    Row{ErrorCode::kUnimplemented, absl::StatusCode::kUnimplemented, "UNIMPLEMENTED"},
    Row{ErrorCode::kDeviceError, absl::StatusCode::kInternal, "DEVICE_ERROR"},
    Row{ErrorCode::kShuttingDown, absl::StatusCode::kUnavailable, "SHUTTING_DOWN"},
};

}  // namespace

absl::string_view ErrorName(ErrorCode code) {
  for (const Row& row : kRows)
    if (row.code == code) return row.name;
  return "UNKNOWN";
}

absl::Status Error(ErrorCode code, absl::string_view text) {
  absl::StatusCode canonical = absl::StatusCode::kInternal;
  for (const Row& row : kRows)
    if (row.code == code) canonical = row.canonical;
  absl::Status status(canonical, text);
  status.SetPayload(kPayload, absl::Cord(absl::StrCat(static_cast<std::uint32_t>(code))));
  return status;
}

ErrorCode ErrorCodeOf(const absl::Status& status) {
  std::uint32_t number = 0;
  const absl::optional<absl::Cord> payload = status.GetPayload(kPayload);
  if (payload.has_value() && absl::SimpleAtoi(std::string(*payload), &number))
    return static_cast<ErrorCode>(number);
  for (const Row& row : kRows)
    if (row.canonical == status.code()) return row.code;
  return ErrorCode::kDeviceError;
}

}  // namespace hlbuf
