// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/cores.h"

#include <sched.h>

#include <cerrno>
#include <filesystem>
#include <string>

#include "tests/bench/die.h"

namespace hlbuf::bench {
namespace {

cpu_set_t Given() {
  cpu_set_t set;
  if (::sched_getaffinity(0, sizeof(set), &set) != 0) DieErrno("sched_getaffinity");
  return set;
}

// The last one: interrupts tend to be the first one's.
cpu_set_t LastOf(const cpu_set_t& given) {
  int last = CPU_SETSIZE - 1;
  while (!CPU_ISSET(last, &given)) --last;
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(last, &one);
  return one;
}

}  // namespace

void RunOn(Cores cores) {
  static const cpu_set_t given = Given();
  const cpu_set_t set = cores == Cores::kAll ? given : LastOf(given);
  // Every thread that there is: gRPC's outlive the row that started them.
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    const pid_t thread = std::stoi(task.path().filename());
    if (::sched_setaffinity(thread, sizeof(set), &set) != 0 && errno != ESRCH)
      DieErrno("sched_setaffinity");
  }
}

}  // namespace hlbuf::bench
