// SPDX-License-Identifier: Apache-2.0
#include "daemon/control/request_fields.h"

#include <optional>

#include "daemon/core/names.h"

namespace hlbuf {

absl::StatusOr<std::uint64_t> ReadId(absl::string_view field, absl::string_view text) {
  const std::optional<std::uint64_t> id = ParseIdText(text);
  if (id.has_value()) return *id;
  return Error(ErrorCode::kInvalidArgument,
               absl::StrCat(field, " is '", Printable(text),
                            "'; an id is 1 to 16 hexadecimal digits, as lists show it"));
}

absl::StatusOr<absl::Duration> ReadDuration(absl::string_view field,
                                            const google::protobuf::Duration& duration) {
  const absl::Duration read =
      absl::Seconds(duration.seconds()) + absl::Nanoseconds(duration.nanos());
  if (duration.nanos() < 0 || duration.nanos() > 999'999'999 || read < absl::ZeroDuration() ||
      read > kGraceMax)
    return Error(
        ErrorCode::kInvalidArgument,
        absl::StrCat(field, " is ", absl::FormatDuration(read), "; it is from 0 to one hour"));
  return read;
}

}  // namespace hlbuf
