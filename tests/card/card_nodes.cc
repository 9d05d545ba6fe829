// SPDX-License-Identifier: Apache-2.0
#include "tests/card/card_nodes.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "tests/support/child.h"

namespace hlbuf {
namespace {

constexpr const char* kAccelClass = "/sys/class/accel";
constexpr const char* kLegacyClass = "/sys/class/habanalabs";

// The names in a class that are PREFIX and a number.
std::vector<std::string> Numbered(const std::string& directory, const std::string& prefix) {
  std::vector<std::string> names;
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator(directory, none)) {
    const std::string name = entry.path().filename();
    if (name.size() > prefix.size() && name.rfind(prefix, 0) == 0 &&
        name.find_first_not_of("0123456789", prefix.size()) == std::string::npos)
      names.push_back(name);
  }
  return names;
}

int IndexOf(const std::string& name, const std::string& prefix) {
  return static_cast<int>(std::strtol(name.c_str() + prefix.size(), nullptr, 10));
}

void AddCards(std::vector<CardNodes>& cards, bool legacy) {
  const std::string prefix = legacy ? "hl" : "accel";
  for (const std::string& name : Numbered(legacy ? kLegacyClass : kAccelClass, prefix)) {
    CardNodes card;
    card.legacy = legacy;
    card.index = IndexOf(name, prefix);
    const std::string number = std::to_string(card.index);
    card.compute = (legacy ? "/dev/hl" : "/dev/accel/accel") + number;
    card.control = (legacy ? "/dev/hl_controlD" : "/dev/accel/accel_controlD") + number;
    card.directory = legacy ? std::string(kLegacyClass) + "/" + name
                            : std::string(kAccelClass) + "/" + name + "/device";
    card.pci = card.Attribute("pci_addr");
    if (!card.pci.empty()) cards.push_back(card);
  }
}

}  // namespace

std::string CardNodes::Attribute(const std::string& name) const {
  if (!std::filesystem::exists(directory + "/" + name)) return "";
  std::string text = ReadAll(directory + "/" + name);
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

std::uint64_t CardNodes::Number(const std::string& name) const {
  return std::strtoull(Attribute(name).c_str(), nullptr, 10);
}

std::string CardNodes::DebugFile(const std::string& name) const {
  const std::string root = "/sys/kernel/debug/";
  return (legacy ? root + "habanalabs/hl" + std::to_string(index) : root + "accel/" + pci) + "/" +
         name;
}

bool CardNodes::IsStandIn() const { return std::filesystem::exists(DebugFile("trigger")); }

std::vector<CardNodes> FindCards() {
  std::vector<CardNodes> cards;
  AddCards(cards, /* legacy= */ false);
  AddCards(cards, /* legacy= */ true);
  std::sort(cards.begin(), cards.end(),
            [](const CardNodes& a, const CardNodes& b) { return a.index < b.index; });
  return cards;
}

std::optional<CardNodes> FindCard(const std::string& pci) {
  for (const CardNodes& card : FindCards())
    if (card.pci == pci) return card;
  return std::nullopt;
}

std::vector<std::string> OtherAccelerators() {
  std::vector<std::string> others = Numbered(kAccelClass, "accel");
  for (const CardNodes& card : FindCards())
    if (!card.legacy) std::erase(others, "accel" + std::to_string(card.index));
  return others;
}

}  // namespace hlbuf
