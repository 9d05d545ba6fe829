// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_TESTS_BENCH_REPORT_H_
#define HLBUF_TESTS_BENCH_REPORT_H_

#include <string>
#include <vector>

#include "tests/bench/rows.h"

namespace hlbuf::bench {

// A figure measured twice: with all processes on one core, and with all cores for all of them.
struct Line {
  Figure pinned;
  Figure unpinned;
};

void PrintHeading(const Effort& effort);
// A target is met when both figures meet it.
void PrintLine(const Line& line);

// One flat object: the medians under their keys, those measured unpinned with _unpinned, and
// quartiles with _q1 and _q3 behind that. Dies if the file cannot be written.
void WriteJson(const std::string& path, const Effort& effort, const std::vector<Line>& lines);

}  // namespace hlbuf::bench

#endif  // HLBUF_TESTS_BENCH_REPORT_H_
