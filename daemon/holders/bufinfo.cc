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

void BufinfoReader::Read(std::string_view line) {
  if (auto object = ParseObject(line)) {
    const bool wanted = wanted_.count(object->first) > 0;
    current_ = wanted ? &(objects_[object->first] = std::move(object->second)) : nullptr;
    attached_ = false;
  } else if (current_ != nullptr && line == "\tAttached Devices:") {
    current_->attached.clear();
    attached_ = true;
  } else if (attached_ && EndsObject(line)) {
    current_ = nullptr;
    attached_ = false;
  } else if (attached_ && TakePrefix(line, "\t") && !line.empty()) {
    current_->attached.push_back(EscapedText(line));
  }
}

}  // namespace hlbuf
