// SPDX-License-Identifier: Apache-2.0
// What is said to the floor: the bare system calls of a hand-over, with nothing checked.
#ifndef HLBUF_TESTS_BENCH_FLOOR_WIRE_H_
#define HLBUF_TESTS_BENCH_FLOOR_WIRE_H_

#include <cstdint>

namespace hlbuf::bench {

enum class FloorVerb : std::uint32_t {
  kPass,      // sends `count` descriptors, from the one at `first` on
  kAllocate,  // makes a memfd of one page, sends it, closes it
  kHold,      // from now on this session gets notices
  kNotify,    // sends a notice to all that hold, takes an answer of each, then answers
  kNotice,    // from the server; to be sent back
  kRelease,   // nothing happens, and nobody answers
};

// Every message, either way.
struct FloorMessage {
  FloorVerb verb;
  std::uint32_t count = 0;
  std::uint32_t first = 0;
  std::uint32_t unused = 0;
};

}  // namespace hlbuf::bench

#endif  // HLBUF_TESTS_BENCH_FLOOR_WIRE_H_
