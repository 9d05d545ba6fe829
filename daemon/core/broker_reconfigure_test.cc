// SPDX-License-Identifier: Apache-2.0
// What an administrator changes while clients hold buffers.
#include <gtest/gtest.h>

#include <array>

#include "daemon/core/alarm_watch.h"
#include "tests/support/broker_rig.h"

namespace hlbuf {
namespace {

constexpr auto kBuffers = static_cast<std::size_t>(Resource::kBuffers);

class Reconfigure : public testing::Test {
 protected:
  static RigOptions Card() {
    RigOptions options;
    options.traits.raises_alarms = true;
    return options;
  }
  void Change(std::vector<Rule> rules, const QuotaLimits& limits = NoLimits()) {
    rig_.broker.Reconfigure(Policy(std::move(rules), {.clients_gid = kClientsGid}),
                            {.limits = limits,
                             .operator_grace = operator_grace,
                             .reset_grace = reset_grace,
                             .enforcement = enforcement,
                             .reattach_grace = reattach_grace});
  }
  static Rule Deny(Verb verb) { return {.name = "no", .allow = false, .verbs = {verb}}; }

  absl::Duration operator_grace = absl::Seconds(10);
  absl::Duration reset_grace = absl::Seconds(20);
  EnforcementSettings enforcement;
  absl::Duration reattach_grace = absl::Seconds(60);
  BrokerRig rig_ = BrokerRig(Card());
  FakeClient& alice_ = rig_.Connect(PeerOf(1000));
};

TEST_F(Reconfigure, DecidesByTheNewRulesWhatIsAskedForFromThenOn) {
  const BufferId buffer = rig_.Buffer(alice_);
  Change({Deny(Verb::kAllocate)});
  EXPECT_EQ(alice_.TryAllocate({.size_bytes = kPage}), "PERMISSION_DENIED");
  EXPECT_EQ(CodeOf(alice_.Open(buffer)), "OK");
  Change({Deny(Verb::kOpen)});
  EXPECT_EQ(alice_.TryAllocate({.size_bytes = kPage}), "OK");
  EXPECT_EQ(CodeOf(alice_.Open(buffer)), "PERMISSION_DENIED");
}

TEST_F(Reconfigure, LeavesLeasesThatTheNewRulesWouldRefuse) {
  const LeaseId lease = alice_.Allocate();
  Change({Deny(Verb::kAllocate), Deny(Verb::kOpen)});
  rig_.Advance(absl::Minutes(5));
  ASSERT_NE(rig_.Find(lease), nullptr);
  EXPECT_EQ(rig_.Find(lease)->state, LeaseState::kActive);
  EXPECT_TRUE(alice_.notices.revokes.empty());
}

TEST_F(Reconfigure, ChangesTheLimitsOfAccountsThatAreInUse) {
  const LeaseId first = alice_.Allocate();
  alice_.Allocate();
  for (Amounts QuotaLimits::*scope :
       {&QuotaLimits::domain, &QuotaLimits::uid, &QuotaLimits::service}) {
    QuotaLimits limits = NoLimits();
    (limits.*scope)[kBuffers] = 2;
    Change({}, limits);
    EXPECT_EQ(alice_.TryAllocate({.size_bytes = kPage}), "QUOTA_EXCEEDED");
  }
  Change({});
  EXPECT_EQ(alice_.TryAllocate({.size_bytes = kPage}), "OK");
  alice_.Release(first);
}

TEST_F(Reconfigure, TakesNothingFromWhoHoldsMoreThanANewLimit) {
  for (int i = 0; i < 3; ++i) alice_.Allocate();
  QuotaLimits limits = NoLimits();
  limits.domain[kBuffers] = 1;
  Change({}, limits);
  rig_.Advance(absl::Minutes(5));
  EXPECT_EQ(alice_.session().leases.size(), 3u);
  EXPECT_EQ(alice_.TryAllocate({.size_bytes = kPage}), "QUOTA_EXCEEDED");
  while (!alice_.session().leases.empty()) alice_.Release(alice_.session().leases.back()->id);
  rig_.Run();
  EXPECT_EQ(alice_.TryAllocate({.size_bytes = kPage}), "OK");
}

TEST_F(Reconfigure, HoldsForDomainsThatComeLater) {
  QuotaLimits limits = NoLimits();
  limits.domain[kBuffers] = 1;
  Change({}, limits);
  FakeClient& bob = rig_.Connect(PeerOf(1001));
  bob.Allocate();
  EXPECT_EQ(bob.TryAllocate({.size_bytes = kPage}), "QUOTA_EXCEEDED");
}

TEST_F(Reconfigure, GivesTheNewTimeAtTheNextReset) {
  rig_.Buffer(alice_);
  reset_grace = absl::Seconds(3);
  operator_grace = absl::Seconds(4);
  Change({});
  EXPECT_EQ(rig_.broker.settings().operator_grace, absl::Seconds(4));
  rig_.device.alarm = Alarm{
      .kind = Alarm::Kind::kResetPending, .window = absl::Hours(1), .text = "the card says so"};
  rig_.Advance(AlarmWatch::kPause);
  ASSERT_EQ(alice_.notices.revokes.size(), 1u);
  EXPECT_LE(alice_.notices.revokes[0].deadline, rig_.clock.Now() + absl::Seconds(3));
}

TEST_F(Reconfigure, EnforcesFromTheNextRevocationOn) {
  const BufferId buffer = rig_.Buffer(alice_);
  EXPECT_EQ(rig_.Revoke({rig_.Buffer(alice_)}), "OK");
  enforcement.revocations = Force::kTerminate;
  Change({});
  rig_.Advance(operator_grace);
  EXPECT_TRUE(alice_.notices.signals.empty());
  EXPECT_EQ(rig_.Revoke({buffer}), "OK");
  rig_.Advance(operator_grace);
  EXPECT_EQ(alice_.notices.signals, std::vector<Force>{Force::kTerminate});
}

TEST_F(Reconfigure, SignalsNobodyWhenThatWasTurnedOffMeanwhile) {
  enforcement.revocations = Force::kKill;
  Change({});
  EXPECT_EQ(rig_.Revoke({rig_.Buffer(alice_)}), "OK");
  enforcement.revocations = Force::kTerminate;
  Change({});
  rig_.Advance(operator_grace);
  EXPECT_EQ(alice_.notices.signals, std::vector<Force>{Force::kTerminate});
}

TEST_F(Reconfigure, GivesAbsentClientsTheNewTimeLessWhatHasPassed) {
  rig_.Buffer(alice_);
  rig_.Restart();
  rig_.Advance(absl::Seconds(50));
  reattach_grace = absl::Seconds(90);
  Change({});
  EXPECT_EQ(rig_.broker.absences().left(), absl::Seconds(40));
  rig_.Advance(absl::Seconds(30));
  EXPECT_EQ(rig_.broker.absences().Away().size(), 1u);
  EXPECT_TRUE(alice_.Reattach().ok());
}

TEST_F(Reconfigure, EndsAbsencesThatTheNewTimeIsOverFor) {
  rig_.Buffer(alice_);
  rig_.Restart();
  rig_.Advance(absl::Seconds(30));
  reattach_grace = absl::Seconds(10);
  Change({});
  rig_.Advance(absl::Seconds(1));
  EXPECT_TRUE(rig_.broker.absences().Away().empty());
  EXPECT_NE(rig_.observer.Last(EventKind::kSessionEnded).text.find("within 10s"),
            std::string::npos);
}

}  // namespace
}  // namespace hlbuf
