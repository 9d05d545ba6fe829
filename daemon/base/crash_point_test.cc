// SPDX-License-Identifier: Apache-2.0
#include "daemon/base/crash_point.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <set>
#include <string>

namespace hlbuf {
namespace {

TEST(CrashPoints, HaveNamesOfTheirOwn) {
  EXPECT_EQ(std::set<std::string>(kCrashPoints.begin(), kCrashPoints.end()).size(),
            kCrashPoints.size());
}

#ifndef HLBUF_NO_CRASH_POINTS
TEST(CrashPoint, EndsTheProcessWhenItIsPassedForThatTime) {
  EXPECT_EXIT(
      {
        EXPECT_TRUE(ArmCrashPoint("after-grant:3").ok());
        for (int i = 0; i < 3; ++i) {
          CrashPoint("before-grant");
          CrashPoint("after-grant");
        }
        ::_exit(0);
      },
      testing::KilledBySignal(SIGKILL), "");
}

TEST(CrashPoint, IsPassedBeforeThat) {
  EXPECT_EXIT(
      {
        EXPECT_TRUE(ArmCrashPoint("after-grant:3").ok());
        for (int i = 0; i < 2; ++i) CrashPoint("after-grant");
        ::_exit(0);
      },
      testing::ExitedWithCode(0), "");
}

TEST(CrashPoint, MustBeOneThatThereIs) {
  EXPECT_TRUE(absl::IsInvalidArgument(ArmCrashPoint("nowhere:1")));
  EXPECT_TRUE(absl::IsInvalidArgument(ArmCrashPoint("after-grant")));
  EXPECT_TRUE(absl::IsInvalidArgument(ArmCrashPoint("after-grant:0")));
}
#endif

}  // namespace
}  // namespace hlbuf
