// SPDX-License-Identifier: Apache-2.0
#include "daemon/device/keeper_opener.h"

#include <algorithm>

#include "daemon/base/status_macros.h"
#include "daemon/keeper/keeper_wire.h"

namespace hlbuf {

static_assert(DeviceOpener::kDevice == HLBUF_KEEPER_DEVICE_ID);

absl::StatusOr<UniqueFd> KeeperOpener::Open(const std::string& path) {
  keeper_.reset();  // whatever it still had open would keep the device busy
  ASSIGN_OR_RETURN(keeper_, Keeper::Spawn(program_, limits_));
  absl::StatusOr<UniqueFd> fd = keeper_->Open(path);
  if (!fd.ok()) keeper_.reset();
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
    keeper_.reset();
    return absl::OkStatus();
  }
  const absl::Status dropped = keeper_->Drop(ids);
  return absl::IsUnavailable(dropped) ? absl::OkStatus() : dropped;
}

}  // namespace hlbuf
