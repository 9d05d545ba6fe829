// SPDX-License-Identifier: Apache-2.0
#include "daemon/device/keeper_opener.h"

#include <algorithm>
#include <optional>

#include "absl/strings/str_cat.h"
#include "daemon/base/status_macros.h"
#include "daemon/keeper/keeper_wire.h"

namespace hlbuf {

static_assert(DeviceOpener::kDevice == HLBUF_KEEPER_DEVICE_ID);

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

std::string KeeperOpener::End() {
  if (keeper_ == nullptr) return "";
  const std::string process = absl::StrCat("process ", keeper_->pid(), " ");
  const std::optional<std::string> end = keeper_->End();
  keeper_.reset();
  if (end.has_value()) return process + *end;
  warn_(absl::StrCat("hl-bufd-keeper, ", process,
                     "does not end though it was killed: a driver does not let it go; what it "
                     "keeps open stays open until then"));
  return process + "does not end";
}

absl::Status KeeperOpener::Begin() {
  ASSIGN_OR_RETURN(keeper_, Keeper::Spawn(program_, limits_));
  return absl::OkStatus();
}

}  // namespace hlbuf
