// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_TESTS_SOAK_PATTERN_H_
#define HLBUF_TESTS_SOAK_PATTERN_H_

#include <cstdint>
#include <span>

namespace hlbuf {

// What a client writes into half a buffer: whose it is, who wrote it, the how manieth write it was,
// and words that follow from these, up to a checksum.
struct Stamp {
  std::uint64_t buffer = 0;
  std::uint64_t writer = 0;
  std::uint64_t counter = 0;
};

struct Finding {
  enum class Kind {
    kBlank,  // zeros
    kWhole,  // one write, complete
    kTorn,   // neither: a write in progress, or bytes that nobody should have written
  };
  Kind kind = Kind::kTorn;
  Stamp stamp;  // kWhole
};

inline constexpr std::size_t kPatternWordsMin = 8;

// `half` has at least kPatternWordsMin words.
void Fill(std::span<std::uint64_t> half, const Stamp& stamp);
Finding Judge(std::span<const std::uint64_t> half);

}  // namespace hlbuf

#endif  // HLBUF_TESTS_SOAK_PATTERN_H_
