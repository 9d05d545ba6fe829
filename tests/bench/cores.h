// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_TESTS_BENCH_CORES_H_
#define HLBUF_TESTS_BENCH_CORES_H_

#include <sys/types.h>

namespace hlbuf::bench {

// Where this process runs, and every child that it has joined or starts from now on.
enum class Cores {
  kOne,  // counts the work: nothing runs beside anything else
  kAll,  // all that this process was given: counts what it costs to wake each other, too
};

void RunOn(Cores cores);
// A child is started, or ended.
void Join(pid_t child);
void Leave(pid_t child);

// Everything on one core, then free again to go where the scheduler puts it. A round begins with
// this: a server that was woken on another core once is woken there ever after.
void Gather();

}  // namespace hlbuf::bench

#endif  // HLBUF_TESTS_BENCH_CORES_H_
