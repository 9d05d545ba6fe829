// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_DEVICE_HABANALABS_DRIVER_H_
#define HLBUF_DAEMON_DEVICE_HABANALABS_DRIVER_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "daemon/device/habanalabs_errors.h"
#include "daemon/device/habanalabs_uapi.h"
#include "daemon/device/syscalls.h"
#include "proto/wire/unique_fd.h"

namespace hlbuf {

// The ioctls of one open node of a card, with types, and with errors in words
// (HabanalabsCallFailed). A control node answers questions alone, and not all of them.
class HabanalabsDriver {
 public:
  enum class Uapi : std::uint8_t { kAccel, kLegacy };

  // Finds out which ioctls the node behind `fd` takes. `path` is for messages.
  //
  // Errors: DEVICE_ERROR        neither: another driver's node
  //         DEVICE_UNAVAILABLE  the card is gone
  static absl::StatusOr<HabanalabsDriver> OnNode(Syscalls& syscalls, UniqueFd fd,
                                                 const std::string& path);

  int fd() const { return fd_.get(); }
  Uapi uapi() const { return uapi_; }
  const std::string& path() const { return path_; }

  // What an older driver does not know of it is 0.
  absl::StatusOr<hl::HwIp> HwIp() const;
  absl::StatusOr<hl::Status> DeviceStatus() const;
  absl::StatusOr<hl::ResetCount> ResetCount() const;
  absl::StatusOr<hl::OpenStats> OpenStats() const;
  absl::StatusOr<hl::DramUsage> DramUsage() const;

  // Compute node alone.
  absl::Status RegisterEventfd(int eventfd) const;
  // hl::Event bits since the last call, which are cleared thereby.
  absl::StatusOr<std::uint64_t> GetEvents() const;
  absl::StatusOr<std::uint64_t> Alloc(std::uint64_t size_bytes) const;  // a handle
  absl::StatusOr<std::uint64_t> Map(std::uint64_t handle) const;        // an address on the device
  // DEVICE_ERROR while memory of the mapping is exported.
  absl::Status Unmap(std::uint64_t address) const;
  absl::Status Free(std::uint64_t handle) const;
  // A close-on-exec dma-buf.
  absl::StatusOr<UniqueFd> Export(std::uint64_t address, std::uint64_t size_bytes,
                                  std::uint64_t offset) const;

 private:
  HabanalabsDriver(Syscalls& syscalls, UniqueFd fd, std::string path, Uapi uapi);

  int Ask(hl::InfoOp op, void* answer, std::uint32_t size_bytes, std::uint32_t argument = 0) const;
  int Memory(const hl::MemoryIn& in, hl::MemoryOut& out) const;
  template <class T>
  absl::StatusOr<T> Info(hl::InfoOp op, const char* name) const;
  absl::Status Failed(HabanalabsCall call, const std::string& what, int error) const;

  Syscalls* syscalls_;
  UniqueFd fd_;
  std::string path_;
  Uapi uapi_;
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_DEVICE_HABANALABS_DRIVER_H_
