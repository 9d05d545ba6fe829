// SPDX-License-Identifier: Apache-2.0
#include "daemon/device/fake_habanalabs.h"

#include <linux/dma-buf.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <cerrno>
#include <filesystem>
#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace hlbuf {
namespace {

namespace fs = std::filesystem;

constexpr unsigned kMajor = 261;

int Refuse(int error) {
  errno = error;
  return -1;
}

ino_t InodeOf(int fd) {
  struct stat status = {};
  return ::fstat(fd, &status) == 0 ? status.st_ino : 0;
}

std::string TemporaryDirectory() {
  std::string path = (fs::temp_directory_path() / "fake-habanalabs-XXXXXX").string();
  return ::mkdtemp(path.data()) == nullptr ? "" : path;
}

}  // namespace

FakeHabanalabs::FakeHabanalabs() : directory_(TemporaryDirectory()) { SetMemoryScrub(false); }

FakeHabanalabs::~FakeHabanalabs() {
  std::error_code ignored;
  fs::remove_all(directory_, ignored);
}

void FakeHabanalabs::WriteSysfs(const std::string& path, const std::string& text) {
  const fs::path whole(absl::StrCat(directory_, "/sys/", path));
  fs::create_directories(whole.parent_path());
  std::ofstream(whole) << text;
}

void FakeHabanalabs::SetMemoryScrub(bool on) {
  WriteSysfs("module/habanalabs/parameters/memory_scrub", on ? "1\n" : "0\n");
  for (FakeHabanalabsCard& card : cards_) card.scrubs = on;
}

std::string FakeHabanalabs::SysfsOf(const FakeHabanalabsCard& card) const {
  return absl::StrCat(directory_, "/sys/bus/pci/devices/", card.pci);
}

FakeHabanalabsCard& FakeHabanalabs::Add(const HlCard& like) {
  const auto index = static_cast<unsigned>(cards_.size());
  FakeHabanalabsCard& card = cards_.emplace_back(like);
  const std::string pci = absl::StrCat("bus/pci/devices/", card.pci);
  const std::string driver = absl::StrCat("bus/pci/drivers/", card.driver);
  WriteSysfs(absl::StrCat(driver, "/bind"), "");
  WriteSysfs(absl::StrCat(pci, "/vendor"), "0x1da3\n");
  fs::create_directory_symlink(absl::StrCat(directory_, "/sys/", driver),
                               absl::StrCat(SysfsOf(card), "/driver"));
  if (card.bar_bytes) {
    const std::string none = "0x0000000000000000 0x0000000000000000 0x0000000000000000\n";
    WriteSysfs(absl::StrCat(pci, "/resource"),
               absl::StrCat(none, none, none, none, "0x0000004000000000 0x",
                            absl::Hex(0x4000000000 + *card.bar_bytes - 1, absl::kZeroPad16),
                            " 0x000000000014220c\n", none, none));
  }
  const std::string sysfs_class = card.legacy ? "habanalabs" : "accel";
  const std::string compute = absl::StrCat(card.legacy ? "hl" : "accel", index);
  const std::string control = absl::StrCat(card.legacy ? "hl_controlD" : "accel_controlD", index);
  const std::string below = card.legacy ? "" : "accel/";
  AddNode(sysfs_class, compute, below + compute,
          {.card = &card, .control = false, .number = makedev(kMajor, index)});
  AddNode(sysfs_class, control, below + control,
          {.card = &card, .control = true, .number = makedev(kMajor + 1, index)});
  fs::create_directory_symlink(
      SysfsOf(card), absl::StrCat(directory_, "/sys/class/", sysfs_class, "/", compute, "/device"));
  if (card.driver != "habanalabs") return card;
  // Old kernels have them at the node.
  const std::string at = card.legacy ? absl::StrCat("class/", sysfs_class, "/", compute) : pci;
  WriteSysfs(absl::StrCat(at, "/pci_addr"), card.pci + "\n");
  WriteSysfs(absl::StrCat(at, "/device_type"), card.type + "\n");
  WriteSysfs(absl::StrCat(at, "/module_id"), absl::StrCat(card.module_id, "\n"));
  WriteSysfs(absl::StrCat(at, "/hard_reset"), "");
  return card;
}

