// SPDX-License-Identifier: Apache-2.0
#include "client/ctl/doctor/cards.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "client/ctl/doctor/files.h"

namespace hlbuf::ctl::doctor {
namespace {

constexpr absl::string_view kDriver = "habanalabs";
constexpr std::size_t kMemoryBar = 4;  // of Gaudi and Gaudi2; a line of `resource`

struct DeviceClass {
  absl::string_view name;
  absl::string_view compute;  // what stands before the number, in names of nodes
  absl::string_view control;
  bool legacy;
};
constexpr std::array kClasses = {
    DeviceClass{"accel", "accel", "accel_controlD", false},
    DeviceClass{"habanalabs", "hl", "hl_controlD", true},
};

std::string Text(const std::string& path) { return FileText(path).value_or(""); }

DeviceFile LookAt(const std::string& path, dev_t meant) {
  DeviceFile file{.path = path, .meant = meant};
  struct stat seen = {};
  if (::stat(path.c_str(), &seen) != 0) {
    file.looked = ErrorAt(path, errno);
    return file;
  }
  file.is_device = S_ISCHR(seen.st_mode);
  file.number = seen.st_rdev;
  file.mode = seen.st_mode & 07777;
  file.uid = seen.st_uid;
  file.gid = seen.st_gid;
  return file;
}

// The node of an entry of a class. nullopt: it has none.
std::optional<DeviceFile> NodeOf(const Roots& roots, const std::string& entry) {
  const std::pair<std::string, std::string> number =
      absl::StrSplit(Text(entry + "/dev"), absl::MaxSplits(':', 1));
  unsigned major_number = 0;
  unsigned minor_number = 0;
  if (!absl::SimpleAtoi(number.first, &major_number) ||
      !absl::SimpleAtoi(number.second, &minor_number))
    return std::nullopt;
  std::string name = ValueIn(Text(entry + "/uevent"), "DEVNAME=");
  if (name.empty()) name = BaseName(entry);
  return LookAt(absl::StrCat(roots.dev, "/", name), makedev(major_number, minor_number));
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

bool IsNumbered(absl::string_view name, absl::string_view prefix) {
  return absl::ConsumePrefix(&name, prefix) && !name.empty() &&
         std::all_of(name.begin(), name.end(), absl::ascii_isdigit);
}

// The driver behind an entry; a class of its own says it, too.
bool IsHabanalabs(const std::string& entry, const DeviceClass& of) {
  const std::string driver = BaseName(LinkAt(entry + "/device/driver").value_or(""));
  return driver == kDriver || (driver.empty() && of.legacy);
}

std::string DebugDirectory(const Roots& roots, const Card& card, const std::string& name) {
  if (card.legacy) return absl::StrCat(roots.debug, "/habanalabs/", name);
  const std::string parent = Text(card.attributes + "/parent_device");
  return absl::StrCat(roots.debug, "/accel/", parent.empty() ? card.pci : parent);
}

std::optional<Card> ReadCard(const Roots& roots, const DeviceClass& of, const std::string& name) {
  const std::string directory = absl::StrCat(roots.sys, "/class/", of.name);
  const std::string entry = absl::StrCat(directory, "/", name);
  std::optional<DeviceFile> compute = NodeOf(roots, entry);
  if (!compute) return std::nullopt;
  Card card{.legacy = of.legacy, .compute = *std::move(compute)};
  card.control =
      NodeOf(roots, absl::StrCat(directory, "/", of.control, absl::StripPrefix(name, of.compute)));
  // Old kernels have the attributes beside the node, newer ones at the PCI device.
  card.attributes = Text(entry + "/pci_addr").empty() ? entry + "/device" : entry;
  card.pci = Text(card.attributes + "/pci_addr");
  card.device_type = Text(card.attributes + "/device_type");
  card.status = Text(card.attributes + "/status");
  if (std::uint32_t id = 0; absl::SimpleAtoi(Text(card.attributes + "/module_id"), &id))
    card.module_id = id;
  card.resource = entry + "/device/resource";
  card.bar_bytes = BarBytes(Text(card.resource));
  card.debug = DebugDirectory(roots, card, name);
  return card;
}

}  // namespace

std::vector<Card> FindCards(const Roots& roots) {
  std::vector<Card> cards;
  for (const DeviceClass& of : kClasses) {
    const std::string directory = absl::StrCat(roots.sys, "/class/", of.name);
    for (const std::string& name : NamesIn(directory).value_or(std::vector<std::string>()))
      if (IsNumbered(name, of.compute) && IsHabanalabs(absl::StrCat(directory, "/", name), of))
        if (auto card = ReadCard(roots, of, name)) cards.push_back(*std::move(card));
  }
  std::sort(cards.begin(), cards.end(), [](const Card& a, const Card& b) { return a.pci < b.pci; });
  return cards;
}

}  // namespace hlbuf::ctl::doctor
