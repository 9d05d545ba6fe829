// SPDX-License-Identifier: Apache-2.0
// hl-bufctl status: what a restart cost, what it did not, and what one would cost.
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>

#include "hlbuf/v1/status.pb.h"
#include "tests/support/control_client.h"
#include "tests/support/ctl_test.h"

namespace hlbuf {
namespace {

constexpr std::uint64_t kBytes = 64 << 10;

class Status : public CtlTest {
 protected:
  v1::ServiceStatus Seen(int exit_status) {
    return Json<v1::ServiceStatus>({"status"}, exit_status);
  }
  // While nothing of it runs.
  void DamageTheJournal() {
    std::fstream file(daemon().state_directory() + "/journal",
                      std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(16);
    file << "damaged";
    ASSERT_TRUE(file.good());
  }
  // An idle client comes back when it looks for notices.
  void ComeBack(LibraryClient& client) {
    EXPECT_TRUE(Eventually([&] {
      client.process().Do("library-dispatch 0");
      return !IsAway(Seen(kAny), client.process().pid());
    }));
    client.process().Do("library-dispatch 200");  // reads that it is
  }
  static bool IsAway(const v1::ServiceStatus& status, pid_t pid) {
    const auto& away = status.away().sessions();
    return std::any_of(away.begin(), away.end(),
                       [pid](const v1::Session& session) { return session.peer().pid() == pid; });
  }
  bool IsTold(const std::string& kind) {
    for (const EventSeen& event : ControlClient(daemon().control_socket()).Events())
      if (event.kind == kind) return true;
    return false;
  }
  bool HasMetric(const std::string& line) { return Contains(Run({"metrics"}).output, line + "\n"); }
};

TEST_F(Status, IsHealthyAfterAKillAndARestart) {
  Start({.supervised = true});
  LibraryClient alice = Client(Alice());
  const HeldBuffer made = alice.Allocate(kBytes, "weights");
  const std::string before = Seen(kOk).life();
  daemon().Crash();
  const v1::ServiceStatus status = Seen(kOk);
  EXPECT_NE(status.life(), before);
  EXPECT_EQ(status.buffer_count(), 1u);
  EXPECT_EQ(status.state().place(), v1::STATE_PLACE_DIRECTORY);
  EXPECT_TRUE(status.losses().empty()) << status.DebugString();
  EXPECT_TRUE(status.state().troubles().empty()) << status.DebugString();
  EXPECT_EQ(status.devices(0).keeper(), v1::KEEPER_ROLE_COPIES);
  EXPECT_TRUE(HasMetric("hlbuf_lost_total{kind=\"STATE_LOST\"} 0"));
  const Finished screen = Run({"status"});
  EXPECT_EQ(screen.exit_status, kOk) << screen.output;
  EXPECT_TRUE(Contains(screen.output, ": healthy\n"));
  EXPECT_TRUE(Contains(screen.output, "Lost since the service was started: nothing\n"));
  ComeBack(alice);
  alice.Release(made);
  daemon().ExpectNothingInUse();
  Seen(kOk);
}

TEST_F(Status, SaysWhoHasNotComeBackYetWhichIsNoLoss) {
  Start({.supervised = true});
  LibraryClient alice = Client(Alice());
  const HeldBuffer made = alice.Allocate(kBytes);
  daemon().Crash();
  const v1::ServiceStatus status = Seen(kOk);
  EXPECT_TRUE(IsAway(status, alice.process().pid())) << status.DebugString();
  EXPECT_EQ(status.away().lease_count(), 1u);
  EXPECT_GT(status.away().left().seconds(), 0);
  EXPECT_TRUE(Contains(Run({"status"}).output, " with 1 lease, which can come back for "));
  ComeBack(alice);
  EXPECT_EQ(Seen(kOk).away().lease_count(), 0u);
  alice.Release(made);
  daemon().ExpectNothingInUse();
}

TEST_F(Status, SaysThatAJournalCouldNotBeReadUntilTheNextStart) {
  Start({.supervised = true});
  LibraryClient alice = Client(Alice());
  alice.Allocate(kBytes);
  daemon().Signal(SIGSTOP);
  DamageTheJournal();
  daemon().Crash();
  const v1::ServiceStatus status = Seen(kLost);
  ASSERT_EQ(status.losses_size(), 1) << status.DebugString();
  EXPECT_EQ(status.losses(0).kind(), v1::EVENT_KIND_STATE_LOST);
  EXPECT_EQ(status.losses(0).count(), 1u);
  const std::string aside = daemon().state_directory() + "/journal.bad-1";
  EXPECT_TRUE(Contains(status.losses(0).events(0).text(), "damaged; it is now " + aside));
  EXPECT_TRUE(std::filesystem::exists(aside));
  const Finished screen = Run({"status"});
  EXPECT_EQ(screen.exit_status, kLost);
  EXPECT_TRUE(Contains(screen.output, "state-lost: 1\n"));
  EXPECT_TRUE(Contains(screen.output, aside));
  EXPECT_TRUE(IsTold("STATE_LOST"));
  EXPECT_TRUE(HasMetric("hlbuf_lost_total{kind=\"STATE_LOST\"} 1"));
  EXPECT_TRUE(Contains(daemon().Log(), "STATE_LOST: the journal of an earlier process cannot"));
  daemon().Crash();
  EXPECT_TRUE(Seen(kOk).losses().empty());
}

TEST_F(Status, SaysThatDescriptorsDidNotComeBack) {
  Start({.supervised = true});
  LibraryClient alice = Client(Alice());
  const HeldBuffer made = alice.Allocate(kBytes);
  daemon().Signal(SIGSTOP);
  for (const pid_t keeper : daemon().Keepers()) ::kill(keeper, SIGKILL);
  EXPECT_TRUE(Eventually([&] { return daemon().Keepers().empty(); }));
  daemon().Crash();
  const v1::ServiceStatus status = Seen(kLost);
  ASSERT_EQ(status.losses_size(), 1) << status.DebugString();
  EXPECT_EQ(status.losses(0).kind(), v1::EVENT_KIND_HANDLES_LOST);
  EXPECT_EQ(status.losses(0).events(0).device(), "dev0");
  EXPECT_TRUE(IsTold("HANDLES_LOST"));
  EXPECT_TRUE(HasMetric("hlbuf_lost_total{kind=\"HANDLES_LOST\"} 1"));
  EXPECT_TRUE(status.state().troubles().empty()) << "there is another keeper";
  ComeBack(alice);
  alice.Release(made);
  daemon().ExpectNothingInUse();
}

TEST_F(Status, SaysThatAKeeperDiedAndThatAnotherOneHasTheCopies) {
  Start({.supervised = true});
  LibraryClient alice = Client(Alice());
  const HeldBuffer made = alice.Allocate(kBytes);
  const std::vector<pid_t> keepers = daemon().Keepers();
  ASSERT_EQ(keepers.size(), 1u);
  ::kill(keepers[0], SIGKILL);
  EXPECT_TRUE(Eventually([&] { return IsTold("KEEPER_LOST"); }));
  v1::ServiceStatus status;
  EXPECT_TRUE(Eventually([&] {
    status = Seen(kLost);
    return status.devices(0).keeper() == v1::KEEPER_ROLE_COPIES;
  })) << status.DebugString();
  EXPECT_EQ(status.losses(0).kind(), v1::EVENT_KIND_KEEPER_LOST);
  EXPECT_TRUE(status.state().troubles().empty()) << status.DebugString();
  alice.Release(made);
}

TEST_F(Status, SaysThatNothingWouldSurviveWhereNothingIsKept) {
  Start({});
  const v1::ServiceStatus status = Seen(kLost);
  EXPECT_EQ(status.state().place(), v1::STATE_PLACE_NONE);
  ASSERT_EQ(status.state().troubles_size(), 1);
  EXPECT_TRUE(status.losses().empty());
  EXPECT_TRUE(Contains(Run({"status"}).output, "Kept for a restart: nowhere\n"));
}

TEST_F(Status, FailsWithADevice) {
  Start({.supervised = true});
  EXPECT_EQ(Run({"simulate-reset", "dev0", "--drill", "fails"}).exit_status, kFailed);
  const Finished screen = Run({"status"});
  EXPECT_EQ(screen.exit_status, kFailed);
  EXPECT_TRUE(Contains(screen.output, ": a device has FAILED\n"));
  EXPECT_EQ(Run({"simulate-reset", "dev0"}).exit_status, kOk);
  Seen(kOk);
}

TEST_F(Status, IsAnErrorWhereNobodyAnswers) {
  EXPECT_EQ(Run({"--socket", "/nowhere/control.sock", "status"}).exit_status, kUnreachable);
}

}  // namespace
}  // namespace hlbuf
