// SPDX-License-Identifier: Apache-2.0
// Revocations: notice, acknowledgement or deadline, verdict.
#include <gtest/gtest.h>

#include "tests/support/broker_rig.h"

namespace hlbuf {
namespace {

using Kind = Verdict::Kind;

RigOptions WithoutCounts() {
  RigOptions options;
  options.traits.counts_references = false;
  return options;
}

// A shared buffer, and how the tests look at what is said about it.
struct Revocation : testing::Test {
  explicit Revocation(RigOptions options = RigOptions()) : rig(std::move(options)) {
    alice.Share(buffer, {.kind = Grantee::Kind::kUid, .id = 1001});
    bobs = bob.Open(buffer)->lease;
    rig.Hold(buffer, 2);
  }
  void Release(FakeClient& client, LeaseId lease, std::uint32_t left) {
    rig.Hold(buffer, left);
    client.Release(lease);
    rig.Run();
  }
  const RevocationReport& Report() {
    EXPECT_EQ(rig.reports.size(), 1u);
    return rig.reports.at(0);
  }
  const BufferVerdict& Said() {
    EXPECT_EQ(Report().verdicts.size(), 1u);
    return Report().verdicts.at(0);
  }

  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  FakeClient& bob = rig.Connect(PeerOf(1001));
  LeaseId alices = alice.Allocate("weights");
  BufferId buffer = rig.Find(alices)->buffer->id;
  LeaseId bobs;
};
struct UncountedRevocation : Revocation {
  UncountedRevocation() : Revocation(WithoutCounts()) {}
};

TEST_F(Revocation, TellsEveryHolderOnceWithReasonAndDeadline) {
  const LeaseId second = bob.Open(buffer)->lease;
  EXPECT_EQ(rig.Revoke({buffer}, absl::Seconds(5)), "OK");
  ASSERT_EQ(bob.notices.revokes.size(), 1u);
  const FakeNotices::Revoke& notice = bob.notices.revokes[0];
  EXPECT_EQ(notice.reason, RevokeReason::kOperator);
  EXPECT_EQ(notice.deadline, rig.clock.Now() + absl::Seconds(5));
  ASSERT_EQ(notice.leases.size(), 2u);
  EXPECT_EQ(notice.leases[0].lease, bobs);
  EXPECT_EQ(notice.leases[1].lease, second);
  EXPECT_EQ(notice.leases[0].buffer, buffer);
  EXPECT_EQ(alice.notices.revokes.size(), 1u);
  EXPECT_EQ(rig.Find(buffer)->state, BufferState::kRevoking);
  EXPECT_EQ(rig.Find(bobs)->state, LeaseState::kRevoking);
}

TEST_F(Revocation, IsProvenWhenAllLetGoAndTheCountIsOurs) {
  rig.Revoke({buffer});
  Release(alice, alices, 1);
  EXPECT_TRUE(rig.reports.empty());
  Release(bob, bobs, 0);
  EXPECT_EQ(Said().verdict.kind, Kind::kProven);
  EXPECT_EQ(Said().name, "weights");
  EXPECT_EQ(Said().owner.uid, 1000u);
  EXPECT_TRUE(Said().holders.empty());
  EXPECT_EQ(Report().sessions_told, 2u);
  EXPECT_EQ(Report().leases_told, 2u);
  EXPECT_EQ(Report().ended, rig.clock.Now());
}

// A lease is what a client says; the count is what the kernel says.
TEST_F(Revocation, IsNotProvenByAcknowledgementsAlone) {
  rig.Revoke({buffer}, absl::Seconds(10));
  Release(alice, alices, 1);
  Release(bob, bobs, 1);
  rig.Advance(absl::Seconds(9));
  EXPECT_TRUE(rig.reports.empty());
  rig.Hold(buffer, 0);
  rig.Advance(absl::Seconds(2));
  EXPECT_EQ(Said().verdict.kind, Kind::kProven);
}

// Scenario 6: a third process holds the descriptor, and everybody else has acknowledged.
TEST_F(Revocation, EndsHeldAtItsDeadlineAlsoWhileTheBufferDrains) {
  rig.Revoke({buffer}, absl::Seconds(10));
  Release(alice, alices, 1);
  Release(bob, bobs, 1);
  EXPECT_EQ(rig.Find(buffer)->state, BufferState::kDraining);
  rig.Advance(absl::Seconds(10));
  EXPECT_EQ(Said().verdict.kind, Kind::kHeld);
  EXPECT_EQ(Said().verdict.references, 1u);
  EXPECT_TRUE(Said().holders.empty()) << "no lease explains it";
}

TEST_F(Revocation, NamesWhoStillHoldsALeaseAtTheDeadline) {
  rig.Revoke({buffer}, absl::Seconds(10));
  Release(alice, alices, 3);
  rig.Advance(absl::Seconds(10));
  EXPECT_EQ(Said().verdict.kind, Kind::kHeld);
  EXPECT_EQ(Said().verdict.references, 3u);
  ASSERT_EQ(Said().holders.size(), 1u);
  EXPECT_EQ(Said().holders[0].session, bob.session().id);
  EXPECT_EQ(Said().holders[0].domain.uid, 1001u);
  EXPECT_EQ(Said().holders[0].pid, bob.session().peer.pid);
  EXPECT_EQ(rig.Find(bobs)->state, LeaseState::kOverdue);
  EXPECT_EQ(rig.Find(buffer)->state, BufferState::kDraining);
  EXPECT_EQ(rig.Find(buffer)->verdict->kind, Kind::kHeld);
}

TEST_F(Revocation, GoesOnDrainingAfterHeldUntilAllLetGo) {
  rig.Revoke({buffer}, absl::Seconds(10));
  rig.Advance(absl::Minutes(5));
  EXPECT_EQ(Said().verdict.kind, Kind::kHeld);
  Release(alice, alices, 1);
  Release(bob, bobs, 0);
  EXPECT_EQ(rig.Find(buffer), nullptr);
  EXPECT_EQ(rig.broker.ledger().registry.FateOf(buffer),
            "revoked (asked back by an operator) in epoch 1 of fake0, then freed at the end of "
            "its last lease (PROVEN)");
}

// The client died, or closed the descriptor and is slow to say so.
TEST_F(Revocation, IsProvenByTheCountThoughALeaseWasNeverReleased) {
  rig.Revoke({buffer}, absl::Seconds(10));
  rig.Hold(buffer, 0);
  rig.Advance(absl::Seconds(10));
  EXPECT_EQ(Said().verdict.kind, Kind::kProven);
  EXPECT_EQ(rig.Find(bobs), nullptr);
  bob.Release(bobs);
}

TEST_F(Revocation, TakesTheDeathOfASessionForItsAnswer) {
  rig.Revoke({buffer});
  rig.Hold(buffer, 1);
  alice.Die();
  rig.Hold(buffer, 0);
  bob.Die();
  rig.Run();
  EXPECT_EQ(Said().verdict.kind, Kind::kProven);
}

TEST_F(Revocation, IsHeldWhereTheCountCannotBeRead) {
  rig.Revoke({buffer}, absl::Seconds(10));
  rig.device.unreadable = true;
  Release(alice, alices, 0);
  Release(bob, bobs, 0);
  rig.Advance(absl::Seconds(10));
  EXPECT_EQ(Said().verdict.kind, Kind::kHeld);
}

// The count is asked at the deadline, and may answer much later.
TEST_F(Revocation, WaitsForTheCountThatItsDeadlineAskedFor) {
  rig.Revoke({buffer}, absl::Seconds(10));
  rig.clock.Advance(absl::Seconds(10));
  rig.broker.RunDeadlines();
  EXPECT_TRUE(rig.reports.empty());
  rig.clock.Advance(absl::Seconds(3));
  rig.Run();
  EXPECT_EQ(Said().verdict.kind, Kind::kHeld);
  EXPECT_EQ(Report().deadline - Report().began, absl::Seconds(10));
  EXPECT_EQ(Report().ended - Report().began, absl::Seconds(13));
}

// A driver that hangs in a call keeps the worker that would count.
TEST_F(Revocation, IsHeldSoonAfterItsDeadlineThoughTheDeviceHangs) {
  EXPECT_EQ(rig.Revoke({buffer}, absl::Seconds(5)), "OK");
  for (const absl::Duration by : {absl::Seconds(5), Revocations::kCountPatience}) {
    EXPECT_TRUE(rig.reports.empty());
    rig.clock.Advance(by);
    rig.broker.RunDeadlines();
  }
  EXPECT_EQ(Said().verdict.kind, Kind::kHeld);
  EXPECT_EQ(Said().verdict.references, 2u);
  EXPECT_TRUE(Said().verdict.counted_late);
  EXPECT_NE(rig.observer.Last(EventKind::kBufferVerdict).text.find("not counted"),
            std::string::npos);
}

TEST_F(Revocation, WaitsForCountsAsLongAsTheyAreAnswered) {
  const BufferId second = rig.Buffer(alice, "second");
  rig.Hold(second, 1);
  EXPECT_EQ(rig.Revoke({buffer, second}, absl::Seconds(5)), "OK");
  rig.clock.Advance(absl::Seconds(5));
  rig.broker.RunDeadlines();
  for (int counted = 0; counted < 2; ++counted) {
    rig.clock.Advance(Revocations::kCountPatience * 3 / 4);
    rig.broker.RunDeadlines();
    EXPECT_TRUE(rig.reports.empty());
    EXPECT_TRUE(rig.device.WorkOnCount() && rig.device.Deliver());
  }
  ASSERT_EQ(Report().verdicts.size(), 2u);
  for (const BufferVerdict& verdict : Report().verdicts)
    EXPECT_FALSE(verdict.verdict.counted_late) << verdict.name;
}

TEST_F(Revocation, OfABufferThatDrainsAlreadyWaitsForItToo) {
  Release(alice, alices, 1);
  Release(bob, bobs, 1);
  EXPECT_EQ(rig.Revoke({buffer}, absl::Seconds(10)), "OK");
  EXPECT_EQ(rig.Find(buffer)->state, BufferState::kDraining);
  rig.Advance(absl::Seconds(10));
  EXPECT_EQ(Said().verdict.kind, Kind::kHeld);
}

TEST_F(Revocation, CanBeRepeatedAfterHeldButTellsNobodyTwiceWhoIsOverdue) {
  rig.Revoke({buffer}, absl::Seconds(1));
  rig.Advance(absl::Seconds(2));
  EXPECT_EQ(rig.Revoke({buffer}, absl::Seconds(1)), "OK");
  EXPECT_EQ(bob.notices.revokes.size(), 1u);
  rig.Hold(buffer, 1);
  rig.Advance(absl::Seconds(2));
  ASSERT_EQ(rig.reports.size(), 2u);
  EXPECT_EQ(rig.reports[1].verdicts.at(0).verdict.kind, Kind::kHeld);
  EXPECT_EQ(rig.reports[1].verdicts.at(0).verdict.references, 1u);
}

// What a session that does not read is told waits in the daemon's memory.
TEST_F(Revocation, TellsALeaseAgainOnlyWhenItIsDueEarlier) {
  for (int i = 0; i < 100; ++i) rig.Revoke({buffer}, absl::Seconds(30));
  EXPECT_EQ(bob.notices.revokes.size(), 1u);
  rig.Revoke({buffer}, absl::Seconds(10));
  ASSERT_EQ(bob.notices.revokes.size(), 2u);
  EXPECT_EQ(bob.notices.revokes[1].deadline, rig.clock.Now() + absl::Seconds(10));
  rig.Advance(absl::Seconds(31));
  EXPECT_EQ(rig.reports.size(), 101u);
  EXPECT_EQ(rig.reports.front().leases_told, 2u) << "the last one, whose deadline came first";
  EXPECT_EQ(rig.reports.back().sessions_told, 0u);
}

TEST_F(Revocation, RunsBesideAnotherOneOfTheSameBuffer) {
  rig.Revoke({buffer}, absl::Seconds(30));
  rig.Revoke({buffer}, absl::Seconds(10));
  rig.Advance(absl::Seconds(10));
  ASSERT_EQ(rig.reports.size(), 1u) << "the one whose deadline has passed";
  EXPECT_EQ(rig.reports[0].verdicts.at(0).verdict.kind, Kind::kHeld);
  Release(alice, alices, 1);
  Release(bob, bobs, 0);
  ASSERT_EQ(rig.reports.size(), 2u);
  EXPECT_EQ(rig.reports[1].verdicts.at(0).verdict.kind, Kind::kProven);
}

TEST_F(Revocation, GivesEachBufferItsOwnVerdict) {
  const LeaseId other = alice.Allocate("other");
  const BufferId quick = rig.Find(other)->buffer->id;
  rig.Revoke({buffer, quick}, absl::Seconds(10));
  alice.Release(other);
  rig.Run();
  EXPECT_EQ(rig.observer.Last(EventKind::kBufferVerdict).buffer, quick);
  EXPECT_TRUE(rig.reports.empty());
  rig.Advance(absl::Seconds(10));
  ASSERT_EQ(Report().verdicts.size(), 2u);
  EXPECT_EQ(Report().verdicts[0].buffer, quick);
  EXPECT_EQ(Report().verdicts[0].verdict.kind, Kind::kProven);
  EXPECT_EQ(Report().verdicts[1].verdict.kind, Kind::kHeld);
}

TEST_F(Revocation, OfABufferNamedTwiceRevokesItOnce) {
  EXPECT_EQ(rig.Revoke({buffer, buffer, buffer}, absl::Seconds(1)), "OK");
  EXPECT_EQ(bob.notices.revokes.at(0).leases.size(), 1u);
  EXPECT_EQ(rig.Find(buffer)->revocations.size(), 1u);
  rig.Hold(buffer, 0);
  rig.Advance(absl::Seconds(1));
  EXPECT_EQ(Said().verdict.kind, Kind::kProven);
  EXPECT_EQ(Report().leases_told, 2u);
}

TEST_F(Revocation, OfNothingEndsAtOnce) {
  EXPECT_EQ(rig.Revoke({}), "OK");
  EXPECT_TRUE(Report().verdicts.empty());
  EXPECT_EQ(Report().sessions_told, 0u);
}

TEST_F(Revocation, OfAnUnknownOrFreedBufferRevokesNothing) {
  EXPECT_EQ(rig.Revoke({buffer, BufferId{999}}), "NOT_FOUND");
  const LeaseId other = alice.Allocate();
  const BufferId freed = rig.Find(other)->buffer->id;
  alice.Release(other);
  rig.device.WorkOnCount();
  rig.device.Deliver();
  EXPECT_EQ(rig.Revoke({buffer, freed}), "NOT_FOUND") << "it is on its way back to the device";
  rig.Run();
  EXPECT_EQ(rig.Revoke({buffer, freed}), "GONE");
  EXPECT_EQ(rig.Find(buffer)->state, BufferState::kLive);
  EXPECT_TRUE(bob.notices.revokes.empty());
}

TEST_F(Revocation, IsToldAsEventsFromBeginningToEnd) {
  rig.Revoke({buffer}, absl::Seconds(10));
  const RevocationId id = rig.observer.Last(EventKind::kRevocationBegan).revocation;
  EXPECT_TRUE(id);
  rig.Advance(absl::Seconds(10));
  EXPECT_EQ(rig.observer.Last(EventKind::kBufferVerdict).text,
            "HELD: 2 references and 2 leases are still out; `hl-bufctl holders " + IdText(buffer) +
                "`, as root, shows who has it");
  EXPECT_EQ(rig.observer.Last(EventKind::kBufferVerdict).revocation, id);
  EXPECT_EQ(rig.observer.Last(EventKind::kBufferVerdict).verdict->references, 2u);
  EXPECT_EQ(rig.observer.Last(EventKind::kRevocationEnded).revocation, id);
  EXPECT_EQ(rig.observer.Last(EventKind::kRevocationEnded).text, "1 verdict after 10s");
  EXPECT_EQ(Report().id, id);
}

// What an operator does next may well be another request.
TEST_F(Revocation, LetsWhoeverHearsTheVerdictAskForMore) {
  std::vector<std::string> codes;
  rig.broker
      .RevokeBuffers({buffer}, absl::Seconds(10),
                     [&](const RevocationReport&) {
                       codes.push_back(rig.Revoke({buffer}));
                       codes.push_back(rig.Reset());
                       codes.push_back(CodeOf(alice.Open(buffer)));
                     })
      .IgnoreError();
  Release(alice, alices, 0);
  Release(bob, bobs, 0);
  EXPECT_EQ(codes, (std::vector<std::string>{"NOT_FOUND", "OK", "GONE"}));
  EXPECT_EQ(rig.device.calls.at(rig.device.calls.size() - 3), "free 1");
  EXPECT_EQ(rig.device.calls.at(rig.device.calls.size() - 2), "reset");
}

TEST_F(UncountedRevocation, IsAcknowledgedAndNeverProven) {
  rig.Revoke({buffer});
  Release(alice, alices, 5);
  EXPECT_TRUE(rig.reports.empty());
  Release(bob, bobs, 5);
  EXPECT_EQ(Said().verdict.kind, Kind::kAcknowledged);
  EXPECT_EQ(rig.observer.Last(EventKind::kBufferVerdict).text, "ACKNOWLEDGED");
}

TEST_F(UncountedRevocation, IsHeldAtItsDeadlineByAsManyLeasesAsAreOut) {
  rig.Revoke({buffer}, absl::Seconds(10));
  Release(alice, alices, 0);
  rig.clock.Advance(absl::Seconds(10));
  rig.broker.RunDeadlines();
  EXPECT_EQ(Said().verdict.kind, Kind::kHeld) << "nothing else to wait for";
  EXPECT_EQ(Said().verdict.references, 1u);
  EXPECT_EQ(Said().holders.at(0).session, bob.session().id);
}

TEST_F(UncountedRevocation, FreesTheBufferWhenTheLastOverdueLeaseEnds) {
  rig.Revoke({buffer}, absl::Seconds(10));
  rig.Advance(absl::Minutes(1));
  alice.Die();
  rig.Run();
  EXPECT_EQ(rig.Find(buffer)->state, BufferState::kDraining);
  Release(bob, bobs, 0);
  EXPECT_EQ(rig.Find(buffer), nullptr);
}

TEST_F(UncountedRevocation, CanBeRepeatedAfterHeld) {
  rig.Revoke({buffer}, absl::Seconds(1));
  rig.Advance(absl::Seconds(1));
  rig.Revoke({buffer}, absl::Seconds(1));
  rig.Advance(absl::Seconds(1));
  ASSERT_EQ(rig.reports.size(), 2u);
  EXPECT_EQ(rig.reports[1].verdicts.at(0).verdict.references, 2u);
}

TEST(Revocations, OfManyBuffersTellASessionOnce) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  std::vector<BufferId> buffers;
  for (int i = 0; i < 500; ++i) buffers.push_back(rig.Buffer(alice));
  rig.Revoke(buffers);
  ASSERT_EQ(alice.notices.revokes.size(), 1u);
  EXPECT_EQ(alice.notices.revokes[0].leases.size(), 500u);
  alice.Die();
  rig.Run();
  ASSERT_EQ(rig.reports.size(), 1u);
  EXPECT_EQ(rig.reports[0].verdicts.size(), 500u);
}

TEST(Texts, AreThoseOfThePages) {
  EXPECT_EQ(VerdictText(Kind::kProven), "PROVEN");
  EXPECT_EQ(VerdictText(Kind::kAcknowledged), "ACKNOWLEDGED");
  EXPECT_EQ(VerdictText(Kind::kHeld), "HELD");
  EXPECT_EQ(RevokeReasonText(RevokeReason::kReset), "device reset");
  EXPECT_EQ(RevokeReasonText(RevokeReason::kUnshared), "no longer shared");
  EXPECT_EQ(EventKindText(EventKind::kDeviceState), "DEVICE_STATE");
  EXPECT_EQ(EventKindText(EventKind::kReferencesOutliveLeases), "REFERENCES_OUTLIVE_LEASES");
}

}  // namespace
}  // namespace hlbuf
