// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_TESTS_BENCH_HOLDERS_H_
#define HLBUF_TESTS_BENCH_HOLDERS_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "proto/wire/unique_fd.h"
#include "tests/bench/child.h"
#include "tests/bench/paths.h"

namespace hlbuf::bench {

inline constexpr char kProductKind[] = "product";
inline constexpr char kFloorKind[] = "floor";
inline constexpr std::size_t kOrderIdsMax = 4096;

// Sessions in processes of their own, which let go of what they hold when they are asked.
class HolderProcesses {
 public:
  // `sessions` is a multiple of `processes`.
  HolderProcesses(const Paths& paths, const std::string& kind, const std::string& socket,
                  std::size_t processes, std::size_t sessions);

  // A like part of `ids` for each session. Returns when all are held.
  void Hold(std::span<const std::uint64_t> ids);

 private:
  struct Process {
    UniqueFd orders;
    Child child;
  };
  std::vector<Process> processes_;
};

}  // namespace hlbuf::bench

#endif  // HLBUF_TESTS_BENCH_HOLDERS_H_
