// SPDX-License-Identifier: Apache-2.0
#include "daemon/device/habanalabs_driver.h"

#include <fcntl.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "daemon/base/status_macros.h"
#include "daemon/core/error.h"
#include "daemon/device/error_text.h"

namespace hlbuf {
namespace {

// A signal that comes again and again would else keep a call for ever.
constexpr int kTries = 16;

// 0, or an errno. `call` is made anew after an interruption.
template <class Call>
int WithoutInterruption(Call call) {
  int error = EINTR;
  for (int i = 0; i < kTries && error == EINTR; ++i) error = call() < 0 ? errno : 0;
  return error;
}

hl::MemoryIn Operation(hl::MemoryOp op) {
  hl::MemoryIn in = {};
  in.op = op;
  return in;
}

}  // namespace

HabanalabsDriver::HabanalabsDriver(Syscalls& syscalls, UniqueFd fd, std::string path, Uapi uapi)
    : syscalls_(&syscalls), fd_(std::move(fd)), path_(std::move(path)), uapi_(uapi) {}

absl::StatusOr<HabanalabsDriver> HabanalabsDriver::OnNode(Syscalls& syscalls, UniqueFd fd,
                                                          const std::string& path) {
  HabanalabsDriver driver(syscalls, std::move(fd), path, Uapi::kAccel);
  hl::DeviceStatus status = {};
  int error = driver.Ask(hl::kInfoDeviceStatus, &status, sizeof(status));
  if (error == ENOTTY) {
    driver.uapi_ = Uapi::kLegacy;
    error = driver.Ask(hl::kInfoDeviceStatus, &status, sizeof(status));
  }
  if (error != 0) return driver.Failed(HabanalabsCall::kInfo, "the driver's INFO", error);
  return driver;
}

absl::Status HabanalabsDriver::Failed(HabanalabsCall call, const std::string& what,
                                      int error) const {
  return HabanalabsCallFailed(call, absl::StrCat(path_, ": ", what), error);
}

int HabanalabsDriver::Ask(hl::InfoOp op, void* answer, std::uint32_t size_bytes,
                          std::uint32_t argument) const {
  return WithoutInterruption([&] {
    hl::InfoArgs args = {.return_pointer = reinterpret_cast<std::uintptr_t>(answer),
                         .return_size = size_bytes,
                         .op = op,
                         .argument = argument,
                         .pad = 0};
    return syscalls_->Ioctl(fd_.get(), uapi_ == Uapi::kAccel ? hl::kAccelInfo : hl::kLegacyInfo,
                            &args);
  });
}

int HabanalabsDriver::Memory(const hl::MemoryIn& in, hl::MemoryOut& out) const {
  return WithoutInterruption([&] {
    hl::MemoryArgs args = {.in = in};
    const int result = syscalls_->Ioctl(
        fd_.get(), uapi_ == Uapi::kAccel ? hl::kAccelMemory : hl::kLegacyMemory, &args);
    out = args.out;
    return result;
  });
}

template <class T>
absl::StatusOr<T> HabanalabsDriver::Info(hl::InfoOp op, const char* name) const {
  T answer = {};
  const int error = Ask(op, &answer, sizeof(answer));
  if (error != 0) return Failed(HabanalabsCall::kInfo, name, error);
  return answer;
}

absl::StatusOr<hl::HwIp> HabanalabsDriver::HwIp() const {
  return Info<hl::HwIp>(hl::kInfoHwIp, "HW_IP_INFO");
}

absl::StatusOr<hl::Status> HabanalabsDriver::DeviceStatus() const {
  ASSIGN_OR_RETURN(const hl::DeviceStatus answer,
                   Info<hl::DeviceStatus>(hl::kInfoDeviceStatus, "DEVICE_STATUS"));
  return static_cast<hl::Status>(answer.status);
}

absl::StatusOr<hl::ResetCount> HabanalabsDriver::ResetCount() const {
  return Info<hl::ResetCount>(hl::kInfoResetCount, "RESET_COUNT");
}

absl::StatusOr<hl::OpenStats> HabanalabsDriver::OpenStats() const {
  return Info<hl::OpenStats>(hl::kInfoOpenStats, "OPEN_STATS");
}

absl::StatusOr<hl::DramUsage> HabanalabsDriver::DramUsage() const {
  return Info<hl::DramUsage>(hl::kInfoDramUsage, "DRAM_USAGE");
}

absl::Status HabanalabsDriver::RegisterEventfd(int eventfd) const {
  const int error = Ask(hl::kInfoRegisterEventfd, nullptr, 0, static_cast<std::uint32_t>(eventfd));
  return error == 0 ? absl::OkStatus()
                    : Failed(HabanalabsCall::kRegisterEventfd, "REGISTER_EVENTFD", error);
}

absl::StatusOr<std::uint64_t> HabanalabsDriver::GetEvents() const {
  return Info<std::uint64_t>(hl::kInfoGetEvents, "GET_EVENTS");
}

absl::StatusOr<std::uint64_t> HabanalabsDriver::Alloc(std::uint64_t size_bytes) const {
  hl::MemoryIn in = Operation(hl::kMemoryAlloc);
  in.alloc = {.mem_size = size_bytes, .page_size = 0};
  hl::MemoryOut out = {};
  if (const int error = Memory(in, out); error != 0)
    return Failed(HabanalabsCall::kAlloc, absl::StrCat("ALLOC of ", BytesText(size_bytes)), error);
  return out.handle;
}

absl::StatusOr<std::uint64_t> HabanalabsDriver::Map(std::uint64_t handle) const {
  hl::MemoryIn in = Operation(hl::kMemoryMap);
  in.map_device = {.hint_addr = 0, .handle = handle};
  hl::MemoryOut out = {};
  if (const int error = Memory(in, out); error != 0)
    return Failed(HabanalabsCall::kMap, absl::StrCat("MAP of handle ", handle), error);
  return out.device_virt_addr;
}

absl::Status HabanalabsDriver::Unmap(std::uint64_t address) const {
  hl::MemoryIn in = Operation(hl::kMemoryUnmap);
  in.unmap = {.device_virt_addr = address};
  hl::MemoryOut out = {};
  if (const int error = Memory(in, out); error != 0)
    return Failed(HabanalabsCall::kUnmap, absl::StrCat("UNMAP of 0x", absl::Hex(address)), error);
  return absl::OkStatus();
}

absl::Status HabanalabsDriver::Free(std::uint64_t handle) const {
  hl::MemoryIn in = Operation(hl::kMemoryFree);
  in.free = {.handle = handle};
  hl::MemoryOut out = {};
  if (const int error = Memory(in, out); error != 0)
    return Failed(HabanalabsCall::kFree, absl::StrCat("FREE of handle ", handle), error);
  return absl::OkStatus();
}

absl::StatusOr<UniqueFd> HabanalabsDriver::Export(std::uint64_t address, std::uint64_t size_bytes,
                                                  std::uint64_t offset) const {
  hl::MemoryIn in = Operation(hl::kMemoryExportDmabufFd);
  in.flags = O_RDWR | O_CLOEXEC;
  in.export_dmabuf_fd = {.address = address, .mem_size = size_bytes, .offset = offset};
  hl::MemoryOut out = {};
  if (const int error = Memory(in, out); error != 0)
    return Failed(HabanalabsCall::kExport,
                  absl::StrCat("EXPORT_DMABUF_FD of ", BytesText(size_bytes), " at 0x",
                               absl::Hex(address), " + ", offset),
                  error);
  if (out.fd < 0)
    return Error(ErrorCode::kDeviceError,
                 absl::StrCat(path_, ": EXPORT_DMABUF_FD succeeded without a descriptor"));
  return UniqueFd(out.fd);
}

}  // namespace hlbuf
