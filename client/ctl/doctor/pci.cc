// SPDX-License-Identifier: Apache-2.0
#include "client/ctl/doctor/pci.h"

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <system_error>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "client/ctl/doctor/files.h"

namespace hlbuf::ctl::doctor {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kHeaderBytes = 64;     // what everybody sees
constexpr std::size_t kFirstExtended = 256;  // and all that plain PCI has
constexpr std::uint32_t kAcsCapability = 0x000d;
constexpr std::uint32_t kRedirects = 0x04 | 0x08 | 0x20;  // requests, completions, egress control
constexpr std::uint32_t kBridgeClass = 0x0604;
constexpr int kCapabilitiesMax = 960;  // as many as there is room for: a list may be a ring

std::uint32_t At(absl::string_view config, std::size_t offset, std::size_t bytes) {
  std::uint32_t value = 0;
  for (std::size_t i = bytes; i-- > 0;)
    value = value << 8 | static_cast<std::uint8_t>(config[offset + i]);
  return value;
}

// "0000:19:00.0"
bool IsAddress(absl::string_view name) {
  constexpr absl::string_view kShape = "xxxx:xx:xx.x";
  return name.size() == kShape.size() &&
         std::equal(name.begin(), name.end(), kShape.begin(), [](char c, char shape) {
           return shape == 'x' ? absl::ascii_isxdigit(static_cast<unsigned char>(c)) : c == shape;
         });
}

std::uint32_t Number(const std::string& path) {
  std::uint32_t value = 0;
  return absl::SimpleHexAtoi(FileText(path).value_or(""), &value) ? value : 0;
}

// The kernel takes the first function of the root bus, if it is 00.0 or a root port.
HostBridge HostBridgeAt(const fs::path& root) {
  HostBridge host{.name = root.filename().string()};
  const auto names = NamesIn(root.string());
  if (!names.ok()) return host;
  const auto first = std::find_if(names->begin(), names->end(),
                                  [](const std::string& name) { return IsAddress(name); });
  if (first == names->end()) return host;
  const std::string function = (root / *first).string();
  if (!absl::EndsWith(*first, ":00.0") && Number(function + "/class") >> 8 != kBridgeClass)
    return host;
  host.vendor = Number(function + "/vendor");
  host.device = Number(function + "/device");
  return host;
}

}  // namespace

Acs AcsIn(absl::string_view config) {
  if (config.size() <= kHeaderBytes) return Acs::kUnknown;
  std::size_t at = kFirstExtended;
  for (int i = 0; i < kCapabilitiesMax && at >= kFirstExtended && at + 8 <= config.size(); ++i) {
    const std::uint32_t header = At(config, at, 4);
    if ((header & 0xffff) == kAcsCapability)
      return (At(config, at + 6, 2) & kRedirects) != 0 ? Acs::kRedirects : Acs::kPasses;
    at = header >> 20;
  }
  return Acs::kPasses;
}

absl::StatusOr<PciPlace> PlaceOf(const Roots& roots, const std::string& address) {
  const std::string path = absl::StrCat(roots.sys, "/bus/pci/devices/", address);
  std::error_code error;
  fs::path here = fs::canonical(path, error);
  if (!IsAddress(address) || error)
    return absl::NotFoundError(absl::StrCat(path, ": there is no such PCI function"));
  PciPlace place;
  for (; IsAddress(here.filename().string()); here = here.parent_path())
    place.upstream.push_back({.address = here.filename().string(),
                              .acs = AcsIn(FileBytes((here / "config").string()).value_or(""))});
  place.host = HostBridgeAt(here);
  return place;
}

}  // namespace hlbuf::ctl::doctor
