// SPDX-License-Identifier: Apache-2.0
#include "daemon/readiness.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "daemon/core/error.h"
#include "tests/support/fake_backend.h"
#include "tests/support/fake_clock.h"
#include "tests/support/posted.h"

namespace hlbuf {
namespace {

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
  EXPECT_EQ(told, std::vector<std::string>{"READY=1\nSTATUS=Serving a (READY), b (READY)"});
  EXPECT_EQ(readiness.NextDeadline(), absl::InfiniteFuture());
}

TEST_F(ReadinessTest, DoesNotWaitForADeviceThatFailedButTellsWhenItComes) {
  FakeBackend& backend = Add("a");
  backend.fail_open = Error(ErrorCode::kDeviceUnavailable, "no such node");
  Answer(backend);
  EXPECT_EQ(told.back(),
            "READY=1\nSTATUS=Serving a (FAILED: no such node; opening it is tried again 1s after "
            "this failure)");
  Advance(Resets::kFirstPause);
  Answer(backend);
  EXPECT_EQ(told.back(), "STATUS=Serving a (READY)");
}

TEST_F(ReadinessTest, SaysWhatIsWrongBesideTheDevicesUntilItIsMended) {
  FakeBackend& backend = Add("a");
  readiness.SetTrouble("it rains");
  Answer(backend);
  EXPECT_EQ(told.back(), "READY=1\nSTATUS=Serving a (READY); it rains");
  readiness.BeginReload();
  readiness.SetTrouble("");
  readiness.EndReload("");
  EXPECT_EQ(told.back(), "READY=1\nSTATUS=Serving a (READY)");
}

TEST_F(ReadinessTest, LosesPatienceWithADriver) {
  FakeBackend& backend = Add("a");
  Advance(Readiness::kPatience - absl::Milliseconds(1));
  EXPECT_TRUE(told.empty());
  Advance(absl::Milliseconds(1));
  EXPECT_EQ(told, std::vector<std::string>{"READY=1\nSTATUS=Serving a (OPENING)"});
  Answer(backend);
  EXPECT_EQ(told.back(), "STATUS=Serving a (READY)");
}

TEST_F(ReadinessTest, SaysNothingAboutAResetThatWentWell) {
  FakeBackend& backend = Add("a");
  Answer(backend);
  ASSERT_TRUE(
      broker.SimulateReset("a", Drill::kNone, absl::Seconds(1), [](const ResetReport&) {}).ok());
  for (int i = 0; i < 3; ++i) Answer(backend);
  EXPECT_EQ(broker.FindDevice("a")->epoch(), 2u);
  EXPECT_EQ(told.size(), 1u);
}

TEST_F(ReadinessTest, TellsThatTheConfigurationIsReadAgainAndWhatCameOfIt) {
  Answer(Add("a"));
  told.clear();
  readiness.BeginReload();
  readiness.EndReload("the configuration was refused: f.toml:2:1: x");
  readiness.BeginReload();
  readiness.EndReload("");
  EXPECT_EQ(told, (std::vector<std::string>{
                      "RELOADING=1\nSTATUS=Reading the configuration again",
                      "READY=1\nSTATUS=Serving a (READY); the configuration was refused: "
                      "f.toml:2:1: x",
                      "RELOADING=1\nSTATUS=Reading the configuration again",
                      "READY=1\nSTATUS=Serving a (READY)"}));
}

TEST_F(ReadinessTest, IsNotReadySoonerBecauseTheConfigurationWasReadAgain) {
  FakeBackend& backend = Add("a");
  readiness.BeginReload();
  readiness.EndReload("odd");
  EXPECT_TRUE(told.empty());
  Answer(backend);
  EXPECT_EQ(told, std::vector<std::string>{"READY=1\nSTATUS=Serving a (READY); odd"});
}

TEST_F(ReadinessTest, KeepsWhatItSaysToOneLine) {
  Answer(Add("a"));
  readiness.BeginReload();
  readiness.EndReload("one\nWATCHDOG=1");
  EXPECT_EQ(told.back(), "READY=1\nSTATUS=Serving a (READY); one WATCHDOG=1");
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
