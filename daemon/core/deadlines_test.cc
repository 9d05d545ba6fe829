// SPDX-License-Identifier: Apache-2.0
#include "daemon/core/deadlines.h"

#include <gtest/gtest.h>

#include <string>

namespace hlbuf {
namespace {

absl::Time At(int seconds) { return absl::UnixEpoch() + absl::Seconds(seconds); }

TEST(Deadlines, AreNeverWhenThereAreNone) {
  Deadlines deadlines;
  EXPECT_EQ(deadlines.Next(), absl::InfiniteFuture());
  deadlines.Run(absl::InfiniteFuture());
}

TEST(Deadlines, RunInTheOrderOfTheirTimes) {
  Deadlines deadlines;
  std::string ran;
  deadlines.At(At(2), [&] { ran += 'b'; });
  deadlines.At(At(3), [&] { ran += 'c'; });
  deadlines.At(At(1), [&] { ran += 'a'; });
  EXPECT_EQ(deadlines.Next(), At(1));
  deadlines.Run(At(2));
  EXPECT_EQ(ran, "ab");
  EXPECT_EQ(deadlines.Next(), At(3));
}

TEST(Deadlines, OfOneTimeRunInTheOrderInWhichTheyWereSet) {
  Deadlines deadlines;
  std::string ran;
  for (const char c : {'a', 'b', 'c'}) deadlines.At(At(1), [&ran, c] { ran += c; });
  deadlines.Run(At(1));
  EXPECT_EQ(ran, "abc");
}

TEST(Deadlines, AreNotRunOnceCancelled) {
  Deadlines deadlines;
  const Deadlines::Handle handle = deadlines.At(At(1), [] { FAIL(); });
  deadlines.Cancel(handle);
  deadlines.Cancel(handle);
  deadlines.Cancel({});
  EXPECT_EQ(deadlines.Next(), absl::InfiniteFuture());
  deadlines.Run(At(9));
}

TEST(Deadlines, MaySetAndCancelOthersWhileTheyRun) {
  Deadlines deadlines;
  std::string ran;
  Deadlines::Handle doomed;
  deadlines.At(At(1), [&] {
    ran += 'a';
    deadlines.Cancel(doomed);
    deadlines.At(At(1), [&] { ran += 'd'; });
    deadlines.At(At(5), [&] { ran += 'e'; });
  });
  doomed = deadlines.At(At(2), [&] { ran += 'b'; });
  deadlines.At(At(2), [&] { ran += 'c'; });
  deadlines.Run(At(2));
  EXPECT_EQ(ran, "adc");
  EXPECT_EQ(deadlines.Next(), At(5));
}

}  // namespace
}  // namespace hlbuf
