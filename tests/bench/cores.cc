// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/cores.h"

#include <sched.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <set>
#include <string>
#include <system_error>

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

// Every thread that there is: gRPC's outlive the row that started them.
void Place(pid_t process, const cpu_set_t& set) {
  std::error_code gone;
  const std::string tasks = "/proc/" + std::to_string(process) + "/task";
  for (const auto& task : std::filesystem::directory_iterator(tasks, gone)) {
    const pid_t thread = std::stoi(task.path().filename());
    if (::sched_setaffinity(thread, sizeof(set), &set) != 0 && errno != ESRCH)
      DieErrno("sched_setaffinity");
  }
}

const cpu_set_t given = Given();
Cores current = Cores::kAll;
std::set<pid_t> children;

void PlaceAll(const cpu_set_t& set) {
  Place(::getpid(), set);
  for (const pid_t child : children) Place(child, set);
}

}  // namespace

void RunOn(Cores cores) {
  current = cores;
  PlaceAll(cores == Cores::kAll ? given : LastOf(given));
}

void Join(pid_t child) { children.insert(child); }
void Leave(pid_t child) { children.erase(child); }

void Gather() {
  PlaceAll(LastOf(given));
  RunOn(current);
}

}  // namespace hlbuf::bench
