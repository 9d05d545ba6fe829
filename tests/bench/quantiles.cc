// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/quantiles.h"

#include <algorithm>
#include <cmath>

namespace hlbuf::bench {
namespace {

// Between two values, in proportion.
double At(const std::vector<double>& sorted, double part) {
  const double place = part * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(place);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  return std::lerp(sorted[below], sorted[above], place - static_cast<double>(below));
}

}  // namespace

Quantiles QuantilesOf(std::vector<double> micros) {
  std::sort(micros.begin(), micros.end());
  return {.p50_us = At(micros, 0.5), .p99_us = At(micros, 0.99)};
}

Quartiles QuartilesOf(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return {.q1 = At(values, 0.25), .median = At(values, 0.5), .q3 = At(values, 0.75)};
}

}  // namespace hlbuf::bench
