// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_CORE_DEVICE_H_
#define HLBUF_DAEMON_CORE_DEVICE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"
#include "daemon/core/backend.h"
#include "daemon/core/ids.h"
#include "daemon/core/release_proof.h"
#include "daemon/core/states.h"

namespace hlbuf {

// An operator's wish to keep a device out of use. It outlives the resets of the device.
struct Drain {
  std::string by;    // in words: who asked
  absl::Time since;  // of the injected clock
};

// A reset that has begun: what another process of this service needs to go on with it.
struct Closing {
  std::string why;
  Drill drill = Drill::kNone;
  absl::Time deadline;  // of the injected clock; what the holders were told first
  RevocationId revocation;
};

// One device of the broker: its backend, its state, its epoch, and what is in progress on its
// worker.
class Device {
 public:
  Device(std::string name, std::unique_ptr<Backend> backend, std::uint64_t first_epoch)
      : name_(std::move(name)), backend_(std::move(backend)), epoch_(first_epoch) {}

  const std::string& name() const { return name_; }
  DeviceState state() const { return state_; }
  // Counts the lives of the device; never repeats, not even over restarts of the daemon.
  std::uint64_t epoch() const { return epoch_; }
  const BackendTraits& traits() const { return backend_->traits(); }
  std::uint64_t used_bytes() const { return used_bytes_; }
  // Part of used_bytes(): of buffers that are DRAINING.
  std::uint64_t draining_bytes() const { return draining_bytes_; }
  std::uint64_t reserved_bytes() const { return backend_->reserved_bytes(); }
  KeeperRole keeper() const { return backend_->keeper(); }
  const std::string& failure() const { return failure_; }
  // What an operator should know though the device works; of this epoch. In words, or empty.
  const std::string& warning() const { return warning_; }
  // Whatever the state is: where it is set, the device is DRAINED as soon as it is open.
  const std::optional<Drain>& drain() const { return drain_; }
  // From the first notice of a reset until the device is closed.
  const std::optional<Closing>& closing() const { return closing_; }
  // Its memory can be held, and it can say that it is going to be reset.
  bool is_open() const { return state_ == DeviceState::kReady || state_ == DeviceState::kDrained; }

  Backend& backend() { return *backend_; }
  ReleaseProof& proof() { return *proof_; }
  void set_proof(std::unique_ptr<ReleaseProof> proof) { proof_ = std::move(proof); }

  void Apply(DeviceEvent on) { state_ = Checked(Next(state_, on)); }
  void BeginEpoch() {
    ++epoch_;
    warning_.clear();
  }
  void set_warning(std::string words) { warning_ = std::move(words); }
  void set_failure(std::string words) { failure_ = std::move(words); }
  void set_drain(std::optional<Drain> drain) { drain_ = std::move(drain); }
  void set_closing(std::optional<Closing> closing) { closing_ = std::move(closing); }
  // As an earlier process of this service left it.
  void GoOnFrom(std::uint64_t epoch) { epoch_ = epoch; }
  void Use(std::uint64_t bytes) { used_bytes_ += bytes; }
  void Unuse(std::uint64_t bytes) { used_bytes_ -= bytes; }
  void DrainBegan(std::uint64_t bytes) { draining_bytes_ += bytes; }
  void DrainEnded(std::uint64_t bytes) { draining_bytes_ -= bytes; }

  // Allocations and frees that the worker has not finished. The device is closed only when there
  // are none.
  void JobBegan() { ++jobs_; }
  void JobEnded();
  // Runs `task` when no job is in progress; at once if none is.
  void WhenIdle(absl::AnyInvocable<void() &&> task);

 private:
  std::string name_;
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<ReleaseProof> proof_;
  DeviceState state_ = DeviceState::kAbsent;
  std::uint64_t epoch_;
  std::uint64_t used_bytes_ = 0;
  std::uint64_t draining_bytes_ = 0;
  std::string failure_;
  std::string warning_;
  std::optional<Drain> drain_;
  std::optional<Closing> closing_;
  std::uint64_t jobs_ = 0;
  absl::AnyInvocable<void() &&> when_idle_;
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_CORE_DEVICE_H_
