// SPDX-License-Identifier: Apache-2.0
#include "daemon/device/keeper_opener.h"

#include <algorithm>
#include <optional>

#include "absl/strings/str_cat.h"
#include "daemon/base/status_macros.h"
#include "daemon/keeper/keeper_wire.h"

namespace hlbuf {

static_assert(DeviceOpener::kDevice == HLBUF_KEEPER_DEVICE_ID);

KeeperOpener::~KeeperOpener() {
  if (keeper_ == nullptr || !outlives()) {
    End();
  } else {
    keeper_->Leave();
  }
}

absl::StatusOr<UniqueFd> KeeperOpener::Open(const std::string& path) {
  End();  // whatever it still had open would keep the device busy
  RETURN_IF_ERROR(Begin());
  absl::StatusOr<UniqueFd> fd = keeper_->Open(path);
  if (!fd.ok()) End();
  return fd;
}

absl::Status KeeperOpener::Keep(std::uint64_t id, int fd) {
  if (keeper_ == nullptr) return absl::OkStatus();
  const absl::Status kept = keeper_->Keep(id, fd);
  return absl::IsUnavailable(kept) ? absl::OkStatus() : kept;
}

absl::Status KeeperOpener::Drop(absl::Span<const std::uint64_t> ids) {
  if (keeper_ == nullptr) return absl::OkStatus();
  if (std::find(ids.begin(), ids.end(), kDevice) != ids.end()) {
    End();
    return absl::OkStatus();
  }
  const absl::Status dropped = keeper_->Drop(ids);
  return absl::IsUnavailable(dropped) ? absl::OkStatus() : dropped;
}

absl::Status KeeperOpener::DropSoon(absl::Span<const std::uint64_t> ids) {
  return keeper_ == nullptr ? absl::OkStatus() : keeper_->DropSoon(ids);
}

std::string KeeperOpener::End() {
  if (keeper_ == nullptr) return "";
  const std::string who = absl::StrCat(keeper_->Who(), " ");
  const std::optional<std::string> end = keeper_->End();
  keeper_.reset();
  dialer_.Forget(name_);
  if (end.has_value()) return who + *end;
  warn_(absl::StrCat("hl-bufd-keeper, ", who,
                     "does not end though it was told to: a driver does not let it go; what it "
                     "keeps open stays open until then"));
  return who + "does not end";
}

absl::Status KeeperOpener::Begin() {
  ASSIGN_OR_RETURN(keeper_, dialer_.Dial(name_, limits_));
  return absl::OkStatus();
}

// What it says when it cannot be asked is kept, and with it the connection, to ask it again.
absl::StatusOr<std::vector<KeptCopy>> KeeperOpener::Resume() {
  if (keeper_ == nullptr) {
    absl::StatusOr<std::unique_ptr<Keeper>> found = dialer_.Redial(name_, limits_);
    if (absl::IsUnavailable(found.status())) return absl::NotFoundError(found.status().message());
    if (!found.ok()) return found.status();
    keeper_ = *std::move(found);
  }
  absl::StatusOr<std::vector<KeptCopy>> copies = keeper_->Fetch();
  if (!absl::IsUnavailable(copies.status()) && !absl::IsUnimplemented(copies.status()))
    return copies;
  End();
  return absl::NotFoundError(copies.status().message());
}

}  // namespace hlbuf
