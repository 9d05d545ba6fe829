// SPDX-License-Identifier: Apache-2.0
// Revocations and resets that a restart of the service interrupts.
#include <gtest/gtest.h>

#include <algorithm>

#include "daemon/core/alarm_watch.h"
#include "daemon/core/error.h"
#include "tests/support/broker_rig.h"

namespace hlbuf {
namespace {

using Kind = Verdict::Kind;

const Device& DeviceOf(const BrokerRig& rig) { return *rig.broker.FindDevice("fake0"); }

BackendTraits Card() {
  BackendTraits traits = FakeBackend::DefaultTraits();
  traits.survives_reset = false;
  return traits;
}

BackendTraits AlarmingCard() {
  BackendTraits traits = Card();
  traits.raises_alarms = true;
  return traits;
}

std::vector<LeaseId> Ended(const Reattached& back) {
  std::vector<LeaseId> ended;
  for (const RevokedLease& lease : back.ended) ended.push_back(lease.lease);
  return ended;
}

TEST(Restart, GoesOnWithWhatDrains) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  const LeaseId lease = alice.Allocate();
  const BufferId buffer = rig.Find(lease)->buffer->id;
  rig.Hold(buffer, 1);
  alice.Release(lease);
  rig.Run();
  rig.Restart();
  rig.Advance(absl::Seconds(3));
  ASSERT_NE(rig.Find(buffer), nullptr);
  EXPECT_EQ(rig.Find(buffer)->state, BufferState::kDraining);
  rig.Hold(buffer, 0);
  rig.Advance(absl::Seconds(3));
  EXPECT_EQ(rig.Find(buffer), nullptr);
  EXPECT_TRUE(rig.recorder.kept().buffers.empty());
}

// Scenarios 5 and 6.
TEST(Scenario05_Revocation, GoesOnWithItsDeadline) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  const LeaseId lease = alice.Allocate();
  const BufferId buffer = rig.Find(lease)->buffer->id;
  rig.Hold(buffer, 1);
  EXPECT_EQ(rig.Revoke({buffer}, absl::Seconds(10)), "OK");
  const absl::Time deadline = rig.clock.Now() + absl::Seconds(10);
  rig.Restart();
  rig.Run();
  EXPECT_EQ(rig.Find(buffer)->state, BufferState::kRevoking);
  alice.notices.revokes.clear();
  ASSERT_TRUE(alice.Reattach().ok());
  EXPECT_TRUE(alice.notices.revokes.empty()) << "not before its answer";
  rig.Advance(absl::ZeroDuration());
  ASSERT_EQ(alice.notices.revokes.size(), 1u);
  EXPECT_EQ(alice.notices.revokes[0].deadline, deadline);
  EXPECT_EQ(alice.notices.revokes[0].reason, RevokeReason::kOperator);
  EXPECT_EQ(CodeOf(alice.Open(buffer)), "REVOKED");
  rig.Advance(absl::Seconds(11));
  EXPECT_EQ(rig.observer.Last(EventKind::kBufferVerdict).verdict->kind, Kind::kHeld);
  EXPECT_TRUE(rig.recorder.kept().revocations.empty());
}

TEST(Scenario05_Revocation, RemembersHowManyWereTold) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  const BufferId first = rig.Buffer(alice), second = rig.Buffer(alice);
  for (const BufferId buffer : {first, second}) rig.Hold(buffer, 1);
  EXPECT_EQ(rig.Revoke({first, second}, absl::Seconds(10)), "OK");
  for (int restarts = 0; restarts < 2; ++restarts) {
    const std::vector<KeptRevocation> kept = rig.recorder.kept().revocations;
    ASSERT_EQ(kept.size(), 1u);
    EXPECT_EQ(kept[0].sessions_told, 1u);
    EXPECT_EQ(kept[0].leases_told, 2u);
    rig.Restart();
    rig.Run();
  }
}

// A reset asks everything back once more, but tells nobody twice.
TEST(Scenario11_Reset, RemembersHowManyWereTold) {
  BrokerRig rig({.traits = Card()});
  FakeClient& alice = rig.Connect(PeerOf(1000));
  rig.Hold(rig.Buffer(alice), 1);
  rig.Reset(absl::Seconds(20));
  for (int restarts = 0; restarts < 2; ++restarts) {
    const std::vector<KeptRevocation> kept = rig.recorder.kept().revocations;
    ASSERT_EQ(kept.size(), 1u);
    EXPECT_EQ(kept[0].sessions_told, 1u);
    EXPECT_EQ(kept[0].leases_told, 1u);
    rig.Restart();
    rig.Run();
  }
}

