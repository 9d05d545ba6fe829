// SPDX-License-Identifier: Apache-2.0
// Signals to holders that do not let go: to whom, when, and to whom never.
#include <gtest/gtest.h>

#include "daemon/core/alarm_watch.h"
#include "tests/support/broker_rig.h"

namespace hlbuf {
namespace {

using Forces = std::vector<Force>;
const Forces kNothing;
const Forces kTerminated = {Force::kTerminate};
const Forces kKilled = {Force::kTerminate, Force::kKill};

RigOptions Enforcing(Force resets, Force revocations = Force::kNone) {
  RigOptions options;
  options.enforcement = {.resets = resets, .revocations = revocations};
  return options;
}

// Alice has a buffer that Bob has opened, and a bystander has one of its own elsewhere.
class EnforcementTest : public testing::Test {
 protected:
  explicit EnforcementTest(const RigOptions& options = Enforcing(Force::kKill)) : rig(options) {
    rig.AddDevice("fake1", FakeBackend::DefaultTraits());
    rig.Run();
    EXPECT_EQ(bystander.TryAllocate({.size_bytes = kPage, .device = "fake1"}), "OK");
    EXPECT_EQ(alice.Share(buffer, {.kind = Grantee::Kind::kUid, .id = 1001}), "OK");
    bobs = bob.Open(buffer)->lease;
    rig.Hold(buffer, 2);
  }
  ~EnforcementTest() override { EXPECT_EQ(bystander.notices.signals, kNothing); }

