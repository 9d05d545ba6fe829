// SPDX-License-Identifier: Apache-2.0
// What there can be several of: devices and rules.
#include <algorithm>
#include <cstdint>

#include "absl/strings/str_cat.h"
#include "daemon/config_sections.h"
#include "daemon/config_values.h"

namespace hlbuf {
namespace {

ValueKind<std::string> Word(const std::vector<std::string>& words) {
  std::vector<std::pair<std::string, std::string>> pairs;
  for (const std::string& word : words) pairs.emplace_back(word, word);
  return OneOf(std::move(pairs));
}

ValueKind<std::string> KnownDevice(const std::vector<DeviceConfig>& devices) {
  std::vector<std::string> names;
  for (const DeviceConfig& device : devices)
    if (!device.name.empty()) names.push_back(device.name);
  return Word(names);
}

// What the machine keeps for everything else.
std::uint64_t HalfOf(const Machine& machine) { return machine.memory_bytes / 2; }

// Every device has a bound: its bytes are what the limits share out. 0: as much as the card has.
std::uint64_t DefaultSize(const std::string& kind, const Machine& machine) {
  if (kind == "habanalabs") return 0;
  return kind == "udmabuf" ? kUdmabufDefaultBytes : HalfOf(machine);
}

DeviceConfig SoftwareDevice(const Machine& machine) {
  return {.name = "software0", .kind = "software", .size_bytes = HalfOf(machine), .drills = true};
}

DeviceConfig ReadDevice(TableReader& table, const Machine& machine) {
  constexpr std::uint64_t kSizeMin = 64 << 10;  // the largest page there is
  DeviceConfig device;
  table.Require("name", Name(), device.name);
  const bool known =
      table.Require("kind", Word({"software", "udmabuf", "dma-heap", "habanalabs"}), device.kind);
  device.size_bytes = DefaultSize(device.kind, machine);
  device.drills = known && device.kind == "software";
  table.Read("size", SizeFrom(kSizeMin, INT64_MAX), device.size_bytes);
  table.Read("isolation", Word({"cleared", "none"}), device.isolation);
  table.Read("drills", Boolean(), device.drills);
  if (std::string heap; table.Read("heap", FileName(), heap)) {
    device.path = absl::StrCat("/dev/dma_heap/", heap);
    if (known && device.kind != "dma-heap")
      table.ComplainOf("heap", absl::StrCat("means nothing to a device of kind \"", device.kind,
                                            "\"; leave it out, or set kind = \"dma-heap\""));
  }
  if (table.Read("pci", PciAddress(), device.pci) && known && device.kind != "habanalabs")
    table.ComplainOf("pci", absl::StrCat("means nothing to a device of kind \"", device.kind,
                                         "\"; leave it out, or set kind = \"habanalabs\""));
  table.RejectOthers();
  return device;
}

// A card has one owner: the second device on it would never open.
void ComplainOfSharedCard(TableReader& table, const DeviceConfig& device,
                          const std::vector<DeviceConfig>& earlier) {
  if (device.kind != "habanalabs" || (device.pci.empty() && table.Has("pci"))) return;
  for (const DeviceConfig& other : earlier) {
    if (other.kind != "habanalabs") continue;
    if (device.pci.empty() || other.pci.empty())
      return table.ComplainOf(
          "pci",
          absl::StrCat("device \"", (device.pci.empty() ? device : other).name,
                       "\" takes the only card there is, and \"",
                       (device.pci.empty() ? other : device).name,
                       "\" is to have one, too; where there are several, each needs its pci"));
    if (device.pci == other.pci)
      return table.ComplainOf("pci", absl::StrCat("\"", device.pci, "\" is the card of device \"",
                                                  other.name, "\" already"));
  }
}

ValueKind<Verb> AnyVerb() {
  std::vector<std::pair<std::string, Verb>> words;
  for (const Verb verb : {Verb::kAllocate, Verb::kOpen, Verb::kShare})
    words.emplace_back(VerbText(verb), verb);
  return OneOf(std::move(words));
}

Rule ReadRule(TableReader& table, const Machine& machine,
              const std::vector<DeviceConfig>& devices) {
  Rule rule;
  table.Require("name", Name(), rule.name);
  table.Require("effect", OneOf<bool>({{"allow", true}, {"deny", false}}), rule.allow);
  table.ReadList("verbs", AnyVerb(), rule.verbs);
  table.ReadList("uids", UserId(), rule.uids);
  table.ReadList("groups", Group(machine), rule.gids);
  ForbidForeignIds(table, machine, {"uids", "groups"});
  table.ReadList("devices", KnownDevice(devices), rule.devices);
  table.RejectOthers();
  return rule;
}

// Whether `all` has the name of `one` already; empty names were complained of before.
template <class T>
bool HasName(const std::vector<T>& all, const std::string& name) {
  return !name.empty() &&
         std::any_of(all.begin(), all.end(), [&](const T& other) { return other.name == name; });
}

}  // namespace

void ReadDevices(TableReader& root, const Machine& machine, Config& config) {
  std::vector<TableReader> tables = root.Tables("device");
  if (tables.empty()) config.devices.push_back(SoftwareDevice(machine));
  for (TableReader& table : tables) {
    DeviceConfig device = ReadDevice(table, machine);
    ComplainOfSharedCard(table, device, config.devices);
    if (HasName(config.devices, device.name))
      table.ComplainOf("name", absl::StrCat("\"", device.name, "\" is there twice"));
    else
      config.devices.push_back(std::move(device));
  }
  config.default_device = config.devices.front().name;
  root.Read("default_device", KnownDevice(config.devices), config.default_device);
}

void ReadRules(TableReader& root, const Machine& machine, Config& config) {
  for (TableReader& table : root.Tables("rule")) {
    Rule rule = ReadRule(table, machine, config.devices);
    if (HasName(config.rules, rule.name))
      table.ComplainOf("name", absl::StrCat("\"", rule.name, "\" is there twice"));
    config.rules.push_back(std::move(rule));
  }
}

}  // namespace hlbuf
