// SPDX-License-Identifier: Apache-2.0
// How this service comes to a keeper, and to the same one again in its next life.
#ifndef HLBUF_DAEMON_DEVICE_KEEPER_DIALER_H_
#define HLBUF_DAEMON_DEVICE_KEEPER_DIALER_H_

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "daemon/device/keeper.h"
#include "daemon/device/keeper_store.h"

namespace hlbuf {

// Any thread; may block. `name` is of KeeperName().
class KeeperDialer {
 public:
  virtual ~KeeperDialer() = default;
  // A new keeper, which Redial() finds from now on, where anything outlives this process. Waits for
  // KeeperLimits::start.
  virtual absl::StatusOr<std::unique_ptr<Keeper>> Dial(const std::string& name,
                                                       KeeperLimits limits) = 0;
  // The one that an earlier process of this service had. UNAVAILABLE: there is none, or it has
  // died. Others: those of Keeper::Adopt().
  virtual absl::StatusOr<std::unique_ptr<Keeper>> Redial(const std::string& name,
                                                         KeeperLimits limits) = 0;
  // The last one of this name has ended, or is left to do so.
  virtual void Forget(const std::string& name) = 0;
  // Whether keepers that are left alone go on, for the next process of this service.
  virtual bool outlives() const = 0;
};

// "keeper-card_-0": what a device's keeper is called where names have no '/'.
std::string KeeperName(absl::string_view device);

// Keepers that this process begins. Each waits at a socket in a directory for the next process of
// this service, once this one has ended; another user's processes do not come to it.
class SpawnedKeepers final : public KeeperDialer {
 public:
  // Told what keeps keepers from waiting, once.
  using Warn = std::function<void(const std::string&)>;
  static constexpr int kWaitSeconds = 90;

  // `directory` is made if it is not there; empty: they end with this process.
  explicit SpawnedKeepers(
      std::string program, std::string directory = "", Warn warn = [](const std::string&) {})
      : program_(std::move(program)), directory_(std::move(directory)), warn_(std::move(warn)) {}

  absl::StatusOr<std::unique_ptr<Keeper>> Dial(const std::string& name,
                                               KeeperLimits limits) override;
  absl::StatusOr<std::unique_ptr<Keeper>> Redial(const std::string& name,
                                                 KeeperLimits limits) override;
  void Forget(const std::string& name) override;
  bool outlives() const override { return !directory_.empty(); }

 private:
  std::string PathOf(const std::string& name) const { return directory_ + "/" + name; }

  const std::string program_;
  const std::string directory_;
  const Warn warn_;
};

// Keepers that the service manager begins, one for each connection to its socket. One that takes
// longer to begin than Dial() waits is the one that the next Dial() waits for.
class ConnectedKeepers final : public KeeperDialer {
 public:
  // `store` lives longer.
  ConnectedKeepers(std::string socket, KeeperStore& store)
      : socket_(std::move(socket)), store_(store) {}

  absl::StatusOr<std::unique_ptr<Keeper>> Dial(const std::string& name,
                                               KeeperLimits limits) override;
  absl::StatusOr<std::unique_ptr<Keeper>> Redial(const std::string& name,
                                                 KeeperLimits limits) override;
  void Forget(const std::string& name) override { store_.Remove(name); }
  bool outlives() const override { return true; }

 private:
  absl::StatusOr<UniqueFd> ConnectionFor(const std::string& name);

  const std::string socket_;
  KeeperStore& store_;
  std::mutex mutex_;  // of late_
  // By name: of those that did not answer in time.
  absl::flat_hash_map<std::string, UniqueFd> late_;
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_DEVICE_KEEPER_DIALER_H_
