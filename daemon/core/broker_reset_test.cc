// SPDX-License-Identifier: Apache-2.0
// Devices: opening, resets, and the way out of FAILED.
#include <gtest/gtest.h>

#include "daemon/core/error.h"
#include "tests/support/broker_rig.h"

namespace hlbuf {
namespace {

using Kind = Verdict::Kind;

const Device& DeviceOf(const BrokerRig& rig) { return *rig.broker.FindDevice("fake0"); }
std::vector<DeviceState> StatesTold(const FakeClient& client) {
  std::vector<DeviceState> states;
  for (const auto& notice : client.notices.devices) states.push_back(notice.state);
  return states;
}

TEST(Device, OpensWhenItIsAdded) {
  BrokerRig rig;
  EXPECT_EQ(rig.device.calls, std::vector<std::string>{"open"});
  EXPECT_EQ(DeviceOf(rig).state(), DeviceState::kReady);
  EXPECT_EQ(rig.observer.Last(EventKind::kDeviceState).text,
            "READY, epoch 1: open for allocations");
}

TEST(Device, IsFoundByItsName) {
  BrokerRig rig;
  rig.AddDevice("fake1", FakeBackend::DefaultTraits());
  EXPECT_EQ(rig.broker.FindDevice("fake1")->name(), "fake1");
  EXPECT_EQ(rig.broker.FindDevice("fake2"), nullptr);
  EXPECT_EQ(rig.broker.devices().size(), 2u);
}

TEST(Reset, GoesThroughAllStepsAndBeginsAnEpoch) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  EXPECT_EQ(rig.Reset(), "OK");
  rig.Run();
  using enum DeviceState;
  EXPECT_EQ(StatesTold(alice), (std::vector{kRevoking, kClosing, kResetting, kOpening, kReady}));
  EXPECT_EQ(alice.notices.devices.back().epoch, 2u);
  EXPECT_EQ(alice.notices.devices.back().device, "fake0");
  ASSERT_EQ(rig.resets.size(), 1u);
  EXPECT_TRUE(rig.resets[0].outcome.ok());
  EXPECT_EQ(rig.resets[0].epoch, 2u);
  EXPECT_EQ(rig.device.calls, (std::vector<std::string>{"open", "reset", "open"}));
}

TEST(Reset, AsksEveryBufferOfTheDeviceBackAndNoOther) {
  BrokerRig rig;
  rig.AddDevice("fake1", FakeBackend::DefaultTraits());
  rig.Run();
  FakeClient& alice = rig.Connect(PeerOf(1000));
  const BufferId first = rig.Buffer(alice);
  alice.TryAllocate({.size_bytes = 1, .device = "fake1"});
  const BufferId elsewhere = alice.session().leases.back()->buffer->id;
  rig.Reset(absl::Seconds(7));
  ASSERT_EQ(alice.notices.revokes.size(), 1u);
  EXPECT_EQ(alice.notices.revokes[0].reason, RevokeReason::kReset);
  EXPECT_EQ(alice.notices.revokes[0].deadline, rig.clock.Now() + absl::Seconds(7));
  EXPECT_EQ(alice.notices.revokes[0].leases.at(0).buffer, first);
  EXPECT_EQ(rig.Find(elsewhere)->state, BufferState::kLive);
}

TEST(Reset, RefusesAllocationsAndOpensFromItsFirstMoment) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  const BufferId buffer = rig.Buffer(alice);
  rig.Hold(buffer, 1);
  rig.Reset();
  EXPECT_EQ(alice.TryAllocate({.size_bytes = 1}), "DEVICE_UNAVAILABLE");
  EXPECT_EQ(CodeOf(alice.Open(buffer)), "REVOKED");
}

