// SPDX-License-Identifier: Apache-2.0
#include "tests/vm/hlsim_rig.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <utility>

#include "tests/support/child.h"
#if __has_include(<drm/habanalabs_accel.h>)
#include <drm/habanalabs_accel.h>
#elif __has_include(<misc/habanalabs.h>)
#include <misc/habanalabs.h>
#endif

namespace hlbuf {
namespace {

struct InfoArgs {
  std::uint64_t pointer;
  std::uint32_t bytes, op, argument, pad;
};
struct MemoryIn {
  std::uint64_t a, b, c;
  std::uint32_t op, flags, context, elements;
};
union MemoryArgs {
  MemoryIn in;
  std::uint64_t handle;
  std::int32_t fd;
};
constexpr unsigned long kAccelInfo = _IOWR('d', 0x40, InfoArgs);
constexpr unsigned long kAccelMemory = _IOWR('d', 0x44, MemoryArgs);
constexpr unsigned long kLegacyInfo = _IOWR('H', 0x01, InfoArgs);
constexpr unsigned long kLegacyMemory = _IOWR('H', 0x05, MemoryArgs);
static_assert(kAccelInfo == 0xc0186440 && kAccelMemory == 0xc0286444);
static_assert(kLegacyInfo == 0xc0184801 && kLegacyMemory == 0xc0284805);
static_assert(sizeof(HwIp) == 304);

constexpr std::uint32_t kAlloc = 0, kFree = 1, kMap = 2, kUnmap = 3, kExport = 5;

#ifdef HL_MEM_OP_EXPORT_DMABUF_FD  // this machine has the driver's header
static_assert(sizeof(InfoArgs) == sizeof(hl_info_args));
static_assert(sizeof(MemoryArgs) == sizeof(hl_mem_args));
static_assert(offsetof(MemoryIn, op) == offsetof(hl_mem_in, op));
static_assert(offsetof(HwIp, dram_page_bytes) == offsetof(hl_info_hw_ip_info, dram_page_size));
static_assert(sizeof(OpenStats) == sizeof(hl_open_stats_info));
static_assert(kAlloc == HL_MEM_OP_ALLOC && kFree == HL_MEM_OP_FREE && kMap == HL_MEM_OP_MAP);
static_assert(kUnmap == HL_MEM_OP_UNMAP && kExport == HL_MEM_OP_EXPORT_DMABUF_FD);
static_assert(kInfoGetEvents == HL_INFO_GET_EVENTS && kInfoOpenStats == HL_INFO_OPEN_STATS);
static_assert(kEventReset == HL_NOTIFIER_EVENT_DEVICE_RESET);
#endif

// Whole, in one write, as debugfs and sysfs want it.
void WriteTo(const std::string& path, const std::string& text) {
  const UniqueFd file(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  ASSERT_TRUE(file) << path << ": " << std::strerror(errno);
  ASSERT_EQ(write(file.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()))
      << path << " does not take '" << text << "': " << std::strerror(errno);
}

// No constructor can fail by itself: a module that is not there fails the test here.
std::string AfterItsDependencies(const std::string& path) {
  EXPECT_EQ(std::system("modprobe drm"), 0);
  return path;
}

std::string WithShortTimes(const std::string& parameters) {
  return "watchdog_ms=" + std::to_string(Hlsim::kWatchdogMs) +
         " kill_delay_ms=50 pending_ms=400 retry_ms=50 retries_max=2 reset_ms=20 " + parameters;
}

}  // namespace

KernelModule::KernelModule(const std::string& name, const std::string& path,
                           const std::string& parameters)
    : name_(name) {
  const std::string built = BuiltPath(path);
  const UniqueFd file(open(built.c_str(), O_RDONLY | O_CLOEXEC));
  EXPECT_TRUE(file) << built << ": " << std::strerror(errno)
                    << "; tests/vm/hlsim/build.sh makes it";
  EXPECT_EQ(syscall(SYS_finit_module, file.get(), parameters.c_str(), 0), 0)
      << built << " " << parameters << ": " << std::strerror(errno);
}

// A module is in use until the last file of it has gone, which a close does not wait for.
KernelModule::~KernelModule() {
  EXPECT_TRUE(Eventually([this] {
    return syscall(SYS_delete_module, name_.c_str(), O_NONBLOCK) == 0;
  })) << name_
      << " stays: " << std::strerror(errno);
}

void KernelModule::Set(const std::string& parameter, const std::string& value) const {
  WriteTo("/sys/module/" + name_ + "/parameters/" + parameter, value);
}

Hlsim::Hlsim(const std::string& parameters)
    : legacy_(parameters.find("legacy=6") != std::string::npos),
      module_("habanalabs", AfterItsDependencies("tests/vm/hlsim/habanalabs.ko"),
              WithShortTimes(parameters)) {}

std::string Hlsim::Node(int card) const {
  return (legacy_ ? "/dev/hl" : "/dev/accel/accel") + std::to_string(card);
}

std::string Hlsim::ControlNode(int card) const {
  return (legacy_ ? "/dev/hl_controlD" : "/dev/accel/accel_controlD") + std::to_string(card);
}

std::string Hlsim::Attribute(const std::string& name, int card) const {
  const std::string number = std::to_string(card);
  return legacy_ ? "/sys/class/habanalabs/hl" + number + "/" + name
                 : "/sys/class/accel/accel" + number + "/device/" + name;
}

std::string Hlsim::DebugFile(const std::string& name, int card) const {
  if (legacy_) return "/sys/kernel/debug/habanalabs/hl" + std::to_string(card) + "/" + name;
  std::string parent = ReadAll(Attribute("parent_device", card));
  if (!parent.empty()) parent.pop_back();  // its end of line
  return "/sys/kernel/debug/accel/" + parent + "/" + name;
}

void Hlsim::Trigger(const std::string& command, int card) const {
  WriteTo(DebugFile("trigger", card), command);
}

void Hlsim::Inject(const std::string& rule, int card) const {
  WriteTo(DebugFile("inject", card), rule);
}

std::string Hlsim::Status(int card) const { return ReadAll(Attribute("status", card)); }

std::uint64_t Hlsim::HardResets(int card) const {
  std::uint64_t count = 0;
  std::ifstream(Attribute("hard_reset_cnt", card)) >> count;
  return count;
}

std::string Hlsim::State(int card) const { return ReadAll(DebugFile("state", card)); }

bool Hlsim::BecomesOperational() const {
  return Eventually([this] { return Status() == "Operational\n"; });
}

HlNode::HlNode(const std::string& path) : legacy_(path.rfind("/dev/hl", 0) == 0) {
  Eventually([&] {
    fd_.Reset(open(path.c_str(), O_RDWR | O_CLOEXEC));
    return fd_.get() >= 0 || errno != EAGAIN;
  });
  EXPECT_TRUE(fd_) << path << ": " << std::strerror(errno);
}

int HlNode::ErrorOfOpening(const std::string& path, int flags) {
  const UniqueFd opened(open(path.c_str(), O_RDWR | O_CLOEXEC | flags));
  return opened ? 0 : errno;
}

Outcome HlNode::Memory(std::uint32_t op, std::uint32_t flags, std::uint64_t a, std::uint64_t b,
                       std::uint64_t c) const {
  MemoryArgs args = {.in = {.a = a, .b = b, .c = c, .op = op, .flags = flags}};
  const int result = ioctl(fd_.get(), legacy_ ? kLegacyMemory : kAccelMemory, &args);
  if (result == 0) return {.value = op == kExport ? static_cast<unsigned>(args.fd) : args.handle};
  const int error = errno;
  if (op == kExport && error != EBUSY && error != ENODEV && error != ENOTTY) {
    EXPECT_EQ(args.fd, -EBADF);
  }
  return {.error = error};
}

Outcome HlNode::Alloc(std::uint64_t bytes) const { return Memory(kAlloc, 0, bytes); }
Outcome HlNode::Map(std::uint64_t handle) const { return Memory(kMap, 0, 0, handle); }
Outcome HlNode::Unmap(std::uint64_t address) const { return Memory(kUnmap, 0, address); }
Outcome HlNode::Free(std::uint64_t handle) const { return Memory(kFree, 0, handle); }

Outcome HlNode::Export(std::uint64_t address, std::uint64_t bytes, std::uint64_t offset) const {
  return Memory(kExport, O_RDWR | O_CLOEXEC, address, bytes, offset);
}

UniqueFd HlNode::ExportFd(std::uint64_t address, std::uint64_t bytes, std::uint64_t offset) const {
  const Outcome made = Export(address, bytes, offset);
  EXPECT_EQ(made.error, 0) << std::strerror(made.error);
  return made.error != 0 ? UniqueFd() : UniqueFd(static_cast<int>(made.value));
}

std::uint64_t HlNode::Chunk(std::uint64_t bytes) const {
  const Outcome handle = Alloc(bytes);
  EXPECT_EQ(handle.error, 0) << std::strerror(handle.error);
  const Outcome address = Map(handle.value);
  EXPECT_EQ(address.error, 0) << std::strerror(address.error);
  return address.value;
}

int HlNode::Info(std::uint32_t op, void* value, std::uint32_t bytes, std::uint32_t argument,
                 std::uint32_t pad) const {
  InfoArgs args = {.pointer = reinterpret_cast<std::uintptr_t>(value),
                   .bytes = bytes,
                   .op = op,
                   .argument = argument,
                   .pad = pad};
  return ioctl(fd_.get(), legacy_ ? kLegacyInfo : kAccelInfo, &args) == 0 ? 0 : errno;
}

UniqueFd HlNode::RegisterEventfd() const {
  UniqueFd made(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  EXPECT_EQ(Info(kInfoRegisterEventfd, nullptr, 0, static_cast<std::uint32_t>(made.get())), 0);
  return made;
}

std::uint64_t HlNode::TakeEvents() const {
  std::uint64_t events = 0;
  EXPECT_EQ(Info(kInfoGetEvents, &events, sizeof events), 0);
  return events;
}

std::uint32_t HlNode::Status() const {
  std::uint32_t status[2] = {~0U, 0};
  EXPECT_EQ(Info(kInfoStatus, status, sizeof status), 0);
  return status[0];
}

Importer::Importer(const std::string& parameters)
    : Importer(
          std::make_unique<KernelModule>("hlimport", "tests/vm/hlsim/hlimport.ko", parameters)) {}

Importer::Importer(std::unique_ptr<KernelModule> module)
    : module_(std::move(module)), fd_(open("/dev/hlimport", O_RDWR | O_CLOEXEC)) {
  EXPECT_TRUE(fd_) << std::strerror(errno);
}

Outcome Importer::Register(int dmabuf, std::uint64_t offset, std::uint64_t length) const {
  hlimport_register args = {.offset = offset, .length = length, .fd = dmabuf, .id = 0};
  if (ioctl(fd_.get(), HLIMPORT_REGISTER, &args) != 0) return {.error = errno};
  return {.value = args.id};
}

int Importer::Deregister(std::uint64_t id) const {
  return ioctl(fd_.get(), HLIMPORT_DEREGISTER, id) == 0 ? 0 : errno;
}

std::string Importer::Read(std::uint64_t id, std::uint64_t offset, std::uint64_t length) const {
  std::string bytes(length, '?');
  hlimport_copy args = {.offset = offset,
                        .length = length,
                        .bytes = reinterpret_cast<std::uintptr_t>(bytes.data()),
                        .id = static_cast<std::uint32_t>(id)};
  const int result = ioctl(fd_.get(), HLIMPORT_READ, &args);
  EXPECT_EQ(result, 0) << std::strerror(errno);
  return bytes;
}

int Importer::Write(std::uint64_t id, std::uint64_t offset, const std::string& bytes) const {
  hlimport_copy args = {.offset = offset,
                        .length = bytes.size(),
                        .bytes = reinterpret_cast<std::uintptr_t>(bytes.data()),
                        .id = static_cast<std::uint32_t>(id)};
  return ioctl(fd_.get(), HLIMPORT_WRITE, &args) == 0 ? 0 : errno;
}

std::string Importer::Held() const { return ReadAll("/sys/kernel/debug/hlimport/held"); }

std::optional<int> KilledBy(pid_t child, int ms) {
  siginfo_t info = {};
  Eventually(
      [&] {
        return waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
               info.si_pid == child;
      },
      ms);
  if (info.si_pid != child || info.si_code != CLD_KILLED) return std::nullopt;
  return info.si_status;
}

}  // namespace hlbuf
