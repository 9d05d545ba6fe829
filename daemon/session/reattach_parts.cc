// SPDX-License-Identifier: Apache-2.0
#include "daemon/session/reattach_parts.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "daemon/core/error.h"

namespace hlbuf {
namespace {

template <class T>
void Append(std::vector<T>& to, const std::vector<T>& from) {
  to.insert(to.end(), from.begin(), from.end());
}

}  // namespace

absl::Status ReattachParts::Add(std::uint64_t cookie, ReattachPart part) {
  if (cookie != cookie_ || (begun_ && (part.asked.session != asked_.session ||
                                       part.asked.secret.bytes != asked_.secret.bytes)))
    return Error(ErrorCode::kProtocolError,
                 "a part of a REATTACH has another cookie, session or secret than the first one");
  if (asked_.held.size() + part.asked.held.size() > leases_max_)
    return Error(ErrorCode::kQuotaExceeded,
                 absl::StrCat("REATTACH names more leases than this peer can have, ", leases_max_));
  if (asked_.unanswered.size() + part.asked.unanswered.size() > HLBUF_WIRE_COOKIES_MAX)
    return Error(ErrorCode::kProtocolError,
                 absl::StrCat("REATTACH names more than ", +HLBUF_WIRE_COOKIES_MAX, " cookies"));
  if (!std::exchange(begun_, true)) {
    asked_ = std::move(part.asked);
    return absl::OkStatus();
  }
  Append(asked_.held, part.asked.held);
  Append(asked_.unanswered, part.asked.unanswered);
  return absl::OkStatus();
}

}  // namespace hlbuf
