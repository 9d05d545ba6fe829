// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_DEVICE_KEEPER_OPENER_H_
#define HLBUF_DAEMON_DEVICE_KEEPER_OPENER_H_

#include <memory>
#include <string>

#include "daemon/device/device_opener.h"
#include "daemon/device/keeper.h"

namespace hlbuf {

// Opens by a keeper, a new one for each life of the device: a hard reset kills the one that opened
// it, and not this process. Worker thread.
//
// A keeper that was killed without a reset has taken its copies along, and the device goes on: what
// it would have kept is not missed before the next start of this process.
class KeeperOpener final : public DeviceOpener {
 public:
  explicit KeeperOpener(std::string program, KeeperLimits limits = {})
      : program_(std::move(program)), limits_(limits) {}

  absl::StatusOr<UniqueFd> Open(const std::string& path) override;
  absl::Status Keep(std::uint64_t id, int fd) override;
  // Dropping the device itself (kDevice) ends the keeper.
  absl::Status Drop(absl::Span<const std::uint64_t> ids) override;

  const Keeper* keeper() const { return keeper_.get(); }

 private:
  const std::string program_;
  const KeeperLimits limits_;
  std::unique_ptr<Keeper> keeper_;
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_DEVICE_KEEPER_OPENER_H_
