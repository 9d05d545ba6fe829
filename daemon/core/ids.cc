// SPDX-License-Identifier: Apache-2.0
#include "daemon/core/ids.h"

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

std::uint64_t FirstId(std::int64_t unix_micros, std::uint64_t random) {
  constexpr std::int64_t kMicrosIn2020 = 1'577'836'800'000'000;
  // Above every id that a right clock makes until the year 3000, with room for 2^32 ids.
  constexpr std::uint64_t kRandomBase = std::uint64_t{1} << 63;
  if (unix_micros <= kMicrosIn2020) return kRandomBase | random >> 33 << 32;
  return static_cast<std::uint64_t>(unix_micros - kMicrosIn2020) << 8;
}

}  // namespace hlbuf
