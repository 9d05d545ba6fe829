// SPDX-License-Identifier: Apache-2.0
#include "daemon/holders/bufinfo.h"

#include <cstddef>
#include <optional>
#include <utility>

#include "daemon/holders/answer.h"
#include "daemon/holders/words.h"

namespace hlbuf {
namespace {

constexpr std::size_t kDigitsMin = 8;

// SIZE FLAGS MODE COUNT EXPORTER INODE NAME, with tabs. Flags and mode are hexadecimal.
std::optional<std::pair<std::uint64_t, BufinfoEntry>> ParseObject(std::string_view line) {
  for (const int base : {10, 16, 16}) {
    const std::string_view number = TakeUntil(line, '\t');
    if (number.size() < kDigitsMin || !ToNumber<std::uint64_t>(number, base).has_value())
      return std::nullopt;
  }
  const std::string_view count = TakeUntil(line, '\t');
  const std::string_view exporter = TakeUntil(line, '\t');
  const auto counted = ToNumber<std::uint32_t>(count);
  const auto inode = ToNumber<std::uint64_t>(TakeUntil(line, '\t'));
  if (count.size() < kDigitsMin || !counted.has_value() || !inode.has_value()) return std::nullopt;
  return std::pair(*inode, BufinfoEntry{.count = *counted, .exporter = EscapedText(exporter)});
}

bool EndsObject(std::string_view line) {
  return line.starts_with("Total ") && line.ends_with(" devices attached");
}

}  // namespace

std::map<std::uint64_t, BufinfoEntry> ParseBufinfo(std::string_view text) {
  std::map<std::uint64_t, BufinfoEntry> objects;
  BufinfoEntry* current = nullptr;
  bool attached = false;
  while (!text.empty()) {
    std::string_view line = TakeUntil(text, '\n');
    if (auto object = ParseObject(line)) {
      current = &(objects[object->first] = std::move(object->second));
      attached = false;
    } else if (current != nullptr && line == "\tAttached Devices:") {
      current->attached.clear();
      attached = true;
    } else if (attached && EndsObject(line)) {
      current = nullptr;
      attached = false;
    } else if (attached && TakePrefix(line, "\t") && !line.empty()) {
      current->attached.push_back(EscapedText(line));
    }
  }
  return objects;
}

}  // namespace hlbuf
