// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_DEVICE_DEVICE_OPENER_H_
#define HLBUF_DAEMON_DEVICE_DEVICE_OPENER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "daemon/device/kept_copy.h"
#include "daemon/device/syscalls.h"
#include "proto/wire/unique_fd.h"

namespace hlbuf {

// Who opens a device, and keeps copies of what came of it. A driver that resets its device kills
// whoever opened it, so that can be a process of its own. Worker thread; may block.
class DeviceOpener {
 public:
  // The opened device itself, among the ids; no inode has this number.
  static constexpr std::uint64_t kDevice = 0;

  virtual ~DeviceOpener() = default;

  // O_RDWR and close-on-exec. The status of a failed open() has its errno (WithErrno()), for the
  // caller to explain; any other says why the opener itself failed.
  virtual absl::StatusOr<UniqueFd> Open(const std::string& path) = 0;
  // Keeps a copy of `fd` under `id` until Drop(). Whoever opened the device has a copy of that.
  virtual absl::Status Keep(std::uint64_t id, int fd) = 0;
  // OK: no copy is left under any of `ids`. Unknown ones are fine.
  virtual absl::Status Drop(absl::Span<const std::uint64_t> ids) = 0;
  // The same, sooner or later: for what nobody counts.
  virtual absl::Status DropSoon(absl::Span<const std::uint64_t> ids) { return Drop(ids); }

  // Whether it has died, and all its copies with it, or are about to go. Waits for nothing.
  virtual bool Died() const { return false; }
  // Hangs up when it dies; -1: it does not. Changes in Open(), End(), Begin(), and when the device
  // is dropped.
  virtual int death_fd() const { return -1; }
  // Ends what has died, and says how it did: "process 4711 killed by SIGKILL".
  virtual std::string End() { return ""; }
  // After End(), or at first: one that has nothing open, and keeps what it is given from now on.
  virtual absl::Status Begin() { return absl::OkStatus(); }

  // At first: the one that an earlier process of this service had, with duplicates of all that it
  // keeps, and goes on to keep; the device too, if it opened that (kDevice). Where that failed, it
  // can be tried again, unless it says:
  //
  // Errors: NOT_FOUND      there is none, or it keeps nothing that can be had; what it kept is gone
  virtual absl::StatusOr<std::vector<KeptCopy>> Resume() {
    return absl::NotFoundError("nothing was kept");
  }
  // Whether all that it keeps is there for Resume() of the next process of this service when this
  // one ends; else it ends with this object.
  virtual bool outlives() const { return false; }
};

// Opens in this process, which thereby is what the driver kills, and keeps nothing.
class DirectOpener final : public DeviceOpener {
 public:
  explicit DirectOpener(Syscalls& syscalls) : syscalls_(syscalls) {}
  absl::StatusOr<UniqueFd> Open(const std::string& path) override;
  absl::Status Keep(std::uint64_t, int) override { return absl::OkStatus(); }
  absl::Status Drop(absl::Span<const std::uint64_t>) override { return absl::OkStatus(); }

 private:
  Syscalls& syscalls_;
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_DEVICE_DEVICE_OPENER_H_
