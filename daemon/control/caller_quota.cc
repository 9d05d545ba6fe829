// SPDX-License-Identifier: Apache-2.0
#include "daemon/control/caller_quota.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "daemon/core/error.h"

namespace hlbuf {

CallerQuota::Slot& CallerQuota::Slot::operator=(Slot&& other) noexcept {
  if (this == &other) return *this;
  GiveBack();
  quota_ = std::exchange(other.quota_, nullptr);
  key_ = std::move(other.key_);
  return *this;
}

void CallerQuota::Slot::GiveBack() {
  CallerQuota* const quota = std::exchange(quota_, nullptr);
  if (quota == nullptr) return;
  --quota->used_;
  const auto it = quota->used_by_.find(key_);
  if (--it->second == 0) quota->used_by_.erase(it);
}

absl::StatusOr<CallerQuota::Slot> CallerQuota::Take(const Caller& caller) {
  const bool has_role = caller.role != Role::kNone;
  const bool gets_all = !limits_.keeps_quarter || (has_role && !caller.is_remote());
  const std::size_t uid = has_role || caller.is_remote()
                              ? limits_.uid
                              : std::min(limits_.uid, limits_.uid_without_role);
  const std::size_t all = gets_all ? limits_.all : limits_.all - limits_.all / 4;
  const Slot::Key key = {caller.peer.uid, has_role, caller.name};
  const auto it = used_by_.find(key);
  const std::size_t used_by_uid = it == used_by_.end() ? 0 : it->second;
  if (used_by_uid >= uid)
    return Error(
        ErrorCode::kQuotaExceeded,
        absl::StrCat(caller.is_remote() ? caller.name : absl::StrCat("uid ", caller.peer.uid),
                     " has ", used_by_uid, " ", what_, ", which is the limit; end some"));
  if (used_ >= all)
    return Error(ErrorCode::kQuotaExceeded,
                 absl::StrCat("the service has ", used_, " ", what_, "; the limit is ", all,
                              gets_all             ? ""
                              : caller.is_remote() ? " for callers over TCP"
                                                   : " for callers without a role",
                              "; try again later"));
  ++used_;
  ++used_by_[key];
  return Slot(this, key);
}

}  // namespace hlbuf
