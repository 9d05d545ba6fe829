// SPDX-License-Identifier: Apache-2.0
// Fields of requests, checked. Errors are INVALID_ARGUMENT and name the field.
#ifndef HLBUF_DAEMON_CONTROL_REQUEST_FIELDS_H_
#define HLBUF_DAEMON_CONTROL_REQUEST_FIELDS_H_

#include <google/protobuf/duration.pb.h>
#include <google/protobuf/repeated_field.h>

#include <cstdint>
#include <set>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "daemon/core/error.h"
#include "daemon/core/ids.h"

namespace hlbuf {

absl::StatusOr<std::uint64_t> ReadId(absl::string_view field, absl::string_view text);

inline constexpr absl::Duration kGraceMax = absl::Hours(1);
// From 0 to kGraceMax.
absl::StatusOr<absl::Duration> ReadDuration(absl::string_view field,
                                            const google::protobuf::Duration& duration);
// The field `grace` of a request, or else what is configured.
template <class Request>
absl::StatusOr<absl::Duration> ReadGrace(const Request& request, absl::Duration otherwise) {
  if (!request.has_grace()) return otherwise;
  return ReadDuration("grace", request.grace());
}

// The values of an enum that a request asks for.
class WantedValues {
 public:
  // Empty: all. `is_valid` is protobuf's X_IsValid.
  static absl::StatusOr<WantedValues> Read(absl::string_view field,
                                           const google::protobuf::RepeatedField<int>& values,
                                           bool (*is_valid)(int)) {
    WantedValues wanted;
    for (const int value : values) {
      if (value == 0 || !is_valid(value))
        return Error(ErrorCode::kInvalidArgument,
                     absl::StrCat(field, " has the value ", value, ", which stands for nothing"));
      wanted.values_.insert(value);
    }
    return wanted;
  }
  // `value` is the core's: one less than the API's.
  template <class CoreEnum>
  bool Match(CoreEnum value) const {
    return values_.empty() || values_.contains(static_cast<int>(value) + 1);
  }
  template <class CoreEnum>
  bool Names(CoreEnum value) const {
    return values_.contains(static_cast<int>(value) + 1);
  }
  bool empty() const { return values_.empty(); }

 private:
  std::set<int> values_;
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_CONTROL_REQUEST_FIELDS_H_