void FakeHabanalabs::AddNode(const std::string& sysfs_class, const std::string& name,
                             const std::string& devname, const Node& node) {
  const std::string entry = absl::StrCat("class/", sysfs_class, "/", name);
  WriteSysfs(absl::StrCat(entry, "/dev"),
             absl::StrCat(major(node.number), ":", minor(node.number), "\n"));
  WriteSysfs(absl::StrCat(entry, "/uevent"),
             absl::StrCat("MAJOR=", major(node.number), "\nMINOR=", minor(node.number),
                          "\nDEVNAME=", devname, "\n"));
  nodes_[absl::StrCat(directory_, "/dev/", devname)] = node;
}

UniqueFd FakeHabanalabs::Open(const std::string& path, int) {
  opened.push_back(path);
  const auto it = nodes_.find(path);
  if (it == nodes_.end()) return UniqueFd(Refuse(ENOENT));
  const Node& node = it->second;
  UniqueFd fd(::memfd_create("fake-node", MFD_CLOEXEC));
  const ino_t inode = InodeOf(fd.get());
  if ((node.control ? node.card->OpenControl() : node.card->OpenCompute(inode)) != 0) {
    const int error = errno;
    fd.Reset();
    return UniqueFd(Refuse(error));
  }
  open_[inode] = node;
  return fd;
}

const FakeHabanalabs::Node* FakeHabanalabs::NodeOf(int fd) const {
  const auto it = open_.find(InodeOf(fd));
  return it == open_.end() ? nullptr : &it->second;
}

int FakeHabanalabs::Ioctl(int fd, unsigned long request, void* argument) {
  if (request == DMA_BUF_SET_NAME) {
    dmabuf_names.emplace_back(static_cast<const char*>(argument));
    return 0;
  }
  const Node* const node = NodeOf(fd);
  if (node == nullptr || node->card->driver != "habanalabs") return Refuse(ENOTTY);
  FakeHabanalabsCard& card = *node->card;
  if (request == (card.legacy ? hl::kLegacyInfo : hl::kAccelInfo))
    return card.Info(node->control, *static_cast<hl::InfoArgs*>(argument));
  if (request == (card.legacy ? hl::kLegacyMemory : hl::kAccelMemory) && !node->control)
    return card.Memory(*static_cast<hl::MemoryArgs*>(argument));
  return Refuse(ENOTTY);
}

int FakeHabanalabs::DeviceNumber(int fd, dev_t* number) {
  const Node* const node = NodeOf(fd);
  if (node == nullptr) return Refuse(EBADF);
  if (at_node) at_node(node->control);
  *number = node->number + number_shift;
  return 0;
}

int FakeHabanalabs::Inode(int fd, ino_t* inode) {
  return inode_error != 0 ? Refuse(inode_error) : Syscalls::Inode(fd, inode);
}

UniqueFd FakeHabanalabs::Eventfd() {
  return eventfd_error != 0 ? UniqueFd(Refuse(eventfd_error)) : Syscalls::Eventfd();
}

std::optional<std::string> FakeHabanalabs::ReadText(const std::string& path) {
  if (path == "/proc/sys/kernel/osrelease") return kernel;
  return Syscalls::ReadText(path);
}

int FakeHabanalabs::WriteText(const std::string& path, const std::string&) {
  if (!may_write) return Refuse(EACCES);
  for (FakeHabanalabsCard& card : cards_) {
    if (!absl::StrContains(fs::canonical(path).string(), card.pci) && !card.legacy) continue;
    card.HardReset();
    return 0;
  }
  return Refuse(ENOENT);
}

void FakeHabanalabs::Pause(absl::Duration time) {
  paused += time;
  if (at_pause.empty()) {
    for (FakeHabanalabsCard& card : cards_) card.FinishReset();
    return;
  }
  const std::function<void()> next = at_pause.front();
  at_pause.erase(at_pause.begin());
  next();
}

}  // namespace hlbuf
