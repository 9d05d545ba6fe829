// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_TESTS_BENCH_ROUNDS_H_
#define HLBUF_TESTS_BENCH_ROUNDS_H_

#include <cstddef>
#include <functional>
#include <vector>

#include "tests/bench/quantiles.h"

namespace hlbuf::bench {

// How long to measure. A round has at least `samples` operations of each side.
struct Effort {
  std::size_t rounds = 21;
  std::size_t samples = 2048;
};

// One of the things that are compared: does some operations, and appends how long each of them
// took, in microseconds. What it does between its operations is not measured.
using Side = std::function<void(std::vector<double>& micros)>;

// What each side took in one round, in the order of the sides.
using Round = std::vector<Quantiles>;

// Measures all sides at the same time: within a round they take turns, call by call, so that
// whatever else the machine does hits all of them alike. One round in front is not counted.
std::vector<Round> Interleave(const Effort& effort, const std::vector<Side>& sides);

// A figure of each round, over all of them.
Quartiles Over(const std::vector<Round>& rounds, const std::function<double(const Round&)>& figure);

// Microseconds of CLOCK_MONOTONIC, of which only differences mean anything.
double NowMicros();

}  // namespace hlbuf::bench

#endif  // HLBUF_TESTS_BENCH_ROUNDS_H_
