// SPDX-License-Identifier: Apache-2.0
// Devices that an operator keeps out of use.
#include <gtest/gtest.h>

#include "daemon/core/alarm_watch.h"
#include "daemon/core/error.h"
#include "tests/support/broker_rig.h"
#include "tests/support/texts.h"

namespace hlbuf {
namespace {

using enum DeviceState;

class DrainedDevice : public testing::Test {
 protected:
  explicit DrainedDevice(RigOptions options = RigOptions()) : rig_(std::move(options)) {}
  const Device& device() const { return *rig_.broker.FindDevice("fake0"); }
  DeviceState state() const { return device().state(); }
  std::vector<DeviceState> StatesTold() const {
    std::vector<DeviceState> states;
    for (const auto& notice : alice_.notices.devices) states.push_back(notice.state);
    return states;
  }
  std::string Refusal(AllocateRequest request) {
    std::string words;
    rig_.broker.Allocate(alice_.session(), std::move(request),
                         [&words](const absl::StatusOr<LeaseId>& lease) {
                           words = std::string(lease.status().message());
                         });
    return words;
  }

  BrokerRig rig_;
  FakeClient& alice_ = rig_.Connect(PeerOf(1000));
};

TEST_F(DrainedDevice, GrantsNothingNew) {
  const BufferId buffer = rig_.Buffer(alice_, "weights");
  EXPECT_EQ(rig_.Drain(), "OK");
  EXPECT_EQ(state(), kDrained);
  EXPECT_EQ(alice_.TryAllocate({.size_bytes = 1}), "DEVICE_UNAVAILABLE");
  EXPECT_EQ(alice_.TryAllocate({.size_bytes = 1, .device = "fake0"}), "DEVICE_UNAVAILABLE");
  EXPECT_EQ(CodeOf(alice_.Open(buffer)), "DEVICE_UNAVAILABLE");
  EXPECT_EQ(CodeOf(alice_.OpenByName("weights")), "DEVICE_UNAVAILABLE");
}

TEST_F(DrainedDevice, SaysWhoDrainedItWhenAndTheWayOut) {
  rig_.Drain({.by = "uid 0, pid 77"});
  rig_.Advance(absl::Seconds(90));
  const std::string words = Refusal({.size_bytes = 1});
  for (const char* part : {"fake0 is DRAINED", "uid 0, pid 77", "1m30s ago", "undrain fake0"})
    EXPECT_TRUE(Contains(words, part)) << words;
}

// Calls that are cancelled in a loop leave nothing behind.
TEST_F(DrainedDevice, ForgetsThoseWhoWaitedForItAndHaveGone) {
  rig_.Buffer(alice_);
  bool here = true;
  for (int i = 0; i < 2; ++i)
    rig_.Drain({.by = "uid 0", .patience = absl::Hours(1), .wanted = [&here] { return here; }});
  EXPECT_EQ(rig_.drains_ended, 0);
  here = false;
  rig_.Drain({.by = "uid 0", .patience = absl::Hours(1)});
  EXPECT_EQ(rig_.drains_ended, 2) << "the third waits";
}

TEST_F(DrainedDevice, LeavesWhatIsHeldToItsHolders) {
  const LeaseId lease = alice_.Allocate();
  rig_.Drain();
  rig_.Advance(absl::Hours(24));
  EXPECT_EQ(rig_.Find(lease)->state, LeaseState::kActive);
  EXPECT_TRUE(alice_.notices.revokes.empty());
  EXPECT_EQ(StatesTold(), std::vector{kDrained});
}

TEST_F(DrainedDevice, IsBackInUseWhenItIsUndrained) {
  const BufferId buffer = rig_.Buffer(alice_);
  rig_.Drain();
  EXPECT_EQ(rig_.Undrain(), "OK");
  EXPECT_EQ(state(), kReady);
  EXPECT_EQ(StatesTold(), (std::vector{kDrained, kReady}));
  EXPECT_EQ(device().epoch(), 1u);
  EXPECT_TRUE(alice_.Open(buffer).ok());
  EXPECT_EQ(alice_.TryAllocate({.size_bytes = 1}), "OK");
}

TEST_F(DrainedDevice, StaysSoWhenItIsDrainedAgain) {
  rig_.Drain({.by = "the first"});
  EXPECT_EQ(rig_.Drain({.by = "the second"}), "OK");
  EXPECT_EQ(device().drain()->by, "the first");
  EXPECT_EQ(StatesTold(), std::vector{kDrained});
  rig_.Undrain();
  EXPECT_EQ(rig_.Undrain(), "OK");
  EXPECT_EQ(state(), kReady);
}

TEST_F(DrainedDevice, IsOneThatIs) {
  EXPECT_EQ(CodeOf(rig_.broker.DrainDevice("fake9", {}, [] { FAIL(); })), "NOT_FOUND");
  EXPECT_EQ(CodeOf(rig_.broker.UndrainDevice("fake9")), "NOT_FOUND");
}

TEST_F(DrainedDevice, AsksBackWhatIsHeldWhenItIsToldTo) {
  const LeaseId lease = alice_.Allocate();
  rig_.Drain({.by = "uid 0", .grace = absl::Seconds(5)});
  ASSERT_EQ(alice_.notices.revokes.size(), 1u);
  EXPECT_EQ(alice_.notices.revokes[0].reason, RevokeReason::kOperator);
  EXPECT_EQ(alice_.notices.revokes[0].deadline, rig_.clock.Now() + absl::Seconds(5));
  EXPECT_EQ(alice_.notices.revokes[0].leases.at(0).lease, lease);
}

TEST_F(DrainedDevice, AsksBackLaterToo) {
  alice_.Allocate();
  rig_.Drain();
  EXPECT_TRUE(alice_.notices.revokes.empty());
  rig_.Drain({.by = "uid 0", .grace = absl::Seconds(5)});
  EXPECT_EQ(alice_.notices.revokes.size(), 1u);
}

TEST_F(DrainedDevice, TakesBackWhatWasBeingAllocated) {
  std::string answer;
  rig_.broker.Allocate(alice_.session(), {.size_bytes = kPage},
                       [&answer](const absl::StatusOr<LeaseId>& lease) { answer = CodeOf(lease); });
  rig_.Drain();
  rig_.Run();
  EXPECT_EQ(answer, "DEVICE_UNAVAILABLE");
  EXPECT_EQ(rig_.device.allocated(), 0u);
}

TEST_F(DrainedDevice, StaysSoOverAReset) {
  rig_.Drain();
  EXPECT_EQ(rig_.Reset(), "OK");
  rig_.Run();
  EXPECT_EQ(state(), kDrained);
  EXPECT_EQ(device().epoch(), 2u);
  EXPECT_EQ(StatesTold(),
            (std::vector{kDrained, kRevoking, kClosing, kResetting, kOpening, kDrained}));
  ASSERT_EQ(rig_.resets.size(), 1u);
  EXPECT_TRUE(rig_.resets[0].outcome.ok());
  rig_.Undrain();
  EXPECT_EQ(alice_.TryAllocate({.size_bytes = 1}), "OK");
}

TEST_F(DrainedDevice, StaysSoWhenItIsOpenedAtLast) {
  rig_.Drain();
  rig_.device.fail_open = Error(ErrorCode::kDeviceUnavailable, "no such node");
  rig_.Reset();
  rig_.Run();
  EXPECT_EQ(state(), kFailed);
  rig_.Reset();
  rig_.Run();
  EXPECT_EQ(state(), kDrained);
}

// An operator who drains a device that fails does not have to wait until it can be drained.
TEST_F(DrainedDevice, MayBeOneThatIsNotOpenYet) {
  rig_.Reset(absl::Seconds(1), Drill::kFails);
  rig_.Run();
  ASSERT_EQ(state(), kFailed);
  EXPECT_EQ(rig_.Drain(), "OK");
  EXPECT_EQ(state(), kFailed);
  EXPECT_TRUE(Contains(rig_.observer.Last(EventKind::kDeviceState).text, "will be DRAINED"));
  const std::string words = Refusal({.size_bytes = 1});
  for (const char* part : {"fake0 is FAILED: ", "; uid 0 took it out of use", "undrain fake0"})
    EXPECT_TRUE(Contains(words, part));
  rig_.Reset();
  rig_.Run();
  EXPECT_EQ(state(), kDrained);
}

TEST_F(DrainedDevice, MayBeUndrainedInTheMiddleOfAReset) {
  rig_.Hold(rig_.Buffer(alice_), 1);
  rig_.Drain();
  rig_.Reset(absl::Seconds(5));
  EXPECT_EQ(state(), kRevoking);
  rig_.Undrain();
  EXPECT_EQ(state(), kRevoking);
  rig_.Advance(absl::Seconds(6));
  EXPECT_EQ(state(), kReady);
}

TEST_F(DrainedDevice, MayBeDrainedInTheMiddleOfAReset) {
  rig_.Hold(rig_.Buffer(alice_), 1);
  rig_.Reset(absl::Seconds(5));
  rig_.Drain();
  EXPECT_EQ(state(), kRevoking);
  rig_.Advance(absl::Seconds(6));
  EXPECT_EQ(state(), kDrained);
}

TEST_F(DrainedDevice, IsWaitedForUntilItsMemoryIsBack) {
  const LeaseId lease = alice_.Allocate();
  rig_.Hold(rig_.Find(lease)->buffer->id, 1);
  rig_.Drain({.by = "uid 0", .patience = absl::Hours(1)});
  alice_.Release(lease);
  rig_.Advance(absl::Minutes(1));
  EXPECT_EQ(rig_.drains_ended, 0) << "the lease has ended, but somebody has the memory";
  rig_.device.LetGo();
  rig_.Advance(absl::Seconds(2));
  EXPECT_EQ(rig_.drains_ended, 1);
  EXPECT_EQ(device().used_bytes(), 0u);
}

TEST_F(DrainedDevice, IsNotWaitedForWhenNothingIsHeld) {
  rig_.Drain({.by = "uid 0", .patience = absl::Hours(1)});
  EXPECT_EQ(rig_.drains_ended, 1);
}

TEST_F(DrainedDevice, IsNotWaitedForWithoutPatience) {
  alice_.Allocate();
  rig_.Drain();
  EXPECT_EQ(rig_.drains_ended, 1);
}

TEST_F(DrainedDevice, IsWaitedForNoLongerThanThePatience) {
  alice_.Allocate();
  rig_.Drain({.by = "uid 0", .patience = absl::Seconds(5)});
  rig_.Advance(absl::Seconds(4));
  EXPECT_EQ(rig_.drains_ended, 0);
  rig_.Advance(absl::Seconds(1));
  EXPECT_EQ(rig_.drains_ended, 1);
  EXPECT_GT(device().used_bytes(), 0u);
}

TEST_F(DrainedDevice, IsWaitedForByNobodyWhenItIsUndrained) {
  alice_.Allocate();
  rig_.Drain({.by = "uid 0", .patience = absl::Hours(1)});
  rig_.Drain({.by = "uid 0", .patience = absl::Hours(1)});
  rig_.Undrain();
  EXPECT_EQ(rig_.drains_ended, 2);
}

TEST_F(DrainedDevice, IsNotMistakenForAnother) {
  rig_.AddDevice("fake1", FakeBackend::DefaultTraits());
  rig_.Run();
  alice_.TryAllocate({.size_bytes = 1, .device = "fake1"});
  const LeaseId elsewhere = alice_.session().leases.back()->id;
  const LeaseId here = alice_.Allocate();
  rig_.Drain({.by = "uid 0", .grace = absl::Seconds(5), .patience = absl::Hours(1)});
  EXPECT_EQ(alice_.notices.revokes.at(0).leases.size(), 1u);
  EXPECT_EQ(alice_.TryAllocate({.size_bytes = 1, .device = "fake1"}), "OK");
  alice_.Release(elsewhere);
  rig_.Run();
  EXPECT_EQ(rig_.drains_ended, 0);
  alice_.Release(here);
  rig_.Run();
  EXPECT_EQ(rig_.drains_ended, 1);
}

// A card that says by itself that it is reset.
class DrainedCard : public DrainedDevice {
 protected:
  DrainedCard() : DrainedDevice(Card()) {}
  static RigOptions Card() {
    RigOptions options;
    options.traits.survives_reset = false;
    options.traits.raises_alarms = true;
    return options;
  }
};

TEST_F(DrainedCard, IsHeardWhenItSaysThatItIsReset) {
  const LeaseId lease = alice_.Allocate();
  rig_.Drain();
  rig_.Advance(absl::Minutes(1));
  rig_.device.alarm =
      Alarm{.kind = Alarm::Kind::kResetPending, .window = absl::Seconds(30), .text = "soon"};
  rig_.Advance(AlarmWatch::kPause);
  EXPECT_EQ(state(), kRevoking);
  ASSERT_EQ(alice_.notices.revokes.size(), 1u);
  EXPECT_EQ(alice_.notices.revokes[0].reason, RevokeReason::kReset);
  alice_.Release(lease);
  rig_.Run();
  EXPECT_EQ(state(), kDrained);
  EXPECT_EQ(device().epoch(), 2u);
  rig_.device.alarm = Alarm{.kind = Alarm::Kind::kReset, .text = "again"};
  rig_.Advance(AlarmWatch::kPause);
  rig_.Run();
  EXPECT_EQ(state(), kDrained);
  EXPECT_EQ(device().epoch(), 3u);
}

}  // namespace
}  // namespace hlbuf
