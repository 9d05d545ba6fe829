// SPDX-License-Identifier: Apache-2.0
// What this project uses of the habanalabs driver's interface to user space, in declarations of our
// own: machines that build this seldom have the driver's header, and never one for all kernels.
// habanalabs_uapi_*test.cc compare them with such headers where they are installed.
//
// Kernels since 6.7 have DRM ioctls on the nodes of class accel. Older ones have magic 'H'; the
// structures are the same.
#ifndef HLBUF_DAEMON_DEVICE_HABANALABS_UAPI_H_
#define HLBUF_DAEMON_DEVICE_HABANALABS_UAPI_H_

#include <linux/ioctl.h>

#include <cstddef>
#include <cstdint>

namespace hlbuf::hl {

enum InfoOp : std::uint32_t {
  kInfoHwIp = 0,
  kInfoDramUsage = 2,
  kInfoDeviceStatus = 4,
  kInfoResetCount = 9,
  kInfoOpenStats = 18,
  kInfoRegisterEventfd = 28,  // compute node alone, like the next two
  kInfoUnregisterEventfd = 29,
  kInfoGetEvents = 30,  // returns the bits and clears them
};

struct InfoArgs {
  std::uint64_t return_pointer;
  std::uint32_t return_size;  // the driver copies no more than it has itself
  std::uint32_t op;
  std::uint32_t argument;  // of kInfoRegisterEventfd: the descriptor
  std::uint32_t pad;       // 0
};
static_assert(sizeof(InfoArgs) == 24 && offsetof(InfoArgs, op) == 12 &&
              offsetof(InfoArgs, argument) == 16);

struct HwIp {
  std::uint64_t sram_base_address;
  std::uint64_t dram_base_address;
  std::uint64_t dram_size;
  std::uint32_t sram_size;
  std::uint32_t num_of_events;
  std::uint32_t device_id;
  std::uint32_t module_id;
  std::uint8_t unused_1[6];
  std::uint16_t server_type;
  std::uint8_t unused_2[21];
  std::uint8_t dram_enabled;
  std::uint8_t security_enabled;
  std::uint8_t unused_3[129];
  char card_name[16];
  std::uint64_t unused_4;
  std::uint64_t dram_page_size;
  std::uint8_t unused_5[16];
  std::uint64_t device_mem_alloc_default_page_size;
  // Linux 6.1 ends here.
  std::uint8_t unused_6[21];
  std::uint8_t revision_id;
  std::uint8_t unused_7[18];
  std::uint64_t reserved_dram_size;
};
inline constexpr std::size_t kHwIpBytesIn61 = 256;
static_assert(sizeof(HwIp) == 304 && offsetof(HwIp, unused_6) == kHwIpBytesIn61);

struct DramUsage {
  std::uint64_t dram_free_mem;
  std::uint64_t ctx_dram_mem;
};
static_assert(sizeof(DramUsage) == 16);

enum Status : std::uint32_t {
  kOperational = 0,
  kInReset = 1,
  kMalfunction = 2,  // "disabled" in sysfs
  kNeedsReset = 3,
  kInDeviceCreation = 4,  // counts as operational
  kInResetAfterDeviceRelease = 5,
};
struct DeviceStatus {
  std::uint32_t status;
  std::uint32_t pad;
};
static_assert(sizeof(DeviceStatus) == 8);

struct ResetCount {
  std::uint32_t hard_reset_cnt;
  std::uint32_t soft_reset_cnt;
};
static_assert(sizeof(ResetCount) == 8);

struct OpenStats {
  std::uint64_t open_counter;
  std::uint64_t last_open_period_ms;
  std::uint8_t is_compute_ctx_active;
  std::uint8_t compute_ctx_in_release;
  std::uint8_t pad[6];
};
static_assert(sizeof(OpenStats) == 24 && offsetof(OpenStats, compute_ctx_in_release) == 17);

enum Event : std::uint64_t {
  kEventTpcAssert = 1U << 0,
  kEventUndefinedOpcode = 1U << 1,
  kEventDeviceReset = 1U << 2,
  kEventCsTimeout = 1U << 3,
  kEventDeviceUnavailable = 1U << 4,
  kEventUserEngineError = 1U << 5,
  kEventGeneralHwError = 1U << 6,
  kEventRazwi = 1U << 7,
  kEventPageFault = 1U << 8,
  kEventCriticalHwError = 1U << 9,
  kEventCriticalFwError = 1U << 10,
};

enum MemoryOp : std::uint32_t {
  kMemoryAlloc = 0,
  kMemoryFree = 1,
  kMemoryMap = 2,
  kMemoryUnmap = 3,
  kMemoryExportDmabufFd = 5,
};

struct MemoryIn {
  union {
    struct {
      std::uint64_t mem_size;
      std::uint64_t page_size;  // 0: the default one
    } alloc;
    struct {
      std::uint64_t handle;
    } free;
    struct {
      std::uint64_t hint_addr;
      std::uint64_t handle;
    } map_device;
    struct {
      std::uint64_t device_virt_addr;
    } unmap;
    // Up to Linux 6.1, `address` was called handle, and there was no offset.
    struct {
      std::uint64_t address;
      std::uint64_t mem_size;
      std::uint64_t offset;
    } export_dmabuf_fd;
  };
  std::uint32_t op;
  std::uint32_t flags;  // of kMemoryExportDmabufFd: those of the descriptor, O_*
  std::uint32_t ctx_id;
  std::uint32_t num_of_elements;
};
struct MemoryOut {
  union {
    std::uint64_t device_virt_addr;
    std::uint64_t handle;
    std::int32_t fd;
  };
  std::uint64_t unused;
};
// `in` is gone when the call returns: the driver writes `out` over it, also when it fails.
union MemoryArgs {
  MemoryIn in;
  MemoryOut out;
};
static_assert(sizeof(MemoryArgs) == 40 && sizeof(MemoryOut) == 16 && offsetof(MemoryIn, op) == 24 &&
              offsetof(MemoryIn, flags) == 28 && offsetof(MemoryIn, export_dmabuf_fd.offset) == 16);

inline constexpr unsigned long kAccelInfo = _IOWR('d', 0x40, InfoArgs);
inline constexpr unsigned long kAccelMemory = _IOWR('d', 0x44, MemoryArgs);
inline constexpr unsigned long kLegacyInfo = _IOWR('H', 0x01, InfoArgs);
inline constexpr unsigned long kLegacyMemory = _IOWR('H', 0x05, MemoryArgs);
static_assert(kAccelInfo == 0xc0186440 && kAccelMemory == 0xc0286444);
static_assert(kLegacyInfo == 0xc0184801 && kLegacyMemory == 0xc0284805);

}  // namespace hlbuf::hl

#endif  // HLBUF_DAEMON_DEVICE_HABANALABS_UAPI_H_
