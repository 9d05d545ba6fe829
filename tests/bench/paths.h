// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_TESTS_BENCH_PATHS_H_
#define HLBUF_TESTS_BENCH_PATHS_H_

#include <string>

namespace hlbuf::bench {

// Where the programs are that take part, and where they may leave files.
struct Paths {
  std::string daemon;   // hl-bufd
  std::string floor;    // hl-bench-floor
  std::string holders;  // hl-bench-holders
  std::string scratch;  // a directory that the caller removes

  // A name in the scratch directory that no other call returned; sockets' paths are short.
  std::string Fresh(const std::string& ending) const;
};

}  // namespace hlbuf::bench

#endif  // HLBUF_TESTS_BENCH_PATHS_H_
