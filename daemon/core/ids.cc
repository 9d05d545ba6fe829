// SPDX-License-Identifier: Apache-2.0
#include "daemon/core/ids.h"

#include <algorithm>
#include <charconv>

#include "absl/strings/str_format.h"

namespace hlbuf {

std::string IdText(std::uint64_t value) { return absl::StrFormat("%x", value); }

std::optional<std::uint64_t> ParseIdText(absl::string_view text) {
  constexpr std::size_t kDigitsMax = 16;
  if (text.size() > kDigitsMax) return std::nullopt;
  std::uint64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [parsed, error] = std::from_chars(text.data(), end, value, 16);
  if (text.empty() || error != std::errc() || parsed != end) return std::nullopt;
  return value;
}

std::uint64_t FirstId(std::int64_t unix_micros) {
  constexpr std::int64_t kMicrosIn2020 = 1'577'836'800'000'000;
  const auto since =
      static_cast<std::uint64_t>(std::max<std::int64_t>(unix_micros - kMicrosIn2020, 1));
  return since << 8;
}

}  // namespace hlbuf
