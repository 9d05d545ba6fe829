// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/rows.h"

#include <array>
#include <cstdio>

namespace hlbuf::bench {

bool Target::Met(double figure) const {
  switch (kind) {
    case Kind::kNone:
      return true;
    case Kind::kAtMost:
      return figure <= value;
    case Kind::kAtLeast:
      return figure >= value;
  }
  return false;
}

Quartiles Ratio(const std::vector<Round>& rounds, std::size_t product, std::size_t floor) {
  return Over(rounds, [=](const Round& r) { return r[product].p50_us / r[floor].p50_us; });
}

Quartiles P50(const std::vector<Round>& rounds, std::size_t side) {
  return Over(rounds, [=](const Round& r) { return r[side].p50_us; });
}

Quartiles P99(const std::vector<Round>& rounds, std::size_t side) {
  return Over(rounds, [=](const Round& r) { return r[side].p99_us; });
}

std::string P99Text(const std::vector<Round>& rounds, std::size_t product, std::size_t floor) {
  std::array<char, 64> text;
  std::snprintf(text.data(), text.size(), "%.1f / %.1f us", P99(rounds, product).median,
                P99(rounds, floor).median);
  return text.data();
}

}  // namespace hlbuf::bench
