// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_DEVICE_KEEPER_OPENER_H_
#define HLBUF_DAEMON_DEVICE_KEEPER_OPENER_H_

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "daemon/device/device_opener.h"
#include "daemon/device/keeper.h"
#include "daemon/device/keeper_dialer.h"

namespace hlbuf {

// Opens by a keeper, a new one for each life of the device: a hard reset kills the one that opened
// it, and not this process. Worker thread.
//
// A keeper that has died keeps nothing, and what it is told to drop is dropped: that is no error
// here. That it died, and whether that was a reset, is for the caller to find out.
class KeeperOpener final : public DeviceOpener {
 public:
  // Told what concerns no caller: a keeper that does not end. Worker thread.
  using Warn = std::function<void(const std::string&)>;

  // `name` is the device's. `dialer` lives longer.
  KeeperOpener(
      const std::string& name, KeeperDialer& dialer, KeeperLimits limits = {},
      Warn warn = [](const std::string&) {})
      : name_(KeeperName(name)), dialer_(dialer), limits_(limits), warn_(std::move(warn)) {}
  // Leaves the keeper to the next process of this service, if it can live without this one.
  ~KeeperOpener() override;

  absl::StatusOr<UniqueFd> Open(const std::string& path) override;
  absl::Status Keep(std::uint64_t id, int fd) override;
  // Dropping the device itself (kDevice) ends the keeper.
  absl::Status Drop(absl::Span<const std::uint64_t> ids) override;
  absl::Status DropSoon(absl::Span<const std::uint64_t> ids) override;
  bool Died() const override { return keeper_ != nullptr && keeper_->HasHungUp(); }
  int death_fd() const override { return keeper_ == nullptr ? -1 : keeper_->fd(); }
  std::string End() override;
  absl::Status Begin() override;
  absl::StatusOr<std::vector<KeptCopy>> Resume() override;
  bool outlives() const override { return dialer_.outlives(); }

  const Keeper* keeper() const { return keeper_.get(); }

 private:
  const std::string name_;
  KeeperDialer& dialer_;
  const KeeperLimits limits_;
  const Warn warn_;
  std::unique_ptr<Keeper> keeper_;
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_DEVICE_KEEPER_OPENER_H_
