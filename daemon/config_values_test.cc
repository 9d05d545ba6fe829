// SPDX-License-Identifier: Apache-2.0
#include "daemon/config_values.h"

#include <gtest/gtest.h>

namespace hlbuf {
namespace {

TEST(ConfigSize, IsBytesOrHasABinaryUnit) {
  EXPECT_EQ(ParseSize("0"), 0u);
  EXPECT_EQ(ParseSize("4096"), 4096u);
  EXPECT_EQ(ParseSize("4KiB"), 4096u);
  EXPECT_EQ(ParseSize("3MiB"), std::uint64_t{3} << 20);
  EXPECT_EQ(ParseSize("16GiB"), std::uint64_t{16} << 30);
  EXPECT_EQ(ParseSize("2TiB"), std::uint64_t{2} << 40);
}

TEST(ConfigSize, IsNothingThatCouldBeMeantOtherwise) {
  for (const char* text : {"", "GiB", "1GB", "1G", "1 GiB", "+1", "-1", "1.5GiB", "0x10", "1gib",
                           "1GiBGiB", " 1", "1\n"})
    EXPECT_EQ(ParseSize(text), std::nullopt) << text;
}

TEST(ConfigSize, StaysBelowTwoToTheSixtyThird) {
  EXPECT_EQ(ParseSize("9223372036854775807"), std::uint64_t{INT64_MAX});
  EXPECT_EQ(ParseSize("9223372036854775808"), std::nullopt);
  EXPECT_EQ(ParseSize("99999999999999999999"), std::nullopt);
  EXPECT_EQ(ParseSize("8388607TiB"), std::uint64_t{8388607} << 40);
  EXPECT_EQ(ParseSize("8388608TiB"), std::nullopt);
}

TEST(ConfigSize, IsWrittenAsItIsRead) {
  for (const std::uint64_t bytes : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{4096},
                                    std::uint64_t{5} << 30, (std::uint64_t{1} << 40) + 1024})
    EXPECT_EQ(ParseSize(SizeText(bytes)), bytes);
  EXPECT_EQ(SizeText(std::uint64_t{5} << 30), "5GiB");
}

}  // namespace
}  // namespace hlbuf