  void Reset(absl::Duration grace) { EXPECT_EQ(rig.Reset(grace), "OK"); }
  // Until `after` the beginning, exactly: nothing that is due later has run.
  void Reach(absl::Duration after) { rig.Advance(began + after - rig.clock.Now()); }
  std::string Said() { return rig.observer.Last(EventKind::kHolderSignalled).text; }
  std::size_t Told() { return rig.observer.Count(EventKind::kHolderSignalled); }
  // The verdict about `buffer` of the only reset.
  const BufferVerdict& Verdict() {
    EXPECT_EQ(rig.resets.size(), 1u);
    return rig.resets.at(0).revocation.verdicts.at(0);
  }

  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  FakeClient& bob = rig.Connect(PeerOf(1001));
  FakeClient& bystander = rig.Connect(PeerOf(1002));
  LeaseId alices = alice.Allocate("weights");
  BufferId buffer = rig.Find(alices)->buffer->id;
  LeaseId bobs;
  absl::Time began = rig.clock.Now();
};

TEST_F(EnforcementTest, TerminatesAtThreeFifthsAndKillsAtFourFifthsOfTheGrace) {
  Reset(absl::Seconds(20));
  Reach(absl::Seconds(12) - absl::Nanoseconds(1));
  EXPECT_EQ(bob.notices.signals, kNothing);
  Reach(absl::Seconds(12));
  EXPECT_EQ(bob.notices.signals, kTerminated);
  EXPECT_EQ(alice.notices.signals, kTerminated);
  Reach(absl::Seconds(16) - absl::Nanoseconds(1));
  EXPECT_EQ(bob.notices.signals, kTerminated);
  Reach(absl::Seconds(16));
  EXPECT_EQ(bob.notices.signals, kKilled);
  EXPECT_TRUE(rig.resets.empty()) << "the rest is for the kernel and the count";
  Reach(absl::Seconds(20));
  EXPECT_EQ(Verdict().verdict.kind, Verdict::Kind::kHeld);
  EXPECT_EQ(bob.notices.signals, kKilled);
}

TEST_F(EnforcementTest, LetsTheCardComeBackWhenTheSignalledHaveDied) {
  Reset(absl::Seconds(20));
  Reach(absl::Seconds(16));
  rig.Hold(buffer, 0);
  alice.Die();
  bob.Die();
  rig.Run();
  EXPECT_EQ(Verdict().verdict.kind, Verdict::Kind::kProven);
  EXPECT_EQ(rig.resets.at(0).revocation.ended, began + absl::Seconds(16));
  EXPECT_EQ(rig.broker.FindDevice("fake0")->state(), DeviceState::kReady);
}

TEST_F(EnforcementTest, LeavesAloneWhoHasLetGo) {
  Reset(absl::Seconds(20));
  Reach(absl::Seconds(11));
  alice.Release(alices);
  Reach(absl::Seconds(13));
  EXPECT_EQ(alice.notices.signals, kNothing);
  EXPECT_EQ(bob.notices.signals, kTerminated);
  bob.Release(bobs);
  Reach(absl::Seconds(20));
  EXPECT_EQ(bob.notices.signals, kTerminated) << "it let go when it was terminated";
  EXPECT_EQ(Told(), 1u);
}

TEST_F(EnforcementTest, EndsWithItsRevocation) {
  Reset(absl::Seconds(20));
  rig.Hold(buffer, 0);
  alice.Release(alices);
  bob.Release(bobs);
  rig.Run();
  ASSERT_EQ(rig.resets.size(), 1u);
  EXPECT_EQ(rig.broker.NextDeadline(), absl::InfiniteFuture());
  const LeaseId again = bob.Allocate();
  Reach(absl::Seconds(30));
  EXPECT_EQ(bob.notices.signals, kNothing);
  bob.Release(again);
}

// Nobody who has no lease is known to the broker: its references stay, its process too.
TEST_F(EnforcementTest, HasNobodyToSignalForReferencesThatNoLeaseExplains) {
  Reset(absl::Seconds(20));
  alice.Release(alices);
  bob.Release(bobs);
  Reach(absl::Seconds(20));
  EXPECT_EQ(Verdict().verdict.kind, Verdict::Kind::kHeld);
  EXPECT_EQ(Told(), 0u);
}

TEST_F(EnforcementTest, LeavesAloneWhoConnectsWhileTheResetGoesOn) {
  Reset(absl::Seconds(20));
  Reach(absl::Seconds(5));
  FakeClient& late = rig.Connect(PeerOf(1001));
  EXPECT_EQ(CodeOf(late.Open(buffer)), "REVOKED");
  Reach(absl::Seconds(20));
  EXPECT_EQ(late.notices.signals, kNothing);
  EXPECT_EQ(bob.notices.signals, kKilled);
}

TEST_F(EnforcementTest, LeavesAloneWhoCouldNotBeTold) {
  bob.notices.takes_notices = false;
  Reset(absl::Seconds(20));
  Reach(absl::Seconds(20));
  EXPECT_EQ(bob.notices.signals, kNothing);
  EXPECT_EQ(alice.notices.signals, kKilled);
}

TEST_F(EnforcementTest, NeedsASecondOfGraceAtLeast) {
  Reset(absl::Milliseconds(999));
  Reach(absl::Seconds(2));
  EXPECT_EQ(Verdict().verdict.kind, Verdict::Kind::kHeld);
  EXPECT_EQ(bob.notices.signals, kNothing);
}

TEST_F(EnforcementTest, OfASecondsGraceComesInTime) {
  Reset(absl::Seconds(1));
  Reach(absl::Milliseconds(600));
  EXPECT_EQ(bob.notices.signals, kTerminated);
  Reach(absl::Milliseconds(800));
  EXPECT_EQ(bob.notices.signals, kKilled);
  EXPECT_TRUE(rig.resets.empty());
}

TEST_F(EnforcementTest, OfResetsIsNotThatOfOperators) {
  EXPECT_EQ(rig.Revoke({buffer}, absl::Seconds(10)), "OK");
  Reach(absl::Seconds(10));
  EXPECT_EQ(rig.reports.at(0).verdicts.at(0).verdict.kind, Verdict::Kind::kHeld);
  EXPECT_EQ(bob.notices.signals, kNothing);
}

TEST_F(EnforcementTest, OfUnshareIsNone) {
  EXPECT_EQ(alice.Unshare(buffer, {.kind = Grantee::Kind::kUid, .id = 1001}), "OK");
  ASSERT_EQ(bob.notices.revokes.size(), 1u);
  Reach(absl::Minutes(1));
  EXPECT_EQ(rig.Find(bobs)->state, LeaseState::kOverdue);
  EXPECT_EQ(bob.notices.signals, kNothing);
}

TEST_F(EnforcementTest, OfAResetIsDueToWhoWasToldByAnUnshareToo) {
  EXPECT_EQ(alice.Unshare(buffer, {.kind = Grantee::Kind::kUid, .id = 1001}), "OK");
  Reset(absl::Seconds(20));
  ASSERT_EQ(bob.notices.revokes.size(), 1u) << "the reset comes later than what it knows";
  Reach(absl::Seconds(20));
  EXPECT_EQ(bob.notices.signals, kKilled);
}

TEST_F(EnforcementTest, IsToldAsAnEventOfTheSession) {
  Reset(absl::Seconds(20));
  alice.Release(alices);
  Reach(absl::Seconds(12));
  const Event event = rig.observer.Last(EventKind::kHolderSignalled);
  EXPECT_EQ(event.session, bob.session().id);
  EXPECT_EQ(event.pid, bob.session().peer.pid);
  EXPECT_EQ(event.domain.uid, 1001u);
  EXPECT_EQ(event.revocation, rig.observer.Last(EventKind::kRevocationBegan).revocation);
  EXPECT_EQ(event.text, "SIGTERM sent: 12s after the notice it still holds 1 buffer");
  Reach(absl::Seconds(16));
  EXPECT_EQ(Said(), "SIGKILL sent: 16s after the notice it still holds 1 buffer");
  EXPECT_EQ(Told(), 2u);
}

TEST_F(EnforcementTest, CountsBuffersNotLeases) {
  bob.Open(buffer).IgnoreError();
  rig.Hold(rig.Buffer(bob), 1);
  Reset(absl::Seconds(20));
  alice.Release(alices);
  Reach(absl::Seconds(12));
  EXPECT_EQ(bob.notices.signals, kTerminated);
  EXPECT_EQ(Said(), "SIGTERM sent: 12s after the notice it still holds 2 buffers");
}

TEST_F(EnforcementTest, SaysWhyASignalCouldNotBeSentAndTriesTheNextOne) {
  bob.notices.signal_result = absl::PermissionDeniedError("give the service CAP_KILL");
  alice.Release(alices);
  Reset(absl::Seconds(20));
  Reach(absl::Seconds(12));
  EXPECT_EQ(Said(), "could not send SIGTERM: give the service CAP_KILL");
  Reach(absl::Seconds(16));
  EXPECT_EQ(Said(), "could not send SIGKILL: give the service CAP_KILL");
  EXPECT_EQ(bob.notices.signals, kKilled);
  Reach(absl::Seconds(20));
  EXPECT_EQ(Verdict().holders.at(0).signalled, Force::kNone);
}

// Its session ends as soon as the loop comes round to it.
TEST_F(EnforcementTest, SaysNothingOfAProcessThatHasExitedAlready) {
  bob.notices.signal_result = absl::NotFoundError("its process has exited");
  alice.Release(alices);
  Reset(absl::Seconds(20));
  Reach(absl::Seconds(20));
  EXPECT_EQ(Told(), 0u);
}

TEST_F(EnforcementTest, IsNamedInTheVerdict) {
  Reset(absl::Seconds(20));
  alice.Release(alices);
  Reach(absl::Seconds(20));
  ASSERT_EQ(Verdict().holders.size(), 1u);
  EXPECT_EQ(Verdict().holders[0].session, bob.session().id);
  EXPECT_EQ(Verdict().holders[0].signalled, Force::kKill);
}

// Many programs take a second SIGTERM for impatience.
TEST_F(EnforcementTest, SignalsAProcessOnceThoughItHasSeveralSessions) {
  FakeClient& second = rig.Connect(PeerOf(1001));
  second.Open(buffer).IgnoreError();
  alice.Release(alices);
  Reset(absl::Seconds(20));
  Reach(absl::Seconds(12));
  EXPECT_EQ(bob.notices.signals, kTerminated);
  EXPECT_EQ(second.notices.signals, kNothing);
  EXPECT_EQ(Told(), 2u);
  EXPECT_EQ(Said(),
            "SIGTERM sent to the process of this session too: 12s after the notice it still holds "
            "1 buffer");
  Reach(absl::Seconds(20));
  for (const Holder& holder : Verdict().holders) EXPECT_EQ(holder.signalled, Force::kKill);
}

// The process of the first one has exited and its number was given away.
TEST_F(EnforcementTest, TriesTheNextSessionOfTheSameNumberWhenOneCouldNotBeReached) {
  FakeClient& second = rig.Connect(PeerOf(1001));
  second.Open(buffer).IgnoreError();
  bob.notices.signal_result = absl::NotFoundError("its process has exited");
  Reset(absl::Seconds(20));
  Reach(absl::Seconds(12));
  EXPECT_EQ(second.notices.signals, kTerminated);
}

class Terminating : public EnforcementTest {
 protected:
  Terminating() : EnforcementTest(Enforcing(Force::kTerminate)) {}
};

TEST_F(Terminating, NeverKills) {
  Reset(absl::Seconds(20));
  Reach(absl::Seconds(20));
  EXPECT_EQ(bob.notices.signals, kTerminated);
  EXPECT_EQ(Verdict().holders.at(0).signalled, Force::kTerminate);
}

class NotEnforcing : public EnforcementTest {
 protected:
  NotEnforcing() : EnforcementTest(RigOptions()) {}
};

TEST_F(NotEnforcing, IsTheDefault) {
  Reset(absl::Seconds(20));
  EXPECT_EQ(rig.Revoke({buffer}, absl::Seconds(20)), "OK");
  Reach(absl::Seconds(20));
  EXPECT_EQ(bob.notices.signals, kNothing);
  EXPECT_EQ(Verdict().holders.at(0).signalled, Force::kNone);
}

class EnforcingBoth : public EnforcementTest {
 protected:
  EnforcingBoth() : EnforcementTest(Enforcing(Force::kKill, Force::kTerminate)) {}
};

TEST_F(EnforcingBoth, DoesForOperatorsWhatIsAllowedForThem) {
  EXPECT_EQ(rig.Revoke({buffer}, absl::Seconds(10)), "OK");
  Reach(absl::Seconds(10));
  EXPECT_EQ(bob.notices.signals, kTerminated);
}

// The reset comes while an operator's revocation runs: each signal goes out when the first of the
// two is due, and once.
TEST_F(EnforcingBoth, SendsEachSignalOnceForALeaseOfTwoRevocations) {
  EXPECT_EQ(rig.Revoke({buffer}, absl::Seconds(20)), "OK");
  Reach(absl::Seconds(10));
  Reset(absl::Seconds(10));
  Reach(absl::Seconds(12));
  EXPECT_EQ(bob.notices.signals, kTerminated) << "the operator's";
  Reach(absl::Seconds(16));
  EXPECT_EQ(bob.notices.signals, kTerminated) << "the reset's would be the second";
  Reach(absl::Seconds(18));
  EXPECT_EQ(bob.notices.signals, kKilled) << "the reset's";
}

TEST_F(EnforcingBoth, SignalsAgainForALeaseThatWasNotAskedBackBefore) {
  const LeaseId other = bob.Allocate();
  rig.Hold(rig.Find(other)->buffer->id, 1);
  EXPECT_EQ(rig.Revoke({buffer}, absl::Seconds(10)), "OK");
  Reach(absl::Seconds(10));
  EXPECT_EQ(bob.notices.signals, kTerminated);
  Reset(absl::Seconds(10));
  Reach(absl::Seconds(16));
  EXPECT_EQ(bob.notices.signals, (Forces{Force::kTerminate, Force::kTerminate}));
  EXPECT_EQ(Said(), "SIGTERM sent: 6s after the notice it still holds 1 buffer");
}

// A card that gives no time: the five seconds that clients get all the same.
TEST(Enforcement, FitsIntoTheTimeThatACardWithoutAWindowIsGiven) {
  RigOptions options = Enforcing(Force::kKill);
  options.traits.survives_reset = false;
  options.traits.raises_alarms = true;
  BrokerRig rig(options);
  FakeClient& alice = rig.Connect(PeerOf(1000));
  rig.Hold(rig.Buffer(alice), 1);
  rig.device.alarm = Alarm{.kind = Alarm::Kind::kReset, .text = "it is being reset"};
  rig.Advance(AlarmWatch::kPause);
  ASSERT_EQ(alice.notices.revokes.size(), 1u);
  rig.Advance(absl::Seconds(4));
  EXPECT_EQ(alice.notices.signals, kKilled);
  EXPECT_EQ(rig.observer.Count(EventKind::kBufferVerdict), 0u);
  rig.Advance(absl::Seconds(1));
  EXPECT_EQ(rig.observer.Count(EventKind::kBufferVerdict), 1u);
}

// It resets sooner than it had said: who was given seconds before is signalled in what is left.
TEST(Enforcement, GoesOnWhenThereIsLessThanASecondLeft) {
  RigOptions options = Enforcing(Force::kKill);
  options.traits.survives_reset = false;
  options.traits.raises_alarms = true;
  BrokerRig rig(options);
  FakeClient& alice = rig.Connect(PeerOf(1000));
  rig.Hold(rig.Buffer(alice), 1);
  EXPECT_EQ(rig.Reset(absl::Seconds(20)), "OK");
  rig.Advance(absl::Seconds(5));
  rig.device.alarm = Alarm{
      .kind = Alarm::Kind::kResetPending, .window = absl::Milliseconds(800), .text = "sooner"};
  rig.Advance(AlarmWatch::kPause);
  ASSERT_EQ(alice.notices.revokes.size(), 2u);
  const absl::Duration left = alice.notices.revokes[1].deadline - rig.clock.Now();
  ASSERT_LT(left, Enforcement::kLeastGrace);
  rig.Advance(left * 3 / 5);
  EXPECT_EQ(alice.notices.signals, kTerminated);
  rig.Advance(left / 5);
  EXPECT_EQ(alice.notices.signals, kKilled);
  EXPECT_EQ(rig.observer.Count(EventKind::kBufferVerdict), 0u);
}

TEST(Enforcement, NamesSignalsAsPeopleDo) {
  EXPECT_EQ(ForceText(Force::kTerminate), "SIGTERM");
  EXPECT_EQ(ForceText(Force::kKill), "SIGKILL");
}

}  // namespace
}  // namespace hlbuf
