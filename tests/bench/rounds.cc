// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/rounds.h"

#include <algorithm>
#include <ctime>

#include "tests/bench/cores.h"

namespace hlbuf::bench {
namespace {

Round MeasureOnce(std::size_t samples, const std::vector<Side>& sides) {
  Gather();
  std::vector<std::vector<double>> micros(sides.size());
  const auto wants_more = [samples](const std::vector<double>& m) { return m.size() < samples; };
  while (std::any_of(micros.begin(), micros.end(), wants_more))
    for (std::size_t i = 0; i < sides.size(); ++i)
      if (wants_more(micros[i])) sides[i](micros[i]);
  Round round;
  for (std::vector<double>& m : micros) round.push_back(QuantilesOf(std::move(m)));
  return round;
}

}  // namespace

std::vector<Round> Interleave(const Effort& effort, const std::vector<Side>& sides) {
  MeasureOnce(effort.samples, sides);
  std::vector<Round> rounds;
  while (rounds.size() < effort.rounds) rounds.push_back(MeasureOnce(effort.samples, sides));
  return rounds;
}

Quartiles Over(const std::vector<Round>& rounds,
               const std::function<double(const Round&)>& figure) {
  std::vector<double> values;
  for (const Round& round : rounds) values.push_back(figure(round));
  return QuartilesOf(std::move(values));
}

double NowMicros() {
  timespec now = {};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) / 1e3;
}

}  // namespace hlbuf::bench