TEST(Reset, WaitsForTheLeasesAndTheirProof) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  const LeaseId lease = alice.Allocate();
  rig.Hold(rig.Find(lease)->buffer->id, 1);
  rig.Reset(absl::Seconds(20));
  rig.Advance(absl::Seconds(10));
  EXPECT_EQ(DeviceOf(rig).state(), DeviceState::kRevoking);
  rig.Hold(rig.Find(lease)->buffer->id, 0);
  alice.Release(lease);
  rig.Run();
  ASSERT_EQ(rig.resets.size(), 1u);
  EXPECT_EQ(rig.resets[0].revocation.verdicts.at(0).verdict.kind, Kind::kProven);
  EXPECT_EQ(rig.resets[0].revocation.reason, RevokeReason::kReset);
}

// The memory goes back before the device does: a driver would refuse the other order.
TEST(Reset, ComesAfterTheLastBufferWentBack) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  const LeaseId lease = alice.Allocate();
  rig.Reset();
  rig.device.calls.clear();
  alice.Release(lease);
  rig.Run();
  EXPECT_EQ(rig.device.calls, (std::vector<std::string>{"count 1", "free 1", "reset", "open"}));
}

TEST(Reset, ComesAfterTheLastBufferWentBackWhereNothingCountsEither) {
  RigOptions options;
  options.traits.counts_references = false;
  BrokerRig rig(std::move(options));
  FakeClient& alice = rig.Connect(PeerOf(1000));
  const LeaseId lease = alice.Allocate();
  rig.Reset();
  rig.device.calls.clear();
  alice.Release(lease);
  rig.Run();
  EXPECT_EQ(rig.device.calls, (std::vector<std::string>{"free 1", "reset", "open"}));
}

TEST(Reset, WaitsForMemoryThatIsOnItsWayBackAlready) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  alice.Release(alice.Allocate());
  rig.device.WorkOnCount();
  rig.device.Deliver();
  rig.device.calls.clear();
  rig.Reset();
  EXPECT_EQ(DeviceOf(rig).state(), DeviceState::kClosing);
  rig.Run();
  EXPECT_EQ(rig.device.calls, (std::vector<std::string>{"free 1", "reset", "open"}));
  EXPECT_TRUE(rig.resets.at(0).revocation.verdicts.empty());
}

// The broker never is what a reset waits for.
TEST(Reset, GoesOnAtItsDeadlineWhoeverHoldsWhat) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  const LeaseId lease = alice.Allocate();
  const BufferId buffer = rig.Find(lease)->buffer->id;
  rig.Hold(buffer, 2);
  rig.Reset(absl::Seconds(20));
  rig.Advance(absl::Seconds(20));
  ASSERT_EQ(rig.resets.size(), 1u);
  EXPECT_EQ(rig.resets[0].revocation.verdicts.at(0).verdict.kind, Kind::kHeld);
  EXPECT_EQ(rig.resets[0].epoch, 2u);
  EXPECT_EQ(DeviceOf(rig).state(), DeviceState::kReady);
  EXPECT_EQ(rig.Find(buffer)->epoch, 1u);
  EXPECT_EQ(rig.Find(buffer)->state, BufferState::kDraining);
  alice.Allocate();
  EXPECT_EQ(alice.session().leases.back()->buffer->epoch, 2u);
  rig.Hold(buffer, 0);
  alice.Release(lease);
  rig.Run();
  EXPECT_EQ(rig.Find(buffer), nullptr);
}

TEST(Reset, AsksForWhatIsHeldFromAnEarlierEpochAgain) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  const BufferId buffer = rig.Buffer(alice);
  rig.Hold(buffer, 1);
  rig.Reset(absl::Seconds(1));
  rig.Advance(absl::Seconds(1));
  rig.Reset(absl::Seconds(1));
  rig.Advance(absl::Seconds(1));
  ASSERT_EQ(rig.resets.size(), 2u);
  EXPECT_EQ(rig.resets[1].revocation.verdicts.at(0).buffer, buffer);
  EXPECT_EQ(rig.resets[1].epoch, 3u);
}

