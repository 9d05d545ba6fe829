// SPDX-License-Identifier: Apache-2.0
// Devices that say by themselves that they are reset, and take their memory along.
#include <gtest/gtest.h>

#include "daemon/core/alarm_watch.h"
#include "daemon/core/error.h"
#include "tests/support/broker_rig.h"

namespace hlbuf {
namespace {

RigOptions Card() {
  RigOptions options;
  options.traits.survives_reset = false;
  options.traits.raises_alarms = true;
  return options;
}

class CardAlarm : public testing::Test {
 protected:
  const Device& device() const { return *rig_.broker.FindDevice("fake0"); }
  // As the driver of a card does, some time before it resets it.
  void Raise(Alarm::Kind kind, absl::Duration window = absl::ZeroDuration()) {
    rig_.device.alarm = Alarm{.kind = kind, .window = window, .text = "the card says so"};
    rig_.Advance(AlarmWatch::kPause);
  }
  ~CardAlarm() override { EXPECT_EQ(rig_.device.violations, std::vector<std::string>()); }

  BrokerRig rig_ = BrokerRig(Card());
  FakeClient& alice_ = rig_.Connect(PeerOf(1000));
};

TEST_F(CardAlarm, ThatDoesNotComeChangesNothing) {
  const BufferId buffer = rig_.Buffer(alice_);
  rig_.Advance(absl::Minutes(1));
  EXPECT_EQ(device().state(), DeviceState::kReady);
  EXPECT_EQ(rig_.Find(buffer)->state, BufferState::kLive);
}

TEST_F(CardAlarm, AsksEverythingBackWithinTheWindow) {
  rig_.Buffer(alice_);
  Raise(Alarm::Kind::kResetPending, absl::Seconds(4));
  ASSERT_EQ(alice_.notices.revokes.size(), 1u);
  EXPECT_EQ(alice_.notices.revokes[0].reason, RevokeReason::kReset);
  EXPECT_LE(alice_.notices.revokes[0].deadline, rig_.clock.Now() + absl::Seconds(3));
  EXPECT_EQ(device().state(), DeviceState::kRevoking);
}

TEST_F(CardAlarm, NeverGivesMoreThanTheGraceOfAReset) {
  rig_.Buffer(alice_);
  Raise(Alarm::Kind::kResetPending, absl::Hours(1));
  EXPECT_LE(alice_.notices.revokes.at(0).deadline,
            rig_.clock.Now() + rig_.broker.settings().reset_grace);
}

TEST_F(CardAlarm, ComesBackWithANewEpochWhenEverybodyLetGo) {
  const LeaseId lease = alice_.Allocate();
  const std::uint64_t epoch = device().epoch();
  Raise(Alarm::Kind::kResetPending, absl::Seconds(30));
  alice_.Release(lease);
  rig_.Run();
  EXPECT_EQ(device().state(), DeviceState::kReady);
  EXPECT_EQ(device().epoch(), epoch + 1);
  EXPECT_EQ(rig_.observer.Last(EventKind::kBufferVerdict).verdict->kind, Verdict::Kind::kProven);
}

// Our own descriptor must never be what the driver waits for.
TEST_F(CardAlarm, GivesUpWhatIsHeldAndClosesIt) {
  const LeaseId lease = alice_.Allocate();
  const BufferId buffer = rig_.Find(lease)->buffer->id;
  rig_.Hold(buffer, 1);
  Raise(Alarm::Kind::kResetPending, absl::Seconds(4));
  rig_.Advance(absl::Seconds(10));
  EXPECT_EQ(rig_.observer.Last(EventKind::kBufferVerdict).verdict->kind, Verdict::Kind::kHeld);
  EXPECT_EQ(device().state(), DeviceState::kReady);
  EXPECT_EQ(rig_.Find(buffer), nullptr);
  EXPECT_EQ(rig_.Find(lease), nullptr);
  EXPECT_EQ(rig_.device.allocated(), 0u);
  EXPECT_EQ(CodeOf(alice_.Open(buffer)), "GONE");
  EXPECT_EQ(device().used_bytes(), 0u);
}

// A lease that ends while its buffer is counted has it counted once more; the verdict of the first
// count closes the card meanwhile.
class CountUnderWay : public CardAlarm {
 protected:
  CountUnderWay() {
    const LeaseId lease = alice_.Allocate();
    buffer_ = rig_.Find(lease)->buffer->id;
    rig_.Hold(buffer_, 1);
    rig_.device.alarm = Alarm{.kind = Alarm::Kind::kResetPending, .window = absl::Seconds(4)};
    rig_.Advance(AlarmWatch::kPause);
    rig_.clock.Advance(absl::Seconds(3));
    rig_.broker.RunDeadlines();
    EXPECT_TRUE(rig_.device.WorkOnCount());
    alice_.Release(lease);
    EXPECT_TRUE(rig_.device.Deliver());
    EXPECT_EQ(device().state(), DeviceState::kClosing);
  }
  BufferId buffer_;
};

TEST_F(CountUnderWay, IsWaitedForBeforeTheDescriptorIsClosed) {
  while (rig_.device.Work() || rig_.device.WorkOnCount() || rig_.device.Deliver()) continue;
  EXPECT_EQ(rig_.device.allocated(), 0u);
  EXPECT_EQ(device().state(), DeviceState::kReady);
}

TEST_F(CountUnderWay, LeavesNoRevocationThatAnOperatorBeginsMeanwhile) {
  EXPECT_EQ(rig_.Revoke({buffer_}, absl::Minutes(10)), "OK");
  rig_.Run();
  ASSERT_EQ(rig_.reports.size(), 1u);
  EXPECT_EQ(rig_.reports[0].verdicts.at(0).verdict.kind, Verdict::Kind::kHeld);
  rig_.Advance(absl::Minutes(11));
}

TEST_F(CardAlarm, OfAResetThatIsOverLeavesClientsAFewSeconds) {
  const BufferId buffer = rig_.Buffer(alice_);
  rig_.Hold(buffer, 1);
  Raise(Alarm::Kind::kReset);
  EXPECT_GT(alice_.notices.revokes.at(0).deadline, rig_.clock.Now());
  EXPECT_LE(alice_.notices.revokes.at(0).deadline, rig_.clock.Now() + absl::Seconds(5));
  rig_.Advance(absl::Seconds(6));
  EXPECT_EQ(device().state(), DeviceState::kReady);
}

// As of firmware that resets the card at once: who lets go when told is no holder.
TEST_F(CardAlarm, WithoutAWindowLeavesClientsAFewSecondsToo) {
  const LeaseId lease = alice_.Allocate();
  Raise(Alarm::Kind::kResetPending);
  EXPECT_GT(alice_.notices.revokes.at(0).deadline, rig_.clock.Now() + absl::Seconds(1));
  alice_.Release(lease);
  rig_.Run();
  EXPECT_EQ(rig_.observer.Last(EventKind::kBufferVerdict).verdict->kind, Verdict::Kind::kProven);
}

TEST_F(CardAlarm, EndsTheRevocationOfAnOperatorWhoGaveLongerToo) {
  const BufferId buffer = rig_.Buffer(alice_);
  rig_.Hold(buffer, 1);
  EXPECT_EQ(rig_.Revoke({buffer}, absl::Minutes(10)), "OK");
  Raise(Alarm::Kind::kResetPending, absl::Seconds(4));
  rig_.Advance(absl::Seconds(5));
  ASSERT_EQ(rig_.reports.size(), 1u);
  EXPECT_EQ(rig_.reports[0].verdicts.at(0).verdict.kind, Verdict::Kind::kHeld);
}

TEST_F(CardAlarm, OfADeviceThatStaysAwayIsAnsweredByTryingItAgain) {
  const std::uint64_t epoch = device().epoch();
  rig_.device.fail_reset = Error(ErrorCode::kDeviceError, "disabled; write hard_reset");
  Raise(Alarm::Kind::kDisabled);
  rig_.Run();
  EXPECT_EQ(device().state(), DeviceState::kFailed);
  EXPECT_NE(device().failure().find("write hard_reset"), std::string::npos);
  rig_.Advance(absl::Seconds(2));
  EXPECT_EQ(device().state(), DeviceState::kReady);
  EXPECT_GT(device().epoch(), epoch);
}

TEST_F(CardAlarm, IsHeardAgainInTheNextEpoch) {
  Raise(Alarm::Kind::kReset);
  rig_.Run();
  ASSERT_EQ(device().state(), DeviceState::kReady);
  const std::uint64_t epoch = device().epoch();
  Raise(Alarm::Kind::kReset);
  rig_.Run();
  EXPECT_EQ(device().epoch(), epoch + 1);
}

// The clock stands still: nobody asks because time has passed.
TEST_F(CardAlarm, IsAskedForAtOnceWhenTheDeviceGivesASign) {
  rig_.device.alarm = Alarm{.kind = Alarm::Kind::kReset};
  rig_.Run();
  EXPECT_EQ(device().state(), DeviceState::kReady);
  const std::uint64_t epoch = device().epoch();
  rig_.device.GiveSign();
  rig_.Run();
  EXPECT_EQ(device().epoch(), epoch + 1);
}

// The device looked before it; what it then says is not known to be all.
TEST_F(CardAlarm, IsAskedForOnceMoreAfterASignThatComesWhileItIsAskedFor) {
  rig_.device.GiveSign();
  ASSERT_TRUE(rig_.device.Work());
  rig_.device.alarm = Alarm{.kind = Alarm::Kind::kReset};
  rig_.device.GiveSign();
  rig_.device.GiveSign();
  const std::uint64_t epoch = device().epoch();
  rig_.Run();
  EXPECT_EQ(device().epoch(), epoch + 1);
}

TEST_F(CardAlarm, IsAskedForNoMoreOftenAfterManySigns) {
  for (int i = 0; i < 100; ++i) {
    rig_.device.GiveSign();
    rig_.Run();
  }
  EXPECT_EQ(rig_.broker.NextDeadline(), rig_.clock.Now() + AlarmWatch::kPause);
  int asked = 0;
  for (rig_.clock.Advance(AlarmWatch::kPause); rig_.broker.NextDeadline() <= rig_.clock.Now();) {
    rig_.broker.RunDeadlines();
    while (rig_.device.Work()) ++asked;
    rig_.Run();
  }
  EXPECT_EQ(asked, 1);
}

TEST_F(CardAlarm, IsAskedForAtOnceWhileADrillRunsToo) {
  rig_.Hold(rig_.Buffer(alice_), 1);
  EXPECT_EQ(rig_.Reset(absl::Hours(1)), "OK");
  rig_.device.alarm = Alarm{.kind = Alarm::Kind::kReset};
  rig_.device.GiveSign();
  rig_.Run();
  EXPECT_EQ(alice_.notices.revokes.size(), 2u);
}

// The device goes on, and says so whenever it is asked.
class OpenerLost : public CardAlarm {
 protected:
  void Lose(const std::string& text) {
    rig_.device.alarm = Alarm{.kind = Alarm::Kind::kOpenerLost, .text = text};
    rig_.Advance(AlarmWatch::kPause);
  }
};

TEST_F(OpenerLost, IsToldOnceAndEndsNothing) {
  const BufferId buffer = rig_.Buffer(alice_);
  Lose("the opener died");
  rig_.Advance(absl::Minutes(1));
  EXPECT_EQ(rig_.observer.Count(EventKind::kOpenerLost), 1u);
  EXPECT_EQ(rig_.observer.Last(EventKind::kOpenerLost).device, "fake0");
  EXPECT_EQ(rig_.observer.Last(EventKind::kOpenerLost).text, "the opener died");
  EXPECT_EQ(device().warning(), "the opener died");
  EXPECT_EQ(device().state(), DeviceState::kReady);
  EXPECT_EQ(rig_.Find(buffer)->state, BufferState::kLive);
  EXPECT_TRUE(alice_.notices.revokes.empty());
}

TEST_F(OpenerLost, IsToldAgainWhenTheNextOneIsLostToo) {
  Lose("the opener died");
  Lose("its successor died");
  EXPECT_EQ(rig_.observer.Count(EventKind::kOpenerLost), 2u);
  EXPECT_EQ(device().warning(), "its successor died");
}

TEST_F(OpenerLost, LeavesAlarmsToBeHeard) {
  Lose("the opener died");
  const std::uint64_t epoch = device().epoch();
  Raise(Alarm::Kind::kReset);
  rig_.Run();
  EXPECT_EQ(device().epoch(), epoch + 1);
  EXPECT_EQ(device().state(), DeviceState::kReady);
}

TEST_F(OpenerLost, IsNoMatterInTheNextEpoch) {
  Lose("the opener died");
  EXPECT_EQ(rig_.Reset(), "OK");
  rig_.Run();
  EXPECT_EQ(device().state(), DeviceState::kReady);
  EXPECT_EQ(device().warning(), "");
  Lose("the opener died");
  EXPECT_EQ(rig_.observer.Count(EventKind::kOpenerLost), 2u);
}

// The driver begins at once what it had announced.
TEST_F(CardAlarm, ThatComesDuringTheFirstShortensIt) {
  const LeaseId lease = alice_.Allocate();
  rig_.Hold(rig_.Find(lease)->buffer->id, 1);
  Raise(Alarm::Kind::kResetPending, absl::Seconds(30));
  rig_.Advance(absl::Seconds(2));
  const absl::Time first = alice_.notices.revokes.at(0).deadline;
  Raise(Alarm::Kind::kReset);
  ASSERT_EQ(alice_.notices.revokes.size(), 2u);
  EXPECT_LT(alice_.notices.revokes[1].deadline, first);
  EXPECT_LE(alice_.notices.revokes[1].deadline, rig_.clock.Now() + absl::Seconds(5));
  const std::uint64_t epoch = device().epoch();
  rig_.Advance(absl::Seconds(6));
  EXPECT_EQ(device().state(), DeviceState::kReady);
  EXPECT_EQ(device().epoch(), epoch + 1) << "one reset";
}

TEST_F(CardAlarm, ThatIsRaisedAgainTellsNobodyAgain) {
  const LeaseId lease = alice_.Allocate();
  rig_.Hold(rig_.Find(lease)->buffer->id, 1);
  Raise(Alarm::Kind::kResetPending, absl::Seconds(30));
  const std::size_t told = rig_.observer.Count(EventKind::kDeviceState);
  rig_.Advance(absl::Seconds(10));
  EXPECT_EQ(alice_.notices.revokes.size(), 1u);
  EXPECT_EQ(rig_.observer.Count(EventKind::kDeviceState), told);
}

// Whoever drills with an hour of grace does not keep the driver waiting for an hour.
TEST_F(CardAlarm, ThatComesWhileADrillRunsShortensTheDrill) {
  const BufferId buffer = rig_.Buffer(alice_);
  rig_.Hold(buffer, 1);
  EXPECT_EQ(rig_.Reset(absl::Hours(1)), "OK");
  Raise(Alarm::Kind::kResetPending, absl::Seconds(8));
  EXPECT_EQ(alice_.notices.revokes.size(), 2u);
  rig_.Advance(absl::Seconds(7));
  EXPECT_EQ(device().state(), DeviceState::kReady);
  ASSERT_EQ(rig_.resets.size(), 1u);
  EXPECT_EQ(rig_.resets[0].revocation.verdicts.at(0).verdict.kind, Verdict::Kind::kHeld);
}

TEST_F(CardAlarm, ThatComesWhileADrillRunsStartsNoSecondReset) {
  const BufferId buffer = rig_.Buffer(alice_);
  rig_.Hold(buffer, 1);
  EXPECT_EQ(rig_.Reset(absl::Seconds(20)), "OK");
  Raise(Alarm::Kind::kResetPending, absl::Seconds(30));
  EXPECT_EQ(device().state(), DeviceState::kRevoking);
  rig_.Advance(absl::Seconds(21));
  EXPECT_EQ(device().state(), DeviceState::kReady);
  ASSERT_EQ(rig_.resets.size(), 1u);
}

}  // namespace
}  // namespace hlbuf
