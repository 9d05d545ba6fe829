// SPDX-License-Identifier: Apache-2.0
#include "daemon/core/reset_plan.h"

#include <gtest/gtest.h>

#include "tests/support/broker_rig.h"

namespace hlbuf {
namespace {

class PlannedReset : public testing::Test {
 protected:
  ResetPlan Plan() { return *rig_.broker.PlanReset("fake0"); }
  using Obstacles = std::vector<ResetObstacle>;

  BrokerRig rig_;
  FakeClient& alice_ = rig_.Connect(PeerOf(1000));
  FakeClient& bob_ = rig_.Connect(PeerOf(1001));
};

TEST_F(PlannedReset, OfADeviceThatNobodyHoldsIsClear) {
  const ResetPlan plan = Plan();
  EXPECT_TRUE(plan.clear());
  EXPECT_TRUE(plan.parties.empty());
  EXPECT_EQ(plan.buffers, 0u);
}

TEST_F(PlannedReset, NamesWhoWouldBeAskedForHowMuch) {
  alice_.Allocate();
  bob_.Allocate("", 2 * kPage);
  bob_.Allocate();
  const ResetPlan plan = Plan();
  EXPECT_TRUE(plan.clear());
  EXPECT_EQ(plan.buffers, 3u);
  EXPECT_EQ(plan.leases, 3u);
  EXPECT_EQ(plan.bytes, 4 * kPage);
  ASSERT_EQ(plan.parties.size(), 2u);
  EXPECT_EQ(plan.parties[0].session, &bob_.session()) << "most first";
  EXPECT_EQ(plan.parties[0].leases, 2u);
  EXPECT_EQ(plan.parties[1].session, &alice_.session());
}

TEST_F(PlannedReset, SpeaksOfItsDeviceAlone) {
  rig_.AddDevice("fake1", FakeBackend::DefaultTraits());
  rig_.Run();
  alice_.TryAllocate({.size_bytes = 1, .device = "fake1"});
  EXPECT_EQ(Plan().buffers, 0u);
  EXPECT_EQ(rig_.broker.PlanReset("fake1")->leases, 1u);
  EXPECT_EQ(CodeOf(rig_.broker.PlanReset("fake2")), "NOT_FOUND");
}

TEST_F(PlannedReset, ChangesNothing) {
  alice_.Allocate();
  Plan();
  EXPECT_TRUE(alice_.notices.revokes.empty());
  EXPECT_EQ(rig_.broker.FindDevice("fake0")->state(), DeviceState::kReady);
}

TEST_F(PlannedReset, MeetsASessionThatCannotBeTold) {
  alice_.Allocate();
  bob_.Allocate();
  ASSERT_TRUE(rig_.broker.TakeInFlight(alice_.session(), 1).ok());
  const ResetPlan plan = Plan();
  EXPECT_FALSE(plan.clear());
  EXPECT_EQ(plan.obstructed, 1u);
  EXPECT_EQ(plan.parties.at(0).session, &alice_.session()) << "who is in the way comes first";
  EXPECT_EQ(plan.parties[0].obstacles, Obstacles{ResetObstacle::kUnreadGrant});
  EXPECT_TRUE(plan.parties.at(1).obstacles.empty());
  rig_.broker.GiveBackInFlight(alice_.session());
  EXPECT_TRUE(Plan().clear());
}

// Charges in flight are given back when somebody looks, not when the peer has received them.
TEST_F(PlannedReset, AsksTheKernelBeforeItSuspectsASession) {
  alice_.Allocate();
  ASSERT_TRUE(rig_.broker.TakeInFlight(alice_.session(), 1).ok());
  alice_.notices.on_sweep = [this] { rig_.broker.GiveBackInFlight(alice_.session()); };
  EXPECT_TRUE(Plan().clear());
}

TEST_F(PlannedReset, MeetsASessionThatIsSilent) {
  alice_.Allocate();
  alice_.session().unanswered_ping_since = rig_.clock.Now();
  EXPECT_EQ(Plan().parties.at(0).obstacles, Obstacles{ResetObstacle::kSilent});
  EXPECT_FALSE(Plan().clear());
}

TEST_F(PlannedReset, IsNotHeldUpByWhoHoldsNothing) {
  bob_.session().unanswered_ping_since = rig_.clock.Now();
  ASSERT_TRUE(rig_.broker.TakeInFlight(bob_.session(), 1).ok());
  EXPECT_TRUE(Plan().clear());
  EXPECT_TRUE(Plan().parties.empty());
  rig_.broker.GiveBackInFlight(bob_.session());
}

TEST_F(PlannedReset, MeetsASessionThatDidNotLetGoBefore) {
  const BufferId buffer = rig_.Buffer(alice_);
  rig_.Hold(buffer, 1);
  rig_.Revoke({buffer}, absl::Seconds(1));
  EXPECT_TRUE(Plan().clear()) << "its time is not over yet";
  rig_.Advance(absl::Seconds(2));
  EXPECT_EQ(Plan().parties.at(0).obstacles, Obstacles{ResetObstacle::kOverdue});
  EXPECT_TRUE(Plan().unexplained.empty());
}

TEST_F(PlannedReset, CountsWhatWasAskedBackAlready) {
  const BufferId buffer = rig_.Buffer(alice_);
  rig_.Hold(buffer, 1);
  alice_.Allocate();
  EXPECT_EQ(Plan().asked, 0u);
  rig_.Revoke({buffer}, absl::Seconds(1));
  EXPECT_EQ(Plan().asked, 1u);
  rig_.Advance(absl::Seconds(2));
  EXPECT_EQ(Plan().asked, 1u) << "overdue";
  EXPECT_EQ(Plan().leases, 2u);
}

TEST_F(PlannedReset, MeetsReferencesThatNoLeaseExplains) {
  const LeaseId lease = alice_.Allocate();
  const BufferId buffer = rig_.Find(lease)->buffer->id;
  rig_.Hold(buffer, 2);
  alice_.Release(lease);
  rig_.Run();
  const ResetPlan plan = Plan();
  EXPECT_FALSE(plan.clear());
  ASSERT_EQ(plan.unexplained.size(), 1u);
  EXPECT_EQ(plan.unexplained[0]->id, buffer);
  EXPECT_TRUE(plan.parties.empty());
}

// A session that is over may be who has them, in what it never took.
TEST_F(PlannedReset, NamesWhoHasNotTakenWhatNobodyExplains) {
  const BufferId buffer = rig_.Buffer(alice_);
  rig_.Hold(buffer, 1);
  ASSERT_TRUE(rig_.broker.TakeInFlight(alice_.session(), 1).ok());
  rig_.broker.Park(alice_.session(), SessionEvent::kPeerGone, "its process exited");
  rig_.Run();
  const ResetPlan plan = Plan();
  ASSERT_EQ(plan.parties.size(), 1u);
  EXPECT_EQ(plan.parties[0].session, &alice_.session());
  EXPECT_EQ(plan.parties[0].leases, 0u);
  EXPECT_EQ(plan.parties[0].obstacles, Obstacles{ResetObstacle::kUnreadGrant});
}

TEST_F(PlannedReset, GivesTheConfiguredTimeWhereADrillIsAllThereIs) {
  EXPECT_EQ(Plan().grace, rig_.broker.settings().reset_grace);
  EXPECT_EQ(Plan().window, absl::ZeroDuration());
}

TEST(GraceWithin, KeepsAQuarterOfTheWindowForClosing) {
  EXPECT_EQ(GraceWithin(absl::Seconds(8), absl::Seconds(20)), absl::Seconds(6));
  EXPECT_EQ(GraceWithin(absl::Seconds(30), absl::Seconds(20)), absl::Seconds(20));
  EXPECT_EQ(GraceWithin(absl::ZeroDuration(), absl::Seconds(20)), absl::Seconds(5));
  EXPECT_EQ(GraceWithin(absl::ZeroDuration(), absl::Seconds(1)), absl::Seconds(1));
}

TEST(PlannedResetOfACard, GivesWhatItsDriverLeaves) {
  RigOptions options;
  options.traits.survives_reset = false;
  options.traits.raises_alarms = true;
  options.traits.reset_window = absl::Seconds(8);
  BrokerRig rig(std::move(options));
  EXPECT_EQ(rig.broker.PlanReset("fake0")->grace, absl::Seconds(6));
  EXPECT_EQ(rig.broker.PlanReset("fake0")->window, absl::Seconds(8));
}

}  // namespace
}  // namespace hlbuf