TEST(Reset, JoinsAnOperatorsRevocationThatRunsAlready) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  const LeaseId lease = alice.Allocate();
  rig.Revoke({rig.Find(lease)->buffer->id}, absl::Minutes(10));
  rig.Reset();
  EXPECT_EQ(alice.notices.revokes.size(), 2u);
  alice.Release(lease);
  rig.Run();
  EXPECT_EQ(rig.reports.at(0).verdicts.at(0).verdict.kind, Kind::kProven);
  EXPECT_EQ(rig.resets.at(0).revocation.verdicts.at(0).verdict.kind, Kind::kProven);
}

TEST(Reset, IsRefusedWhileAnotherOneRuns) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  rig.Hold(rig.Buffer(alice), 1);
  rig.Reset(absl::Seconds(20));
  EXPECT_EQ(rig.Reset(), "DEVICE_UNAVAILABLE");
  rig.clock.Advance(absl::Seconds(20));
  rig.broker.RunDeadlines();
  for (int steps = 0; rig.device.WorkOnCount() || rig.device.Work() || rig.device.Deliver();
       ++steps) {
    ASSERT_LT(steps, 100);
    if (DeviceOf(rig).state() == DeviceState::kReady) break;
    EXPECT_EQ(rig.Reset(), "DEVICE_UNAVAILABLE") << StateText(DeviceOf(rig).state());
  }
  EXPECT_EQ(rig.resets.size(), 1u);
  EXPECT_EQ(DeviceOf(rig).epoch(), 2u);
}

TEST(Reset, IsRefusedWhereItCannotBeDrilled) {
  RigOptions options;
  options.traits.can_drill = false;
  BrokerRig rig(std::move(options));
  EXPECT_EQ(rig.Reset(), "UNIMPLEMENTED");
  EXPECT_EQ(CodeOf(rig.broker.SimulateReset("fake9", Drill::kNone, absl::Seconds(1),
                                            [](const ResetReport&) {})),
            "NOT_FOUND");
  EXPECT_EQ(DeviceOf(rig).state(), DeviceState::kReady);
}

TEST(Reset, ThatFailsLeavesTheDeviceFailedWithTheWords) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  rig.Reset(absl::Seconds(1), Drill::kFails);
  rig.Run();
  ASSERT_EQ(rig.resets.size(), 1u);
  EXPECT_EQ(CodeOf(rig.resets[0].outcome), "DEVICE_ERROR");
  EXPECT_EQ(rig.resets[0].epoch, 1u);
  EXPECT_EQ(DeviceOf(rig).state(), DeviceState::kFailed);
  EXPECT_EQ(DeviceOf(rig).failure(), "the drill says that the device stays away");
  EXPECT_EQ(alice.notices.devices.back().state, DeviceState::kFailed);
  EXPECT_EQ(alice.TryAllocate({.size_bytes = 1}), "DEVICE_UNAVAILABLE");
}

TEST(FailedDevice, ComesBackByAnotherReset) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  rig.Reset(absl::Seconds(1), Drill::kFails);
  rig.Run();
  EXPECT_EQ(rig.Reset(), "OK");
  rig.Run();
  EXPECT_EQ(DeviceOf(rig).state(), DeviceState::kReady);
  EXPECT_EQ(DeviceOf(rig).failure(), "");
  EXPECT_EQ(DeviceOf(rig).epoch(), 2u);
  EXPECT_EQ(alice.TryAllocate({.size_bytes = 1}), "OK");
}

TEST(FailedDevice, IsAlsoOneThatCannotBeOpenedAgain) {
  BrokerRig rig;
  rig.device.fail_open = Error(ErrorCode::kDeviceError, "no such node");
  rig.Reset();
  rig.Run();
  EXPECT_EQ(DeviceOf(rig).state(), DeviceState::kFailed);
  EXPECT_EQ(CodeOf(rig.resets.at(0).outcome), "DEVICE_ERROR");
  EXPECT_EQ(rig.resets[0].epoch, 2u);
  rig.Reset();
  rig.Run();
  EXPECT_EQ(DeviceOf(rig).state(), DeviceState::kReady);
  EXPECT_EQ(rig.broker.NextDeadline(), absl::InfiniteFuture()) << "it is still tried again";
}