TEST(Scenario06_Revocation, OfWhatDrainsHasItsVerdict) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  const LeaseId lease = alice.Allocate();
  const BufferId buffer = rig.Find(lease)->buffer->id;
  rig.Hold(buffer, 1);
  rig.Revoke({buffer}, absl::Seconds(10));
  alice.Release(lease);
  rig.Run();
  EXPECT_EQ(rig.Find(buffer)->state, BufferState::kDraining);
  rig.Restart();
  rig.Advance(absl::Seconds(11));
  EXPECT_EQ(rig.observer.Count(EventKind::kBufferVerdict), 1u);
  EXPECT_EQ(rig.observer.Last(EventKind::kBufferVerdict).verdict->kind, Kind::kHeld);
  EXPECT_EQ(rig.observer.Count(EventKind::kRevocationEnded), 1u);
}

TEST(Restart, GoesOnWithLeasesThatWereAskedBackAlone) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  FakeClient& bob = rig.Connect(PeerOf(1001));
  const BufferId buffer = rig.Buffer(alice);
  alice.Share(buffer, {.kind = Grantee::Kind::kUid, .id = 1001});
  const LeaseId lease = bob.Open(buffer)->lease;
  EXPECT_TRUE(rig.broker
                  .RevokeHoldings({.kind = Whose::Kind::kUid, .id = 1001}, absl::Seconds(10),
                                  [](const RevocationReport&) {})
                  .ok());
  rig.Restart();
  rig.Advance(absl::Seconds(10));
  EXPECT_EQ(rig.Find(lease)->state, LeaseState::kOverdue);
  EXPECT_EQ(rig.observer.Count(EventKind::kRevocationEnded), 2u);
  EXPECT_EQ(rig.Find(buffer)->state, BufferState::kLive);
}

TEST(Restart, GoesOnWithAnUnshare) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  FakeClient& bob = rig.Connect(PeerOf(1001));
  const BufferId buffer = rig.Buffer(alice);
  const Grantee grantee = {.kind = Grantee::Kind::kUid, .id = 1001};
  alice.Share(buffer, grantee);
  const LeaseId lease = bob.Open(buffer)->lease;
  alice.Unshare(buffer, grantee);
  rig.Restart();
  rig.Advance(absl::Seconds(1));
  bob.notices.revokes.clear();
  ASSERT_TRUE(bob.Reattach().ok());
  rig.Advance(absl::Seconds(1));
  ASSERT_EQ(bob.notices.revokes.size(), 1u);
  EXPECT_EQ(bob.notices.revokes[0].reason, RevokeReason::kUnshared);
  EXPECT_EQ(CodeOf(bob.Open(buffer)), "PERMISSION_DENIED");
  rig.Advance(absl::Seconds(10));
  EXPECT_EQ(rig.Find(lease)->state, LeaseState::kOverdue);
}

