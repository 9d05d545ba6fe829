// SPDX-License-Identifier: Apache-2.0
#include "tests/soak/pattern.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace hlbuf {
namespace {

std::vector<std::uint64_t> Filled(const Stamp& stamp) {
  std::vector<std::uint64_t> half(256);
  Fill(half, stamp);
  return half;
}

TEST(Pattern, TellsWhoWroteWhat) {
  const Finding found = Judge(Filled({.buffer = 7, .writer = 3, .counter = 11}));
  ASSERT_EQ(found.kind, Finding::Kind::kWhole);
  EXPECT_EQ(found.stamp.buffer, 7U);
  EXPECT_EQ(found.stamp.writer, 3U);
  EXPECT_EQ(found.stamp.counter, 11U);
}

TEST(Pattern, OfAllZerosIsNeverWhole) {
  EXPECT_EQ(Judge(Filled({})).kind, Finding::Kind::kWhole);
  EXPECT_EQ(Judge(std::vector<std::uint64_t>(256)).kind, Finding::Kind::kBlank);
}

TEST(Pattern, IsTornWhereverOneWordIsAnother) {
  for (std::size_t i = 0; i < 256; ++i) {
    std::vector<std::uint64_t> half = Filled({.buffer = 7, .writer = 3, .counter = 11});
    half[i] ^= 1;
    EXPECT_EQ(Judge(half).kind, Finding::Kind::kTorn) << i;
  }
}

TEST(Pattern, IsTornWhereOneWriteHasHalfReplacedAnother) {
  for (std::size_t i = 4; i < 256; ++i) {  // the counter differs, and all that follows
    std::vector<std::uint64_t> half = Filled({.buffer = 7, .writer = 3, .counter = 11});
    const std::vector<std::uint64_t> next = Filled({.buffer = 7, .writer = 3, .counter = 13});
    std::copy_n(next.begin(), i, half.begin());
    EXPECT_EQ(Judge(half).kind, Finding::Kind::kTorn) << i;
  }
}

}  // namespace
}  // namespace hlbuf
