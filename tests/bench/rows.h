// SPDX-License-Identifier: Apache-2.0
// What the benchmark compares, one function a row of the table.
#ifndef HLBUF_TESTS_BENCH_ROWS_H_
#define HLBUF_TESTS_BENCH_ROWS_H_

#include <optional>
#include <string>
#include <vector>

#include "tests/bench/paths.h"
#include "tests/bench/quantiles.h"
#include "tests/bench/rounds.h"

namespace hlbuf::bench {

// What a figure has to reach.
struct Target {
  enum class Kind { kNone, kAtMost, kAtLeast };
  Kind kind = Kind::kNone;
  double value = 0;

  bool Met(double figure) const;
};

struct Figure {
  std::string key;   // in the JSON
  std::string what;  // in the table
  Quartiles value;
  Target target;
  std::string p99;  // in the table, beside the figure: of both sides, in words
};

struct Setting {
  Paths paths;
  Effort effort;
};

std::vector<Figure> MeasureOpen(const Setting& setting);
std::vector<Figure> MeasureBatch(const Setting& setting);
std::vector<Figure> MeasureAllocate(const Setting& setting);
std::vector<Figure> MeasureSessions(const Setting& setting);
std::vector<Figure> MeasureBuffers(const Setting& setting);
std::vector<Figure> MeasureCore(const Setting& setting);
std::vector<Figure> MeasureRevoke(const Setting& setting);

// Of rounds with a product's and a floor's side, at these places.
Quartiles Ratio(const std::vector<Round>& rounds, std::size_t product, std::size_t floor);
Quartiles P50(const std::vector<Round>& rounds, std::size_t side);
Quartiles P99(const std::vector<Round>& rounds, std::size_t side);
// "14.1 / 11.9 us"
std::string P99Text(const std::vector<Round>& rounds, std::size_t product, std::size_t floor);

}  // namespace hlbuf::bench

#endif  // HLBUF_TESTS_BENCH_ROWS_H_