TEST(FailedDevice, IsTriedAgainUntilItOpensWithLongerAndLongerPauses) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  FakeBackend& late = rig.AddDevice("fake1", FakeBackend::DefaultTraits());
  const Device& device = *rig.broker.FindDevice("fake1");
  const auto fail = [&](absl::Duration after) {
    rig.Advance(after - absl::Milliseconds(1));
    late.fail_open = Error(ErrorCode::kDeviceUnavailable, "no such node");
    rig.Advance(absl::Milliseconds(1));
    ASSERT_TRUE(late.fail_open.ok()) << "it was not tried again after " << after;
  };
  late.fail_open = Error(ErrorCode::kDeviceUnavailable, "no such node");
  rig.Run();
  EXPECT_EQ(device.state(), DeviceState::kFailed);
  EXPECT_EQ(device.failure(), "no such node; opening it is tried again 1s after this failure");
  EXPECT_EQ(rig.observer.Last(EventKind::kDeviceState).text,
            "FAILED, epoch 1: " + device.failure());
  for (const int seconds : {1, 2, 4, 8, 16, 32, 60, 60}) fail(absl::Seconds(seconds));
  EXPECT_EQ(alice.TryAllocate({.size_bytes = 1, .device = "fake1"}), "DEVICE_UNAVAILABLE");
  rig.Advance(Resets::kLongestPause);
  EXPECT_EQ(device.state(), DeviceState::kReady);
  EXPECT_EQ(device.epoch(), 1u);
  EXPECT_EQ(device.failure(), "");
  EXPECT_EQ(alice.notices.devices.back().state, DeviceState::kReady);
  EXPECT_EQ(alice.TryAllocate({.size_bytes = 1, .device = "fake1"}), "OK");
}

TEST(FailedDevice, IsNotTriedAgainWhenItsResetFailed) {
  BrokerRig rig;
  rig.Reset(absl::Seconds(1), Drill::kFails);
  rig.Run();
  EXPECT_EQ(rig.broker.NextDeadline(), absl::InfiniteFuture());
}

// A backend of host memory resets well in that drill, and does not open.
TEST(FailedDevice, IsNotTriedAgainWhileADrillKeepsItAway) {
  BrokerRig rig;
  rig.device.reset_always_succeeds = true;
  rig.device.fail_open = Error(ErrorCode::kDeviceUnavailable, "a drill keeps it away");
  rig.Reset(absl::Seconds(1), Drill::kFails);
  rig.Advance(absl::Minutes(10));
  EXPECT_EQ(DeviceOf(rig).state(), DeviceState::kFailed);
  EXPECT_EQ(DeviceOf(rig).failure(), "a drill keeps it away");
}

TEST(FailedDevice, GoesOnCountingWhatIsHeld) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  const BufferId buffer = rig.Buffer(alice);
  rig.Hold(buffer, 1);
  rig.Reset(absl::Seconds(1), Drill::kFails);
  rig.Advance(absl::Minutes(1));
  EXPECT_EQ(DeviceOf(rig).state(), DeviceState::kFailed);
  rig.Hold(buffer, 0);
  alice.Die();
  rig.Advance(absl::Seconds(2));
  EXPECT_EQ(rig.Find(buffer), nullptr);
}

TEST(FailedDevice, WasNeverOpenedYetMayBe) {
  BrokerRig rig;
  rig.AddDevice("fake1", FakeBackend::DefaultTraits()).fail_open =
      Error(ErrorCode::kDeviceError, "busy");
  rig.Run();
  EXPECT_EQ(rig.broker.FindDevice("fake1")->state(), DeviceState::kFailed);
  bool ready = false;
  EXPECT_EQ(CodeOf(rig.broker.SimulateReset(
                "fake1", Drill::kNone, absl::Seconds(1),
                [&ready](const ResetReport& report) { ready = report.outcome.ok(); })),
            "OK");
  rig.Run();
  EXPECT_TRUE(ready);
}

}  // namespace
}  // namespace hlbuf
