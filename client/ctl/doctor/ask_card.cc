// SPDX-License-Identifier: Apache-2.0
#include "client/ctl/doctor/ask_card.h"

#include <fcntl.h>
#include <linux/ioctl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "client/ctl/doctor/files.h"

namespace hlbuf::ctl::doctor {
namespace {

// INFO of the driver's interface, which copies no more than both sides have.
struct InfoArgs {
  std::uint64_t return_pointer;
  std::uint32_t return_size;
  std::uint32_t op;
  std::uint32_t argument;
  std::uint32_t pad;
};
static_assert(sizeof(InfoArgs) == 24);
constexpr unsigned long kAccelInfo = _IOWR('d', 0x40, InfoArgs);
constexpr unsigned long kLegacyInfo = _IOWR('H', 0x01, InfoArgs);
constexpr std::uint32_t kHwIp = 0, kOpenStats = 18;

struct HwIp {
  std::uint64_t unused_1[2];
  std::uint64_t dram_bytes;
  std::uint32_t unused_2[3];
  std::uint32_t module_id;
  std::uint8_t unused_3[256];
  std::uint64_t reserved_bytes;  // since Linux 6.2 or so; stays 0 before
};
static_assert(offsetof(HwIp, dram_bytes) == 16 && offsetof(HwIp, module_id) == 36);
static_assert(offsetof(HwIp, reserved_bytes) == 296 && sizeof(HwIp) == 304);

struct OpenStats {
  std::uint64_t unused[2];
  std::uint8_t is_active;
  std::uint8_t in_release;
  std::uint8_t padding[6];
};
static_assert(sizeof(OpenStats) == 24);

class ControlNode {
 public:
  explicit ControlNode(int fd) : fd_(fd) {}
  // 0, or an errno.
  template <class Answer>
  int Ask(std::uint32_t op, Answer& answer) {
    int error = Call(op, &answer, sizeof(answer));
    if (error != ENOTTY || legacy_) return error;
    legacy_ = true;
    return Call(op, &answer, sizeof(answer));
  }
  bool legacy() const { return legacy_; }

 private:
  int Call(std::uint32_t op, void* answer, std::uint32_t size) const {
    InfoArgs args = {.return_pointer = reinterpret_cast<std::uintptr_t>(answer),
                     .return_size = size,
                     .op = op,
                     .argument = 0,
                     .pad = 0};
    return ::ioctl(fd_, legacy_ ? kLegacyInfo : kAccelInfo, &args) == 0 ? 0 : errno;
  }
  int fd_;  // borrowed
  bool legacy_ = false;
};

}  // namespace

absl::StatusOr<CardAnswers> AskCard(const DeviceFile& control) {
  if (!control.looked.ok()) return control.looked;
  if (!control.is_device || control.number != control.meant)
    return absl::FailedPreconditionError(
        absl::StrCat(control.path, " is not the device that sysfs means"));
  const int fd = ::open(control.path.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return ErrorAt(control.path, errno);
  const absl::Cleanup close = [fd] { ::close(fd); };
  struct stat seen = {};
  if (::fstat(fd, &seen) != 0 || seen.st_rdev != control.meant)
    return absl::FailedPreconditionError(absl::StrCat(control.path, " was exchanged just now"));
  ControlNode node(fd);
  HwIp hw_ip = {};
  if (const int error = node.Ask(kHwIp, hw_ip); error != 0)
    return ErrorAt(control.path + ": HW_IP_INFO", error);
  OpenStats stats = {};
  (void)node.Ask(kOpenStats, stats);  // says "not in use" when it fails: the scan of /proc decides
  return CardAnswers{.legacy_calls = node.legacy(),
                     .module_id = hw_ip.module_id,
                     .dram_bytes = hw_ip.dram_bytes,
                     .reserved_bytes = hw_ip.reserved_bytes,
                     .in_use = stats.is_active != 0 || stats.in_release != 0};
}

}  // namespace hlbuf::ctl::doctor
