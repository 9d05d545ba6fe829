// SPDX-License-Identifier: Apache-2.0
#include "daemon/device/habanalabs_nodes.h"

#include <sys/sysmacros.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "daemon/core/error.h"
#include "daemon/device/error_text.h"

namespace hlbuf {
namespace {

namespace fs = std::filesystem;

constexpr absl::string_view kDriver = "habanalabs";
constexpr std::size_t kMemoryBar = 4;  // of Gaudi and Gaudi2; a line of `resource`

struct DeviceClass {
  absl::string_view name;
  absl::string_view compute;  // what stands before the number, in names of nodes
  absl::string_view control;
};
constexpr std::array kClasses = {
    DeviceClass{"accel", "accel", "accel_controlD"},
    DeviceClass{"habanalabs", "hl", "hl_controlD"},
};

class Sysfs {
 public:
  Sysfs(Syscalls& syscalls, const SystemRoots& roots) : syscalls_(syscalls), roots_(roots) {}

  std::string ClassDirectory(const DeviceClass& of) const {
    return absl::StrCat(roots_.sys, "/class/", of.name);
  }
  // Without the line's end; empty where there is none.
  std::string Text(const std::string& path) const {
    const auto text = syscalls_.ReadText(path);
    return text ? std::string(absl::StripAsciiWhitespace(*text)) : "";
  }
  std::string ParentDriver(const std::string& entry) const {
    std::error_code none;
    return fs::read_symlink(absl::StrCat(entry, "/device/driver"), none).filename().string();
  }
  // The device of an entry of a class. nullopt: it has none.
  std::optional<DeviceNode> Node(const std::string& entry) const;

