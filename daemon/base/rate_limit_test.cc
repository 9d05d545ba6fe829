// SPDX-License-Identifier: Apache-2.0
#include "daemon/base/rate_limit.h"

#include <gtest/gtest.h>

namespace hlbuf {
namespace {

class SetClock final : public Clock {
 public:
  absl::Time Now() const override { return now; }
  absl::Time now = absl::UnixEpoch();
};

constexpr RateLimit<int>::Rate kThreeThenOneASecond = {.burst = 3, .interval = absl::Seconds(1)};

int Admitted(RateLimit<int>& limit, int key, int attempts) {
  int admitted = 0;
  for (int i = 0; i < attempts; ++i) admitted += limit.Admit(key);
  return admitted;
}

TEST(RateLimit, LetsABurstThroughAndThenOneEachInterval) {
  SetClock clock;
  RateLimit<int> limit(clock, kThreeThenOneASecond, 10);
  EXPECT_EQ(Admitted(limit, 1, 100), 3);
  clock.now += absl::Milliseconds(999);
  EXPECT_EQ(Admitted(limit, 1, 100), 0);
  clock.now += absl::Milliseconds(1);
  EXPECT_EQ(Admitted(limit, 1, 100), 1);
  clock.now += absl::Seconds(2);
  EXPECT_EQ(Admitted(limit, 1, 100), 2);
}

TEST(RateLimit, SavesNoMoreThanABurst) {
  SetClock clock;
  RateLimit<int> limit(clock, kThreeThenOneASecond, 10);
  EXPECT_EQ(Admitted(limit, 1, 1), 1);
  clock.now += absl::Hours(1);
  EXPECT_EQ(Admitted(limit, 1, 100), 3);
}

TEST(RateLimit, CountsEachKeyForItself) {
  SetClock clock;
  RateLimit<int> limit(clock, kThreeThenOneASecond, 10);
  EXPECT_EQ(Admitted(limit, 1, 100), 3);
  EXPECT_EQ(Admitted(limit, 2, 100), 3);
}

TEST(RateLimit, StaysBoundedWhateverKeysAreMadeUp) {
  SetClock clock;
  RateLimit<int> limit(clock, kThreeThenOneASecond, 10);
  int admitted = 0;
  for (int key = 0; key < 100'000; ++key) admitted += limit.Admit(key);
  EXPECT_EQ(admitted, 10);
  EXPECT_EQ(limit.size(), 10u);
}

TEST(RateLimit, ForgetsAFullBucketBeforeItRefusesANewKey) {
  SetClock clock;
  RateLimit<int> limit(clock, kThreeThenOneASecond, 2);
  EXPECT_EQ(Admitted(limit, 1, 3), 3);
  EXPECT_EQ(Admitted(limit, 2, 1), 1);
  EXPECT_FALSE(limit.Admit(3));
  clock.now += absl::Seconds(1);  // 2 is full again, 1 is not
  EXPECT_TRUE(limit.Admit(3));
  EXPECT_EQ(Admitted(limit, 1, 100), 1);
}

}  // namespace
}  // namespace hlbuf
