// SPDX-License-Identifier: Apache-2.0
// Results of the worker that arrive when the world has changed (scenario 12).
#include <gtest/gtest.h>

#include "daemon/core/error.h"
#include "tests/support/broker_rig.h"

namespace hlbuf {
namespace {

// One allocation under way, on a device that counts references or does not.
struct LateResult : testing::TestWithParam<bool> {
  LateResult() : rig(Options(GetParam())) {
    rig.broker.Allocate(
        alice.session(), {.size_bytes = kPage, .name = "x"},
        [this](const absl::StatusOr<LeaseId>& lease) { answers.push_back(CodeOf(lease)); });
  }
  static RigOptions Options(bool counts) {
    RigOptions options;
    options.traits.counts_references = counts;
    return options;
  }
  DeviceState State() const { return rig.broker.FindDevice("fake0")->state(); }

  std::vector<std::string> answers;  // outlives the rig, which answers what is left at its end
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
};
INSTANTIATE_TEST_SUITE_P(, LateResult, testing::Bool(), [](const auto& counts) {
  return counts.param ? std::string("Counted") : std::string("Uncounted");
});

using Words = std::vector<std::string>;

TEST_P(LateResult, OfASessionThatDiedGoesBackToTheDevice) {
  alice.Die();
  EXPECT_EQ(rig.broker.ledger().accounts.service().used(Resource::kBytes), kPage);
  rig.Run();
  EXPECT_EQ(answers, Words{"GONE"});
  EXPECT_EQ(rig.device.calls, (Words{"open", "allocate 4096", "free 1"}));
  EXPECT_EQ(rig.broker.ledger().accounts.size(), 0u);
}

TEST_P(LateResult, OfAParkedSessionGoesBackToo) {
  rig.device.Work();
  rig.broker.Park(alice.session(), SessionEvent::kViolation, "broken frame");
  rig.Run();
  EXPECT_EQ(answers, Words{"GONE"});
  EXPECT_EQ(rig.device.allocated(), 0u);
  EXPECT_EQ(rig.observer.Count(EventKind::kBufferAllocated), 0u);
}

TEST_P(LateResult, OfASessionThatDiedLeavesNothingWhenItFailed) {
  rig.device.fail_allocate = Error(ErrorCode::kNoMemory, "full");
  alice.Die();
  rig.Run();
  EXPECT_EQ(answers, Words{"NO_MEMORY"});
  EXPECT_EQ(rig.broker.ledger().accounts.size(), 0u);
}

// Else its descriptor would outlive the close of the device.
TEST_P(LateResult, OfAClosingDeviceGoesBackBeforeTheResetAndIsNeverGranted) {
  EXPECT_EQ(rig.Reset(), "OK");
  EXPECT_EQ(State(), DeviceState::kClosing) << "nobody holds anything";
  rig.Run();
  EXPECT_EQ(answers, Words{"DEVICE_UNAVAILABLE"});
  EXPECT_EQ(rig.device.calls, (Words{"open", "allocate 4096", "free 1", "reset", "open"}));
  EXPECT_TRUE(alice.session().leases.empty());
  EXPECT_TRUE(alice.notices.revokes.empty());
  EXPECT_EQ(State(), DeviceState::kReady);
}

TEST_P(LateResult, WorkedOutBeforeTheResetButDeliveredAfterItIsNotGrantedEither) {
  rig.device.Work();
  rig.Reset();
  rig.Run();
  EXPECT_EQ(answers, Words{"DEVICE_UNAVAILABLE"});
  EXPECT_EQ(rig.device.calls, (Words{"open", "allocate 4096", "free 1", "reset", "open"}));
}

TEST_P(LateResult, IsWaitedForWhileOthersAreAskedBack) {
  FakeClient& bob = rig.Connect(PeerOf(1001));
  rig.Run();
  EXPECT_EQ(answers, Words{"OK"});
  const LeaseId lease = bob.Allocate();
  rig.broker.Allocate(
      alice.session(), {.size_bytes = kPage},
      [this](const absl::StatusOr<LeaseId>& late) { answers.push_back(CodeOf(late)); });
  rig.Reset();
  bob.Release(lease);
  alice.Release(alice.session().leases.at(0)->id);
  rig.Run();
  EXPECT_EQ(answers, (Words{"OK", "DEVICE_UNAVAILABLE"}));
  ASSERT_EQ(rig.resets.size(), 1u);
  EXPECT_EQ(rig.device.allocated(), 0u);
}

TEST_P(LateResult, ThatFailedLetsTheResetGoOn) {
  rig.device.fail_allocate = Error(ErrorCode::kNoMemory, "full");
  rig.Reset();
  rig.Run();
  EXPECT_EQ(answers, Words{"NO_MEMORY"});
  EXPECT_EQ(State(), DeviceState::kReady);
  EXPECT_EQ(rig.broker.FindDevice("fake0")->used_bytes(), 0u);
}

TEST_P(LateResult, OfADeadSessionOnAClosingDeviceGoesBackOnce) {
  rig.Reset();
  alice.Die();
  rig.Run();
  EXPECT_EQ(answers, Words{"GONE"});
  EXPECT_EQ(rig.device.calls, (Words{"open", "allocate 4096", "free 1", "reset", "open"}));
}

TEST_P(LateResult, CannotBeRevokedOrSharedBeforeItIsThere) {
  const BufferId buffer = rig.broker.ledger().registry.in_order().begin()->first;
  EXPECT_EQ(rig.Revoke({buffer}), "NOT_FOUND");
  EXPECT_EQ(alice.Share(buffer, {.kind = Grantee::Kind::kUid, .id = 1001}), "NOT_FOUND");
}

TEST_P(LateResult, ThatWasNotGrantedLeavesItsNameToOthers) {
  FakeClient& other = rig.Connect(PeerOf(1000));
  alice.Die();
  rig.device.Work();
  rig.device.Deliver();
  std::string answer;
  rig.broker.Allocate(other.session(), {.size_bytes = 1, .name = "x"},
                      [&answer](const absl::StatusOr<LeaseId>& lease) { answer = CodeOf(lease); });
  rig.Run();
  EXPECT_EQ(answer, "OK");
}

// Scenario 12 the other way round: the count of a buffer that nobody may open any more is proof,
// whenever it arrives.
TEST(LateCount, FreesABufferOfAnEpochThatHasEnded) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  const LeaseId lease = alice.Allocate();
  const BufferId buffer = rig.Find(lease)->buffer->id;
  rig.Hold(buffer, 1);
  rig.Reset(absl::Seconds(1));
  rig.Advance(absl::Seconds(1));
  EXPECT_EQ(rig.resets.size(), 1u);
  rig.Hold(buffer, 0);
  alice.Release(lease);
  rig.device.WorkOnCount();
  rig.Reset(absl::Seconds(1));
  rig.Run();
  EXPECT_EQ(rig.Find(buffer), nullptr);
  EXPECT_EQ(rig.resets.size(), 2u);
  EXPECT_EQ(rig.resets[1].revocation.verdicts.at(0).verdict.kind, Verdict::Kind::kProven);
}

TEST(LateCount, ThatIsTooHighIsAskedAgainAndDoesNoHarm) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  const LeaseId lease = alice.Allocate();
  const BufferId buffer = rig.Find(lease)->buffer->id;
  rig.Hold(buffer, 1);
  alice.Release(lease);
  rig.device.WorkOnCount();
  rig.Hold(buffer, 0);
  rig.Advance(ReleaseProof::kFirstPause);
  EXPECT_EQ(rig.Find(buffer), nullptr);
}

}  // namespace
}  // namespace hlbuf