 private:
  Syscalls& syscalls_;
  const SystemRoots& roots_;
};

std::optional<DeviceNode> Sysfs::Node(const std::string& entry) const {
  const std::pair<std::string, std::string> number =
      absl::StrSplit(Text(absl::StrCat(entry, "/dev")), absl::MaxSplits(':', 1));
  unsigned major_number = 0;
  unsigned minor_number = 0;
  if (!absl::SimpleAtoi(number.first, &major_number) ||
      !absl::SimpleAtoi(number.second, &minor_number))
    return std::nullopt;
  std::string name = fs::path(entry).filename().string();
  for (absl::string_view line : absl::StrSplit(Text(absl::StrCat(entry, "/uevent")), '\n'))
    if (absl::ConsumePrefix(&line, "DEVNAME=")) name = std::string(line);
  return DeviceNode{.path = absl::StrCat(roots_.dev, "/", name),
                    .number = makedev(major_number, minor_number)};
}

// "start end flags" of one BAR, in hexadecimal; all 0 where there is none.
std::optional<std::uint64_t> BarBytes(const std::string& resource) {
  const std::vector<std::string> bars = absl::StrSplit(resource, '\n');
  if (bars.size() <= kMemoryBar) return std::nullopt;
  const std::vector<std::string> fields =
      absl::StrSplit(bars[kMemoryBar], ' ', absl::SkipWhitespace());
  std::uint64_t start = 0;
  std::uint64_t end = 0;
  if (fields.size() < 2 || !absl::SimpleHexAtoi(fields[0], &start) ||
      !absl::SimpleHexAtoi(fields[1], &end) || end <= start)
    return std::nullopt;
  return end - start + 1;
}

// Whether `name` is `prefix` and digits.
bool IsNumbered(absl::string_view name, absl::string_view prefix) {
  return absl::ConsumePrefix(&name, prefix) && !name.empty() &&
         std::all_of(name.begin(), name.end(), absl::ascii_isdigit);
}

// Names of a class's compute devices; not in order.
std::vector<std::string> ComputeNames(const std::string& directory, absl::string_view prefix) {
  std::vector<std::string> names;
  std::error_code missing;
  for (const fs::directory_entry& entry : fs::directory_iterator(directory, missing))
    if (std::string name = entry.path().filename().string(); IsNumbered(name, prefix))
      names.push_back(std::move(name));
  return names;
}

// Old kernels have the attributes beside the node, newer ones at the PCI device.
std::string AttributesOf(const Sysfs& sysfs, const std::string& entry) {
  return sysfs.Text(absl::StrCat(entry, "/pci_addr")).empty() ? absl::StrCat(entry, "/device")
                                                              : entry;
}

std::optional<HabanalabsNodes> ReadCard(const Sysfs& sysfs, const DeviceClass& of,
                                        const std::string& name) {
  const std::string directory = sysfs.ClassDirectory(of);
  const std::string entry = absl::StrCat(directory, "/", name);
  std::optional<DeviceNode> compute = sysfs.Node(entry);
  if (!compute) return std::nullopt;
  HabanalabsNodes card{.compute = *std::move(compute), .attributes = AttributesOf(sysfs, entry)};
  const auto attribute = [&](absl::string_view what) {
    return sysfs.Text(absl::StrCat(card.attributes, "/", what));
  };
  card.control =
      sysfs.Node(absl::StrCat(directory, "/", of.control, absl::StripPrefix(name, of.compute)));
  card.pci = attribute("pci_addr");
  card.device_type = attribute("device_type");
  if (std::uint32_t id = 0; absl::SimpleAtoi(attribute("module_id"), &id)) card.module_id = id;
  card.bar_bytes = BarBytes(sysfs.Text(absl::StrCat(entry, "/device/resource")));
  return card;
}

// The driver behind an entry: a class of its own says it, too.
std::string DriverOf(const Sysfs& sysfs, const DeviceClass& of, const std::string& name) {
  const std::string driver = sysfs.ParentDriver(absl::StrCat(sysfs.ClassDirectory(of), "/", name));
  return driver.empty() && of.name == kDriver ? std::string(kDriver) : driver;
}

// What is at `pci` instead of a card of ours, in words.
std::string InsteadAt(const SystemRoots& roots, absl::string_view pci) {
  const std::string directory = absl::StrCat(roots.sys, "/bus/pci/devices/", pci);
  std::error_code error;
  if (!fs::exists(directory, error)) return "no PCI device has this address; see `lspci -D`";
  const std::string driver =
      fs::read_symlink(absl::StrCat(directory, "/driver"), error).filename().string();
  if (driver.empty()) return "no driver is bound to it; load habanalabs (modprobe habanalabs)";
  if (driver == kDriver) return "the driver habanalabs has it, but made no node; see dmesg";
  return absl::StrCat("it belongs to the driver ", driver, ", not to habanalabs");
}

std::string AddressesOf(const std::vector<HabanalabsNodes>& cards) {
  return absl::StrJoin(cards, ", ", [](std::string* out, const HabanalabsNodes& card) {
    absl::StrAppend(out, card.pci);
  });
}

}  // namespace

std::vector<HabanalabsNodes> FindHabanalabsCards(Syscalls& syscalls, const SystemRoots& roots) {
  const Sysfs sysfs(syscalls, roots);
  std::vector<HabanalabsNodes> cards;
  for (const DeviceClass& of : kClasses)
    for (const std::string& name : ComputeNames(sysfs.ClassDirectory(of), of.compute))
      if (DriverOf(sysfs, of, name) == kDriver)
        if (auto card = ReadCard(sysfs, of, name)) cards.push_back(*std::move(card));
  std::sort(cards.begin(), cards.end(), [](const auto& a, const auto& b) { return a.pci < b.pci; });
  return cards;
}

absl::StatusOr<HabanalabsNodes> FindHabanalabsCard(Syscalls& syscalls, const SystemRoots& roots,
                                                   absl::string_view pci) {
  std::vector<HabanalabsNodes> cards = FindHabanalabsCards(syscalls, roots);
  if (!pci.empty()) {
    for (HabanalabsNodes& card : cards)
      if (card.pci == pci) return std::move(card);
    return Error(ErrorCode::kDeviceUnavailable,
                 absl::StrCat("there is no Gaudi card at ", pci, ": ", InsteadAt(roots, pci),
                              cards.empty() ? "" : "; there are cards at ", AddressesOf(cards)));
  }
  if (cards.empty())
    return Error(ErrorCode::kDeviceUnavailable,
                 absl::StrCat("there is no Gaudi card: the driver habanalabs has made no node; "
                              "load it (modprobe habanalabs), and see `lspci -d 1da3:` and dmesg"));
  if (cards.size() > 1)
    return Error(ErrorCode::kInvalidArgument,
                 absl::StrCat("there are several Gaudi cards; say which one by pci = \"...\": ",
                              AddressesOf(cards)));
  return std::move(cards.front());
}

absl::Status CheckDeviceNode(Syscalls& syscalls, int fd, const DeviceNode& node) {
  dev_t number = 0;
  if (syscalls.DeviceNumber(fd, &number) != 0) return CallFailed("fstat()", errno);
  if (number == node.number) return absl::OkStatus();
  return Error(ErrorCode::kDeviceError,
               absl::StrCat(node.path, ": is device ", major(number), ":", minor(number),
                            ", but sysfs says that the card is ", major(node.number), ":",
                            minor(node.number),
                            "; a node was left over or made by hand: remove it, and let udev "
                            "make it anew"));
}

}  // namespace hlbuf
