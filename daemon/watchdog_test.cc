// SPDX-License-Identifier: Apache-2.0
#include "daemon/watchdog.h"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "tests/support/fake_clock.h"
#include "tests/support/posted.h"

namespace hlbuf {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(8);
constexpr absl::Duration kQuarter = absl::Seconds(2);

class WatchdogTest : public testing::Test {
 protected:
  void Advance(absl::Duration by) {
    clock.Advance(by);
    watchdog.RunDeadlines();
  }
  void Answer(bool serves) {
    ASSERT_EQ(asked.size(), 1u);
    std::move(asked.back())(serves);
    asked.clear();
  }

  FakeClock clock;
  Posted posted;
  std::vector<absl::AnyInvocable<void(bool) &&>> asked;
  std::vector<std::string> told;
  Watchdog watchdog{
      kPatience, posted, clock,
      [this](absl::AnyInvocable<void(bool) &&> answered) { asked.push_back(std::move(answered)); },
      [this](const std::string& lines) { told.push_back(lines); }};
};

TEST_F(WatchdogTest, TellsFourTimesInTheTimeThatIsGiven) {
  for (int i = 1; i <= 4; ++i) {
    EXPECT_EQ(watchdog.NextDeadline(), clock.Now() + kQuarter);
    Advance(kQuarter);
    posted.Run();
    Answer(true);
    EXPECT_EQ(told, std::vector<std::string>(i, "WATCHDOG=1"));
  }
}

TEST_F(WatchdogTest, TellsNothingBeforeItIsTime) {
  Advance(kQuarter - absl::Milliseconds(1));
  posted.Run();
  EXPECT_TRUE(asked.empty());
  EXPECT_TRUE(told.empty());
}

TEST_F(WatchdogTest, TellsNothingWhileTheLoopRunsNothingThatIsPosted) {
  for (int i = 0; i < 5; ++i) Advance(kQuarter);
  EXPECT_TRUE(asked.empty());
  EXPECT_TRUE(told.empty());
}

TEST_F(WatchdogTest, TellsNothingWhileTheControlServerDoesNotAnswerAndAsksItOnce) {
  for (int i = 0; i < 5; ++i) {
    Advance(kQuarter);
    posted.Run();
  }
  EXPECT_EQ(asked.size(), 1u);
  EXPECT_TRUE(told.empty());
  Answer(true);
  EXPECT_EQ(told.size(), 1u);
}

TEST_F(WatchdogTest, TellsNothingWhenTheControlServerDoesNotServeAndAsksAgain) {
  Advance(kQuarter);
  posted.Run();
  Answer(false);
  EXPECT_TRUE(told.empty());
  Advance(kQuarter);
  posted.Run();
  Answer(true);
  EXPECT_EQ(told.size(), 1u);
}

TEST_F(WatchdogTest, RestsWhileTheServiceStops) {
  Advance(kQuarter);
  posted.Run();
  watchdog.Rest();
  EXPECT_EQ(watchdog.NextDeadline(), absl::InfiniteFuture());
  Answer(true);
  EXPECT_TRUE(told.empty());
}

TEST(Watchdog, HasNothingToDoWhereNobodyWatches) {
  FakeClock clock;
  Posted posted;
  const Watchdog watchdog(
      absl::InfiniteDuration(), posted, clock, [](auto) {}, [](const std::string&) {});
  EXPECT_EQ(watchdog.NextDeadline(), absl::InfiniteFuture());
}

}  // namespace
}  // namespace hlbuf
