// SPDX-License-Identifier: Apache-2.0
#include "daemon/observe/refusal_limit.h"

#include "absl/strings/str_cat.h"

namespace hlbuf {
namespace {

bool IsAtWill(const Event& event) {
  switch (event.kind) {
    case EventKind::kRequestRefused:
    case EventKind::kProtocolBroken:
      return true;
    case EventKind::kRevocationBegan:
    case EventKind::kRevocationEnded:
      return !event.revocation;  // of an UNSHARE
    default:
      return false;
  }
}

}  // namespace

void RefusalLimit::OnEvent(const Event& event) {
  if (!IsAtWill(event)) return next_.OnEvent(event);
  const Key key = {event.domain, event.kind};
  if (!limit_.Admit(key)) return LeaveOut(key);
  const auto left_out = left_out_.find(key);
  if (left_out == left_out_.end()) return next_.OnEvent(event);
  Event with_count = event;
  absl::StrAppend(&with_count.text, " (", left_out->second, " more before were left out)");
  left_out_.erase(left_out);
  next_.OnEvent(with_count);
}

void RefusalLimit::LeaveOut(const Key& key) {
  const auto counted = left_out_.find(key);
  if (counted != left_out_.end())
    ++counted->second;
  else if (left_out_.size() < kDomainsMax)
    left_out_.emplace(key, 1);
}

}  // namespace hlbuf
