// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_TESTS_BENCH_QUANTILES_H_
#define HLBUF_TESTS_BENCH_QUANTILES_H_

#include <vector>

namespace hlbuf::bench {

// How long the operations of one side took in one round.
struct Quantiles {
  double p50_us = 0;
  double p99_us = 0;
};

// How a figure was spread over the rounds.
struct Quartiles {
  double q1 = 0;
  double median = 0;
  double q3 = 0;
};

// Both want at least one value.
Quantiles QuantilesOf(std::vector<double> micros);
Quartiles QuartilesOf(std::vector<double> values);

}  // namespace hlbuf::bench

#endif  // HLBUF_TESTS_BENCH_QUANTILES_H_
