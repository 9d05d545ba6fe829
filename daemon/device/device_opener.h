// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_DEVICE_DEVICE_OPENER_H_
#define HLBUF_DAEMON_DEVICE_DEVICE_OPENER_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
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
  // Keeps a copy of `fd` under `id` until Drop(): of the opened device itself, it has one already.
  virtual absl::Status Keep(std::uint64_t id, int fd) = 0;
  // OK: no copy is left under any of `ids`. Unknown ones are fine.
  virtual absl::Status Drop(absl::Span<const std::uint64_t> ids) = 0;
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
