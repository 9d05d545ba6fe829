// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_TESTS_BENCH_CORES_H_
#define HLBUF_TESTS_BENCH_CORES_H_

namespace hlbuf::bench {

// Where this process runs, and every child that it starts from now on.
enum class Cores {
  kOne,  // counts the work: nothing runs beside anything else
  kAll,  // all that this process was given: counts what it costs to wake each other, too
};

void RunOn(Cores cores);

}  // namespace hlbuf::bench

#endif  // HLBUF_TESTS_BENCH_CORES_H_
