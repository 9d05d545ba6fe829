// SPDX-License-Identifier: Apache-2.0
// The stand-in for the habanalabs driver and the importer, loaded for a test; and the driver's
// calls, bare. Needs root and a kernel to load modules into: the guest.
#ifndef HLBUF_TESTS_VM_HLSIM_RIG_H_
#define HLBUF_TESTS_VM_HLSIM_RIG_H_

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "proto/wire/unique_fd.h"
#include "tests/vm/hlsim/hlsim.h"

namespace hlbuf {

// A kernel module that is unloaded with this object, once nobody uses it any more.
class KernelModule {
 public:
  // `path`: below the build directory; `parameters` as in "page_mib=2 asic=gaudi".
  KernelModule(const std::string& name, const std::string& path, const std::string& parameters);
  ~KernelModule();
  KernelModule(const KernelModule&) = delete;
  KernelModule& operator=(const KernelModule&) = delete;
  void Set(const std::string& parameter, const std::string& value) const;

 private:
  std::string name_;
};

// The stand-in; the timings of a reset are short unless `parameters` says otherwise.
class Hlsim {
 public:
  static constexpr int kWatchdogMs = 1000;
  explicit Hlsim(const std::string& parameters = "");
  void Set(const std::string& parameter, const std::string& value) const {
    module_.Set(parameter, value);
  }
  // Paths of card N.
  std::string Node(int card = 0) const;
  std::string ControlNode(int card = 0) const;
  std::string Attribute(const std::string& name, int card = 0) const;
  std::string DebugFile(const std::string& name, int card = 0) const;

  void Trigger(const std::string& command, int card = 0) const;
  void Inject(const std::string& rule, int card = 0) const;
  std::string Status(int card = 0) const;  // as sysfs says
  std::uint64_t HardResets(int card = 0) const;
  std::string State(int card = 0) const;  // for failure messages
  bool BecomesOperational() const;

 private:
  bool legacy_;
  KernelModule module_;
};

// What a call returned: `value`, or an errno.
struct Outcome {
  std::uint64_t value = 0;
  int error = 0;
};

// An open node, compute or control, and its calls.
class HlNode {
 public:
  HlNode() = default;
  // Waits out EAGAIN, which every close leaves behind for a moment.
  explicit HlNode(const std::string& path);
  static int ErrorOfOpening(const std::string& path, int flags = 0);
  int fd() const { return fd_.get(); }
  void Close() { fd_.Reset(); }

  Outcome Alloc(std::uint64_t bytes) const;
  Outcome Map(std::uint64_t handle) const;
  Outcome Unmap(std::uint64_t address) const;
  Outcome Free(std::uint64_t handle) const;
  Outcome Export(std::uint64_t address, std::uint64_t bytes, std::uint64_t offset = 0) const;
  UniqueFd ExportFd(std::uint64_t address, std::uint64_t bytes, std::uint64_t offset = 0) const;
  // Allocates and maps; the address.
  std::uint64_t Chunk(std::uint64_t bytes) const;

  int Info(std::uint32_t op, void* value, std::uint32_t bytes, std::uint32_t argument = 0,
           std::uint32_t pad = 0) const;
  UniqueFd RegisterEventfd() const;
  std::uint64_t TakeEvents() const;
  std::uint32_t Status() const;

 private:
  Outcome Memory(std::uint32_t op, std::uint32_t flags, std::uint64_t a, std::uint64_t b = 0,
                 std::uint64_t c = 0) const;
  UniqueFd fd_;
  bool legacy_ = false;
};

// INFO, MEMORY: the driver's numbers.
inline constexpr std::uint32_t kInfoHwIp = 0, kInfoDramUsage = 2, kInfoStatus = 4,
                               kInfoResetCount = 9, kInfoOpenStats = 18, kInfoPageSizes = 26,
                               kInfoRegisterEventfd = 28, kInfoUnregisterEventfd = 29,
                               kInfoGetEvents = 30;
inline constexpr std::uint32_t kOperational = 0, kInReset = 1, kMalfunction = 2, kNeedsReset = 3;
inline constexpr std::uint64_t kEventReset = 1 << 2, kEventUnavailable = 1 << 4,
                               kEventHardware = 1 << 6, kEventFirmware = 1 << 10;

struct HwIp {  // the first members, and what says how large a page is
  std::uint64_t sram_base, dram_base, dram_bytes;
  std::uint32_t sram_bytes, events, device_id, module_id;
  std::uint8_t skipped[184];
  std::uint64_t dram_page_bytes;
  std::uint64_t skipped_too[2];
  std::uint64_t default_page_bytes;
  std::uint8_t rest[48];
};
struct DramUsage {
  std::uint64_t free, mine;
};
struct ResetCount {
  std::uint32_t hard, soft;
};
struct OpenStats {
  std::uint64_t opened, last_ms;
  std::uint8_t active, releasing, padding[6];
};

// The importer, loaded; and one open file of it, as a process with an RDMA device has.
class Importer {
 public:
  explicit Importer(const std::string& parameters = "");
  int fd() const { return fd_.get(); }
  // Of a module that somebody else has loaded.
  static Importer OfLoadedModule() { return Importer(std::unique_ptr<KernelModule>()); }
  Outcome Register(int dmabuf, std::uint64_t offset, std::uint64_t length) const;
  int Deregister(std::uint64_t id) const;
  std::string Read(std::uint64_t id, std::uint64_t offset, std::uint64_t length) const;
  int Write(std::uint64_t id, std::uint64_t offset, const std::string& bytes) const;
  void Close() { fd_.Reset(); }
  std::string Held() const;
  void Set(const std::string& parameter, const std::string& value) const {
    module_->Set(parameter, value);
  }

 private:
  explicit Importer(std::unique_ptr<KernelModule> module);
  std::unique_ptr<KernelModule> module_;  // null: somebody else's
  UniqueFd fd_;
};

// The signal that has ended a child of this process, within `ms`; nullopt: it lives. It stays to be
// reaped.
std::optional<int> KilledBy(pid_t child, int ms);

}  // namespace hlbuf

#endif  // HLBUF_TESTS_VM_HLSIM_RIG_H_
