// SPDX-License-Identifier: Apache-2.0
#include "daemon/namespaces.h"

#include <gtest/gtest.h>

namespace hlbuf {
namespace {

TEST(MapsAllIds, IsTrueOfTheHostsOwnNamespace) {
  EXPECT_TRUE(MapsAllIds("         0          0 4294967295\n"));
}

TEST(MapsAllIds, IsTrueWhenSeveralLinesLeaveNothingOut) {
  EXPECT_TRUE(MapsAllIds("0 0 1000\n1000 1000 4294966295\n"));
  EXPECT_TRUE(MapsAllIds("1000 1000 4294966295\n0 0 1000\n"));
}

TEST(MapsAllIds, IsFalseWhenAnIdIsLeftOut) {
  EXPECT_FALSE(MapsAllIds("0 0 4294967294\n"));
  EXPECT_FALSE(MapsAllIds("0 1 4294967295\n"));
  EXPECT_FALSE(MapsAllIds("0 100000 65536\n"));
  EXPECT_FALSE(MapsAllIds("0 0 1000\n1001 1001 4294966294\n"));
}

TEST(MapsAllIds, IsFalseWhenItCannotTell) {
  EXPECT_FALSE(MapsAllIds(""));
  EXPECT_FALSE(MapsAllIds("0 0\n"));
  EXPECT_FALSE(MapsAllIds("0 0 many\n"));
}

}  // namespace
}  // namespace hlbuf