TEST(Restart, DoesNotSignalWhoWasNotTold) {
  BrokerRig rig({.enforcement = {.resets = Force::kKill, .revocations = Force::kKill}});
  FakeClient& alice = rig.Connect(PeerOf(1000));
  const BufferId buffer = rig.Buffer(alice);
  rig.Hold(buffer, 1);
  rig.Revoke({buffer}, absl::Seconds(10));
  rig.Restart();
  rig.Advance(absl::Milliseconds(9'500));
  ASSERT_TRUE(alice.Reattach().ok());
  rig.Advance(absl::Seconds(1));
  EXPECT_TRUE(alice.notices.signals.empty());
}

TEST(Restart, SignalsWhoCameBackAndKeepsItAllTheSame) {
  BrokerRig rig({.enforcement = {.revocations = Force::kKill}});
  FakeClient& alice = rig.Connect(PeerOf(1000));
  const BufferId buffer = rig.Buffer(alice);
  rig.Hold(buffer, 1);
  rig.Revoke({buffer}, absl::Seconds(10));
  rig.Restart();
  ASSERT_TRUE(alice.Reattach().ok());
  rig.Advance(absl::Seconds(10));
  EXPECT_EQ(alice.notices.signals, (std::vector{Force::kTerminate, Force::kKill}));
}

// Scenario 11.
TEST(Scenario11_Reset, GoesOnWithTheTimeThatIsLeft) {
  BrokerRig rig({.traits = Card()});
  FakeClient& alice = rig.Connect(PeerOf(1000));
  const LeaseId lease = alice.Allocate();
  const BufferId buffer = rig.Find(lease)->buffer->id;
  rig.Hold(buffer, 1);
  const std::uint64_t epoch = DeviceOf(rig).epoch();
  rig.Reset(absl::Seconds(20));
  rig.Advance(absl::Seconds(5));
  rig.Restart();
  rig.Run();
  EXPECT_EQ(DeviceOf(rig).state(), DeviceState::kRevoking);
  EXPECT_EQ(DeviceOf(rig).epoch(), epoch);
  ASSERT_TRUE(alice.Reattach().ok());
  EXPECT_EQ(alice.TryAllocate({.size_bytes = 1}), "DEVICE_UNAVAILABLE");
  rig.Advance(absl::Seconds(14));
  EXPECT_EQ(DeviceOf(rig).state(), DeviceState::kRevoking);
  rig.Advance(absl::Seconds(4));
  EXPECT_EQ(DeviceOf(rig).state(), DeviceState::kReady);
  EXPECT_EQ(DeviceOf(rig).epoch(), epoch + 1);
  EXPECT_EQ(rig.observer.Last(EventKind::kBufferVerdict).verdict->kind, Kind::kHeld);
  EXPECT_EQ(std::count(rig.device.calls.begin(), rig.device.calls.end(), "reset"), 1);
}

// A drill gives much time; its driver may announce a reset of its own while nobody runs.
TEST(Scenario11_Reset, HearsOfAnotherOneThatHasLessTime) {
  BrokerRig rig({.traits = AlarmingCard()});
  FakeClient& alice = rig.Connect(PeerOf(1000));
  const BufferId buffer = rig.Buffer(alice);
  rig.Hold(buffer, 1);
  rig.Reset(absl::Minutes(10));
  rig.Restart();
  ASSERT_TRUE(alice.Reattach().ok());
  rig.Run();
  rig.Advance(AlarmWatch::kPause);
  alice.notices.revokes.clear();
  rig.device.alarm = Alarm{
      .kind = Alarm::Kind::kResetPending, .window = absl::Seconds(20), .text = "the card says so"};
  rig.Advance(AlarmWatch::kPause);
  ASSERT_EQ(alice.notices.revokes.size(), 1u);
  EXPECT_LE(alice.notices.revokes[0].deadline, rig.clock.Now() + absl::Seconds(15));
  rig.Advance(absl::Seconds(18));
  EXPECT_EQ(DeviceOf(rig).state(), DeviceState::kReady);
}

TEST(Scenario11_Reset, WarnsOfAKeeperThatDiesMeanwhile) {
  BrokerRig rig({.traits = AlarmingCard()});
  FakeClient& alice = rig.Connect(PeerOf(1000));
  rig.Buffer(alice);
  rig.Reset(absl::Minutes(10));
  rig.Restart();
  rig.Run();
  ASSERT_TRUE(rig.device.GiveSign) << "nobody listens";
  rig.device.alarm = Alarm{.kind = Alarm::Kind::kOpenerLost, .text = "process 7 was killed"};
  rig.device.GiveSign();
  rig.Run();
  EXPECT_EQ(rig.observer.Count(EventKind::kOpenerLost), 1u);
}

TEST(Scenario11_Reset, EndsAtOnceWhenEverybodyLetGoMeanwhile) {
  BrokerRig rig({.traits = Card()});
  FakeClient& alice = rig.Connect(PeerOf(1000));
  alice.Allocate();
  const std::uint64_t epoch = DeviceOf(rig).epoch();
  rig.Reset(absl::Seconds(20));
  rig.Restart();
  ASSERT_TRUE(alice.Reattach({}).ok());
  rig.Run();
  EXPECT_EQ(DeviceOf(rig).state(), DeviceState::kReady);
  EXPECT_EQ(DeviceOf(rig).epoch(), epoch + 1);
}

// What the drill is to do comes after its reset, which has not been yet.
TEST(Scenario11_Reset, ThatIsToFailIsAskedAgainWhenItsDeviceDoesNotAnswer) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  rig.Hold(rig.Buffer(alice), 1);
  rig.Reset(absl::Seconds(20), Drill::kFails);
  rig.device.fail_resume = Error(ErrorCode::kDeviceUnavailable, "its keeper does not answer");
  rig.Restart();
  rig.Run();
  EXPECT_EQ(DeviceOf(rig).state(), DeviceState::kFailed);
  EXPECT_NE(DeviceOf(rig).failure().find("tried again"), std::string::npos)
      << DeviceOf(rig).failure();
  rig.Advance(absl::Seconds(2));
  EXPECT_EQ(DeviceOf(rig).state(), DeviceState::kRevoking);
  rig.Advance(absl::Seconds(20));
  EXPECT_EQ(DeviceOf(rig).state(), DeviceState::kFailed) << "by the drill";
  EXPECT_EQ(rig.Reset(), "OK");
  rig.Run();
  EXPECT_EQ(DeviceOf(rig).state(), DeviceState::kReady);
}

TEST(Restart, EndsTheEpochOfADeviceThatWasResetMeanwhile) {
  BrokerRig rig({.traits = Card()});
  FakeClient& alice = rig.Connect(PeerOf(1000));
  const LeaseId lease = alice.Allocate();
  const BufferId buffer = rig.Find(lease)->buffer->id;
  const std::uint64_t epoch = DeviceOf(rig).epoch();
  rig.device.memory_is_gone = true;
  rig.Restart();
  rig.Run();
  EXPECT_EQ(DeviceOf(rig).state(), DeviceState::kReady);
  EXPECT_EQ(DeviceOf(rig).epoch(), epoch + 1);
  EXPECT_EQ(rig.Find(buffer), nullptr);
  const absl::StatusOr<Reattached> back = alice.Reattach();
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(Ended(*back), std::vector{lease});
  EXPECT_EQ(back->ended[0].buffer, buffer);
  EXPECT_NE(back->why.find("reset"), std::string::npos) << back->why;
  EXPECT_EQ(CodeOf(alice.Open(buffer)), "GONE");
  EXPECT_TRUE(rig.recorder.kept().leases.empty());
  EXPECT_TRUE(rig.recorder.kept().buffers.empty());
}

// Scenario 17: what a reset took is named until the device is open again.
TEST(Scenario17_Holders, OfWhatAResetTookAreNamedAfterARestart) {
  BrokerRig rig({.traits = Card()});
  FakeClient& alice = rig.Connect(PeerOf(1000));
  const LeaseId lease = alice.Allocate("weights");
  const BufferId buffer = rig.Find(lease)->buffer->id;
  rig.Hold(buffer, 1);
  rig.Reset(absl::Seconds(1));
  rig.device.fail_open = Error(ErrorCode::kDeviceError, "EBUSY");
  rig.Advance(absl::Milliseconds(1'500));
  EXPECT_EQ(DeviceOf(rig).state(), DeviceState::kFailed);
  rig.device.fail_resume = Error(ErrorCode::kDeviceUnavailable, "EBUSY");
  rig.Restart();
  rig.Run();
  const LostBuffer* lost = rig.broker.ledger().lost.Find(buffer);
  ASSERT_NE(lost, nullptr);
  ASSERT_EQ(lost->holders.size(), 1u);
  EXPECT_EQ(lost->holders[0].pid, alice.peer.pid);
  EXPECT_NE(DeviceOf(rig).failure().find("took 1 buffer"), std::string::npos);
  const absl::StatusOr<Reattached> back = alice.Reattach({lease});
  EXPECT_EQ(Ended(*back), std::vector{lease});
  rig.Advance(absl::Seconds(5));
  EXPECT_EQ(DeviceOf(rig).state(), DeviceState::kReady);
  EXPECT_EQ(rig.broker.ledger().lost.Find(buffer), nullptr);
  EXPECT_TRUE(rig.recorder.kept().buffers.empty());
  EXPECT_TRUE(rig.recorder.kept().leases.empty());
}

}  // namespace
}  // namespace hlbuf
