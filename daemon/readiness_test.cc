// SPDX-License-Identifier: Apache-2.0
#include "daemon/readiness.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "daemon/core/error.h"
#include "tests/support/fake_backend.h"
#include "tests/support/fake_clock.h"
#include "tests/support/posted.h"

namespace hlbuf {
namespace {

using Lines = std::vector<std::string>;

class ReadinessTest : public testing::Test {
 protected:
  FakeBackend& Add(const std::string& name) {
    auto backend = std::make_unique<FakeBackend>();
    FakeBackend& fake = *backend;
    broker.AddDevice(name, std::move(backend));
    posted.Run();
    return fake;
  }
  void Answer(FakeBackend& backend) {
    backend.Run();
    posted.Run();
  }
  void Advance(absl::Duration by) {
    clock.Advance(by);
    broker.RunDeadlines();
    readiness.RunDeadlines();
    posted.Run();
  }

  FakeClock clock;
  EventLog log{1};
  Broker broker{{}, Policy({}, {}), clock, log};
  Posted posted;
  std::vector<std::string> told;
  Readiness readiness{log, broker, posted, clock,
                      [this](const std::string& lines) { told.push_back(lines); }};
};

TEST_F(ReadinessTest, ComesWhenNoDeviceIsBeingOpenedAnyMore) {
  FakeBackend& first = Add("a");
  FakeBackend& second = Add("b");
  EXPECT_EQ(readiness.NextDeadline(), clock.Now() + Readiness::kPatience);
  Answer(first);
  EXPECT_TRUE(told.empty());
  Answer(second);
  EXPECT_EQ(told, (Lines{"STATUS=Serving a (READY), b (READY)", "READY=1"}));
  EXPECT_EQ(readiness.NextDeadline(), absl::InfiniteFuture());
}

TEST_F(ReadinessTest, DoesNotWaitForADeviceThatFailedButTellsWhenItComes) {
  FakeBackend& backend = Add("a");
  backend.fail_open = Error(ErrorCode::kDeviceUnavailable, "no such node");
  Answer(backend);
  EXPECT_EQ(told,
            (Lines{"STATUS=Serving a (FAILED: no such node; opening it is tried again 1s after "
                   "this failure)",
                   "READY=1"}));
  Advance(Resets::kFirstPause);
  Answer(backend);
  EXPECT_EQ(told.back(), "STATUS=Serving a (READY)");
}

TEST_F(ReadinessTest, SaysWhatIsWrongBesideTheDevicesUntilItIsMended) {
  FakeBackend& backend = Add("a");
  readiness.SetTrouble("it rains");
  Answer(backend);
  EXPECT_EQ(told, (Lines{"STATUS=Serving a (READY); it rains", "READY=1"}));
  readiness.BeginReload();
  readiness.SetTrouble("");
  told.clear();
  readiness.EndReload("");
  EXPECT_EQ(told, (Lines{"STATUS=Serving a (READY)", "READY=1"}));
}

TEST_F(ReadinessTest, LosesPatienceWithADriver) {
  FakeBackend& backend = Add("a");
  Advance(Readiness::kPatience - absl::Milliseconds(1));
  EXPECT_TRUE(told.empty());
  Advance(absl::Milliseconds(1));
  EXPECT_EQ(told, (Lines{"STATUS=Serving a (OPENING)", "READY=1"}));
  Answer(backend);
  EXPECT_EQ(told.back(), "STATUS=Serving a (READY)");
}

TEST_F(ReadinessTest, ComesWhenWhatIsKeptWasCounted) {
  FakeBackend& backend = Add("a");
  readiness.AwaitCount(true);
  Answer(backend);
  EXPECT_TRUE(told.empty());
  EXPECT_EQ(readiness.NextDeadline(), clock.Now() + Readiness::kCountPatience);
  readiness.AwaitCount(false);
  EXPECT_EQ(told.back(), "READY=1");
  told.clear();
  readiness.AwaitCount(true);
  readiness.AwaitCount(false);
  EXPECT_TRUE(told.empty());
}

TEST_F(ReadinessTest, DoesNotComeBeforeItsDevicesBecauseThatWasCounted) {
  FakeBackend& backend = Add("a");
  readiness.AwaitCount(true);
  readiness.AwaitCount(false);
  EXPECT_TRUE(told.empty());
  Answer(backend);
  EXPECT_EQ(told.back(), "READY=1");
}

TEST_F(ReadinessTest, LosesPatienceWithWhoeverCounts) {
  FakeBackend& backend = Add("a");
  readiness.AwaitCount(true);
  Answer(backend);
  Advance(Readiness::kCountPatience - absl::Milliseconds(1));
  EXPECT_TRUE(told.empty());
  Advance(absl::Milliseconds(1));
  EXPECT_EQ(told.back(), "READY=1");
}

TEST_F(ReadinessTest, LosesPatienceWithBoth) {
  Add("a");
  readiness.AwaitCount(true);
  Advance(Readiness::kCountPatience);
  readiness.AwaitCount(true);
  EXPECT_TRUE(told.empty());
  EXPECT_EQ(readiness.NextDeadline(),
            clock.Now() + Readiness::kPatience - Readiness::kCountPatience);
  Advance(Readiness::kPatience);
  EXPECT_EQ(told.back(), "READY=1");
}

TEST_F(ReadinessTest, SaysNothingAboutAResetThatWentWell) {
  FakeBackend& backend = Add("a");
  Answer(backend);
  ASSERT_TRUE(
      broker.SimulateReset("a", Drill::kNone, absl::Seconds(1), [](const ResetReport&) {}).ok());
  for (int i = 0; i < 3; ++i) Answer(backend);
  EXPECT_EQ(broker.FindDevice("a")->epoch(), 2u);
  EXPECT_EQ(told.size(), 2u);
}

TEST_F(ReadinessTest, TellsThatTheConfigurationIsReadAgainAndWhatCameOfIt) {
  Answer(Add("a"));
  told.clear();
  readiness.BeginReload();
  readiness.EndReload("the configuration was refused: f.toml:2:1: x");
  readiness.BeginReload();
  readiness.EndReload("");
  EXPECT_EQ(told, (Lines{"RELOADING=1\nSTATUS=Reading the configuration again",
                         "STATUS=Serving a (READY); the configuration was refused: f.toml:2:1: x",
                         "READY=1", "RELOADING=1\nSTATUS=Reading the configuration again",
                         "STATUS=Serving a (READY)", "READY=1"}));
}

TEST_F(ReadinessTest, IsNotReadySoonerBecauseTheConfigurationWasReadAgain) {
  FakeBackend& backend = Add("a");
  readiness.BeginReload();
  readiness.EndReload("odd");
  EXPECT_TRUE(told.empty());
  Answer(backend);
  EXPECT_EQ(told, (Lines{"STATUS=Serving a (READY); odd", "READY=1"}));
}

TEST_F(ReadinessTest, KeepsWhatItSaysToOneLine) {
  Answer(Add("a"));
  readiness.BeginReload();
  readiness.EndReload("one\nWATCHDOG=1");
  EXPECT_EQ(told.at(told.size() - 2), "STATUS=Serving a (READY); one WATCHDOG=1");
}

// Whatever devices, certificates and configurations have to say.
TEST_F(ReadinessTest, SaysNoMoreThanAServiceManagerTakes) {
  std::string long_text;  // of characters of three bytes
  while (long_text.size() < 10'000) long_text += "\u20ac";
  for (const char* name : {"a", "b", "c"}) {
    FakeBackend& backend = Add(name);
    backend.fail_open = Error(ErrorCode::kDeviceUnavailable, long_text);
    Answer(backend);
  }
  readiness.SetTrouble("trouble " + long_text);
  readiness.BeginReload();
  readiness.EndReload("remark " + long_text);
  ASSERT_EQ(told.back(), "READY=1");
  const std::string status = told.at(told.size() - 2);
  EXPECT_LT(status.size(), 4096u);
  for (const char* part : {"Serving a (FAILED: ", "; trouble ", "; remark "})
    EXPECT_NE(status.find(part), std::string::npos) << part;
  // All that is left of a character is whole.
  std::string rest = status;
  for (std::size_t at = rest.find("\u20ac"); at != std::string::npos; at = rest.find("\u20ac"))
    rest.erase(at, 3);
  EXPECT_TRUE(std::all_of(rest.begin(), rest.end(), [](char c) { return c > 0; })) << rest;
}

TEST_F(ReadinessTest, SaysNothingMoreWhenTheServiceStops) {
  FakeBackend& backend = Add("a");
  readiness.BeginReload();
  readiness.TellStopping();
  EXPECT_EQ(told.back(), "STOPPING=1\nSTATUS=Stopping: clients are told");
  told.clear();
  Answer(backend);
  readiness.EndReload("");
  EXPECT_TRUE(told.empty());
}

}  // namespace
}  // namespace hlbuf
