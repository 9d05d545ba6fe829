// SPDX-License-Identifier: Apache-2.0
// Signals to the processes of sessions, real ones, on the real clock.
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <optional>
#include <string>

#include "tests/support/forked.h"
#include "tests/support/session_steps.h"
#include "tests/support/texts.h"

namespace hlbuf {
namespace {

SessionRigOptions Killing() {
  SessionRigOptions options;
  options.enforcement.resets = Force::kKill;
  return options;
}

class SessionEnforcement : public testing::Test {
 protected:
  // Leaves the kernel time to end a process before the verdict, on a busy machine too.
  static constexpr absl::Duration kAmple = absl::Seconds(4);
  static constexpr absl::Duration kShort = absl::Seconds(1);

  // Begins a reset that gives `grace`.
  void Reset(absl::Duration grace) {
    rig_.OnLoop([&](Broker& broker) {
      const auto done = [this](const ResetReport& report) { report_ = report; };
      EXPECT_TRUE(broker.SimulateReset("software0", Drill::kNone, grace, done).ok());
    });
  }
  // The only verdict of that reset.
  BufferVerdict Verdict() {
    rig_.Until([this](Broker&) { return report_.has_value(); });
    BufferVerdict verdict;
    rig_.OnLoop([&](Broker&) { verdict = report_->revocation.verdicts.at(0); });
    return verdict;
  }
  // What was said of signals, a line each.
  std::string Said() {
    std::string said;
    for (const Event& event : rig_.Events())
      if (event.kind == EventKind::kHolderSignalled) said += event.text + "\n";
    return said;
  }
  // The signal that ended a child, which stays to be reaped; 0: none did.
  static int EndedBy(const Forked& process) {
    siginfo_t info = {};
    EXPECT_EQ(::waitid(P_PID, static_cast<id_t>(process.pid()), &info, WEXITED | WNOWAIT), 0);
    return info.si_code == CLD_KILLED ? info.si_status : 0;
  }

  SessionRig rig_ = SessionRig(Killing());
  Gate ready_;
  std::optional<ResetReport> report_;  // broker thread
};

TEST_F(SessionEnforcement, EndsAProcessThatLeavesItsNoticeUnanswered) {
  const Forked client([this] {
    RawClient connection = RawClient::Greeted(rig_.path());
    Allocated(connection);
    ready_.Open();
    ::pause();
  });
  ASSERT_TRUE(ready_.Pass());
  Reset(kAmple);
  EXPECT_EQ(EndedBy(client), SIGTERM);
  EXPECT_EQ(Verdict().verdict.kind, Verdict::Kind::kAcknowledged);
  const double sent = NumberAfter("SIGTERM sent: ", Said());
  EXPECT_GE(sent, 2.4) << Said();
  EXPECT_LT(sent, 3.2) << "as late as the SIGKILL: " << Said();
}

TEST_F(SessionEnforcement, KillsAProcessThatIgnoresBeingTerminated) {
  const Forked client([this] {
    ::signal(SIGTERM, SIG_IGN);
    RawClient connection = RawClient::Greeted(rig_.path());
    Allocated(connection);
    ready_.Open();
    for (;;) ::pause();
  });
  ASSERT_TRUE(ready_.Pass());
  Reset(kAmple);
  EXPECT_EQ(EndedBy(client), SIGKILL);
  EXPECT_EQ(Verdict().verdict.kind, Verdict::Kind::kAcknowledged);
}

// It cannot get its notice, because nothing is sent behind what it has not read.
TEST_F(SessionEnforcement, KillsAStoppedProcessWithAnUnreadGrant) {
  const Forked client([this] {
    RawClient connection = RawClient::Greeted(rig_.path());
    LeaveUnread(connection, Allocated(connection).buffer_id);
    ready_.Open();
    ::raise(SIGSTOP);
  });
  ASSERT_TRUE(ready_.Pass());
  siginfo_t info = {};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(client.pid()), &info, WSTOPPED | WNOWAIT), 0);
  rig_.OnLoop([](Broker& broker) { EXPECT_EQ(NewestSession(broker).in_flight.amount(), 1U); });
  Reset(kAmple);
  EXPECT_EQ(EndedBy(client), SIGKILL);
  EXPECT_EQ(Verdict().verdict.kind, Verdict::Kind::kAcknowledged);
  rig_.Until(IsForgotten);
}

// This process serves, and has a session with itself.
TEST_F(SessionEnforcement, NeverSignalsTheServiceItself) {
  RawClient connection = RawClient::Greeted(rig_.path());
  Allocated(connection);
  Reset(kShort);
  EXPECT_EQ(Verdict().verdict.kind, Verdict::Kind::kHeld);
  EXPECT_EQ(Said(),
            "could not send SIGTERM: its process is this service itself\n"
            "could not send SIGKILL: its process is this service itself\n");
}

// Its leases end now, as GOODBYE says; a reset that comes in this moment tells it nothing.
TEST_F(SessionEnforcement, DoesNotReachWhoWasToldThatTheServiceStops) {
  const Forked client([this] {
    RawClient connection = RawClient::Greeted(rig_.path());
    const auto buffer = Allocated(connection);
    LeaveUnread(connection, buffer.buffer_id);
    ready_.Open();
    ::pause();
  });
  ASSERT_TRUE(ready_.Pass());
  rig_.OnLoop([this](Broker&) {
    rig_.listener().Shutdown("the test ends", Listener::Leases::kEnd, absl::Minutes(1), [] {});
  });
  Reset(kShort);
  EXPECT_EQ(Verdict().verdict.kind, Verdict::Kind::kHeld);
  EXPECT_EQ(Said(), "");
}

}  // namespace
}  // namespace hlbuf
