// SPDX-License-Identifier: Apache-2.0
// Asking back everything that a user or a job holds.
#include <gtest/gtest.h>

#include "tests/support/broker_rig.h"
#include "tests/support/texts.h"

namespace hlbuf {
namespace {

using Kind = Verdict::Kind;

class Holdings : public testing::Test {
 protected:
  explicit Holdings(RigOptions options = {}) : rig_(std::move(options)) {}
  static Peer InJob(uid_t uid, std::uint32_t job) {
    Peer peer = PeerOf(uid);
    peer.job = job;
    return peer;
  }
  std::string Revoke(Whose whose, absl::Duration grace = absl::Seconds(10)) {
    return CodeOf(rig_.broker.RevokeHoldings(
        whose, grace, [this](const RevocationReport& report) { rig_.reports.push_back(report); }));
  }
  static Whose User(uid_t uid) { return {.kind = Whose::Kind::kUid, .id = uid}; }
  static Whose Job(std::uint32_t job) { return {.kind = Whose::Kind::kJob, .id = job}; }
  // A buffer of bob's that alice holds, too, by his SHARE.
  LeaseId Shared(FakeClient& bob, FakeClient& alice) {
    const BufferId buffer = rig_.Buffer(bob, "shared");
    EXPECT_EQ(bob.Share(buffer, {.kind = Grantee::Kind::kUid, .id = alice.session().peer.uid}),
              "OK");
    return alice.Open(buffer)->lease;
  }
  const BufferVerdict& OnlyVerdict() const { return rig_.reports.at(0).verdicts.at(0); }

  BrokerRig rig_;
};

TEST_F(Holdings, OfAUserAreAskedBackWhereverItIs) {
  FakeClient& alice = rig_.Connect(PeerOf(1000));
  FakeClient& in_container = rig_.Connect(PeerOf(1000, "c0ffee"));
  FakeClient& bob = rig_.Connect(PeerOf(1001));
  rig_.Buffer(alice);
  rig_.Buffer(in_container);
  const LeaseId of_bob = bob.Allocate();
  Revoke(User(1000));
  EXPECT_EQ(alice.notices.revokes.size(), 1u);
  EXPECT_EQ(in_container.notices.revokes.size(), 1u);
  EXPECT_TRUE(bob.notices.revokes.empty());
  EXPECT_EQ(rig_.Find(of_bob)->state, LeaseState::kActive);
  rig_.Advance(absl::Seconds(10));
  ASSERT_EQ(rig_.reports.size(), 1u);
  EXPECT_EQ(rig_.reports[0].verdicts.size(), 2u);
  EXPECT_EQ(rig_.reports[0].reason, RevokeReason::kOperator);
}

TEST_F(Holdings, OfAJobAreWhatItsSessionsAllocated) {
  FakeClient& of_job = rig_.Connect(InJob(1000, 7));
  FakeClient& of_another = rig_.Connect(InJob(1000, 8));
  FakeClient& of_none = rig_.Connect(PeerOf(1000));
  const BufferId ended = rig_.Buffer(of_job);
  rig_.Buffer(of_another);
  rig_.Buffer(of_none);
  Revoke(Job(7));
  EXPECT_EQ(of_job.notices.revokes.size(), 1u);
  EXPECT_TRUE(of_another.notices.revokes.empty());
  EXPECT_TRUE(of_none.notices.revokes.empty());
  EXPECT_EQ(rig_.Find(ended)->state, BufferState::kRevoking);
}

// As an epilog finds it: the processes are dead, but somebody has a descriptor of theirs.
TEST_F(Holdings, OfAJobOutliveItsProcesses) {
  FakeClient& of_job = rig_.Connect(InJob(1000, 7));
  const BufferId buffer = rig_.Buffer(of_job);
  rig_.Hold(buffer, 1);
  of_job.Die();
  Revoke(Job(7), absl::Seconds(1));
  rig_.Advance(absl::Seconds(3));
  EXPECT_EQ(OnlyVerdict().buffer, buffer);
  EXPECT_EQ(OnlyVerdict().verdict.kind, Kind::kHeld);
  EXPECT_TRUE(OnlyVerdict().holders.empty());
}

TEST_F(Holdings, EndForThoseWhoWereGivenThemToo) {
  FakeClient& alice = rig_.Connect(PeerOf(1000));
  FakeClient& bob = rig_.Connect(PeerOf(1001));
  Shared(bob, alice);
  Revoke(User(1001));
  ASSERT_EQ(alice.notices.revokes.size(), 1u);
  EXPECT_EQ(alice.notices.revokes[0].reason, RevokeReason::kOperator);
  EXPECT_EQ(bob.notices.revokes.size(), 1u);
}

TEST_F(Holdings, OfOthersBuffersLeaveThoseToTheOthers) {
  FakeClient& alice = rig_.Connect(PeerOf(1000));
  FakeClient& bob = rig_.Connect(PeerOf(1001));
  const LeaseId lease = Shared(bob, alice);
  const BufferId buffer = rig_.Find(lease)->buffer->id;
  Revoke(User(1000));
  ASSERT_EQ(alice.notices.revokes.size(), 1u);
  EXPECT_EQ(alice.notices.revokes[0].leases.at(0).lease, lease);
  EXPECT_TRUE(bob.notices.revokes.empty());
  EXPECT_EQ(rig_.Find(buffer)->state, BufferState::kLive);
  EXPECT_TRUE(rig_.reports.empty());
  alice.Release(lease);
  ASSERT_EQ(rig_.reports.size(), 1u);
  EXPECT_EQ(OnlyVerdict().buffer, buffer);
  EXPECT_EQ(OnlyVerdict().name, "shared");
  EXPECT_EQ(OnlyVerdict().owner.uid, 1001u);
  EXPECT_EQ(OnlyVerdict().verdict.kind, Kind::kAcknowledged);
  EXPECT_FALSE(rig_.Find(buffer)->verdict.has_value());
  EXPECT_TRUE(bob.Open(buffer).ok());
}

TEST_F(Holdings, OfOthersBuffersAreHeldByWhoDoesNotLetGo) {
  FakeClient& alice = rig_.Connect(PeerOf(1000));
  FakeClient& bob = rig_.Connect(PeerOf(1001));
  const LeaseId lease = Shared(bob, alice);
  rig_.Hold(rig_.Find(lease)->buffer->id, 5);
  Revoke(User(1000), absl::Seconds(2));
  rig_.Advance(absl::Seconds(2));
  EXPECT_EQ(OnlyVerdict().verdict.kind, Kind::kHeld);
  EXPECT_EQ(OnlyVerdict().verdict.references, 1u) << "the count says nothing of whose they are";
  ASSERT_EQ(OnlyVerdict().holders.size(), 1u);
  EXPECT_EQ(OnlyVerdict().holders[0].session, alice.session().id);
  EXPECT_EQ(rig_.Find(lease)->state, LeaseState::kOverdue);
  EXPECT_EQ(rig_.observer.Last(EventKind::kBufferVerdict).device, "fake0");
  alice.Release(lease);
  EXPECT_EQ(rig_.reports.size(), 1u) << "late, but welcome";
}

TEST_F(Holdings, OfOneBufferAreOneVerdictThatWaitsForAllOfThem) {
  FakeClient& alice = rig_.Connect(PeerOf(1000));
  FakeClient& bob = rig_.Connect(PeerOf(1001));
  const LeaseId first = Shared(bob, alice);
  const LeaseId second = alice.Open(rig_.Find(first)->buffer->id)->lease;
  Revoke(User(1000));
  EXPECT_EQ(alice.notices.revokes.at(0).leases.size(), 2u) << "one notice";
  alice.Release(first);
  EXPECT_TRUE(rig_.reports.empty());
  alice.Release(second);
  ASSERT_EQ(rig_.reports.size(), 1u);
  EXPECT_EQ(rig_.reports[0].verdicts.size(), 1u);
  EXPECT_EQ(rig_.reports[0].leases_told, 2u);
  EXPECT_EQ(rig_.reports[0].sessions_told, 1u);
}

TEST_F(Holdings, EndWithTheSession) {
  FakeClient& alice = rig_.Connect(PeerOf(1000));
  FakeClient& bob = rig_.Connect(PeerOf(1001));
  Shared(bob, alice);
  rig_.Buffer(alice);
  Revoke(User(1000));
  alice.Die();
  rig_.Run();
  ASSERT_EQ(rig_.reports.size(), 1u);
  EXPECT_EQ(rig_.reports[0].verdicts.size(), 2u);
}

// The second one says of when its session was told, and what it said to the first is an answer.
TEST_F(Holdings, MayBeAskedBackTwice) {
  FakeClient& alice = rig_.Connect(PeerOf(1000));
  FakeClient& bob = rig_.Connect(PeerOf(1001));
  const LeaseId lease = Shared(bob, alice);
  Revoke(User(1000), absl::Seconds(10));
  Revoke(User(1000), absl::Seconds(2));
  EXPECT_EQ(alice.notices.revokes.size(), 2u) << "the deadline moved forward";
  rig_.Advance(absl::Seconds(2));
  EXPECT_EQ(rig_.reports.size(), 1u);
  EXPECT_EQ(rig_.Find(lease)->state, LeaseState::kOverdue);
  alice.Release(lease);
  ASSERT_EQ(rig_.reports.size(), 2u);
  EXPECT_EQ(rig_.reports[1].verdicts.at(0).verdict.kind, Kind::kAcknowledged);
  rig_.Advance(absl::Minutes(1));
}

TEST_F(Holdings, MayHaveLostTheirShareBefore) {
  FakeClient& alice = rig_.Connect(PeerOf(1000));
  FakeClient& bob = rig_.Connect(PeerOf(1001));
  const LeaseId lease = Shared(bob, alice);
  bob.Unshare(rig_.Find(lease)->buffer->id, {.kind = Grantee::Kind::kUid, .id = 1000});
  Revoke(User(1000), absl::Minutes(1));
  EXPECT_EQ(alice.notices.revokes.size(), 1u) << "it knows an earlier deadline";
  rig_.Advance(rig_.broker.settings().operator_grace);
  EXPECT_EQ(rig_.Find(lease)->state, LeaseState::kOverdue);
  EXPECT_TRUE(rig_.reports.empty());
  rig_.Advance(absl::Minutes(1));
  EXPECT_EQ(OnlyVerdict().verdict.kind, Kind::kHeld);
}

TEST_F(Holdings, ThatAreNoneAreOverAtOnce) {
  rig_.Buffer(rig_.Connect(PeerOf(1000)));
  EXPECT_EQ(Revoke(User(1001)), "OK");
  ASSERT_EQ(rig_.reports.size(), 1u);
  EXPECT_TRUE(rig_.reports[0].verdicts.empty());
}

TEST_F(Holdings, AreNotAddedToByWhatWasBeingAllocated) {
  FakeClient& of_job = rig_.Connect(InJob(1000, 7));
  std::string answer;
  rig_.broker.Allocate(of_job.session(), {.size_bytes = kPage},
                       [&answer](const absl::StatusOr<LeaseId>& lease) { answer = CodeOf(lease); });
  Revoke(Job(7));
  rig_.Run();
  EXPECT_EQ(answer, "REVOKED");
  EXPECT_EQ(rig_.device.allocated(), 0u);
  EXPECT_EQ(of_job.TryAllocate({.size_bytes = 1}), "OK") << "what comes later is another matter";
}

// Whoever has no job has this number.
TEST_F(Holdings, OfNoJobAreNobodys) {
  FakeClient& alice = rig_.Connect(PeerOf(1000));
  rig_.Buffer(alice);
  EXPECT_EQ(Revoke(Job(0)), "INVALID_ARGUMENT");
  EXPECT_TRUE(alice.notices.revokes.empty());
  EXPECT_TRUE(rig_.reports.empty());
}

TEST_F(Holdings, SayWhoHasNotReadItsLastGrant) {
  FakeClient& alice = rig_.Connect(PeerOf(1000));
  FakeClient& carol = rig_.Connect(PeerOf(1000));
  FakeClient& bob = rig_.Connect(PeerOf(1001));
  Shared(bob, alice);
  EXPECT_TRUE(carol.Open(rig_.broker.ledger().registry.in_order().begin()->first).ok());
  for (FakeClient* client : {&alice, &carol})
    ASSERT_TRUE(rig_.broker.TakeInFlight(client->session(), 1).ok());
  carol.notices.on_sweep = [&] { rig_.broker.GiveBackInFlight(carol.session()); };
  Revoke(User(1000), absl::Seconds(2));
  rig_.Advance(absl::Seconds(2));
  ASSERT_EQ(OnlyVerdict().holders.size(), 2u);
  for (const Holder& holder : OnlyVerdict().holders)
    EXPECT_EQ(holder.unread_grant, holder.session == alice.session().id);
  rig_.broker.GiveBackInFlight(alice.session());
}

TEST_F(Holdings, AreCountedInWords) {
  FakeClient& alice = rig_.Connect(PeerOf(1000));
  rig_.Hold(rig_.Buffer(alice), 1);
  Revoke(User(1000), absl::Seconds(2));
  EXPECT_EQ(rig_.observer.Last(EventKind::kRevocationBegan).text,
            "asked back by an operator: 1 buffer, 1 lease");
  rig_.Advance(absl::Seconds(3));
  EXPECT_TRUE(StartsWith(rig_.observer.Last(EventKind::kBufferVerdict).text,
                         "HELD: 1 reference and 1 lease are still out"));
  EXPECT_TRUE(StartsWith(rig_.observer.Last(EventKind::kRevocationEnded).text, "1 verdict after"));
}

TEST_F(Holdings, TakeMillisecondsAtTheShortest) {
  FakeClient& alice = rig_.Connect(PeerOf(1000));
  rig_.Hold(rig_.Buffer(alice), 1);
  const absl::Duration grace = absl::Microseconds(1'234'567);
  Revoke(User(1000), grace);
  rig_.Advance(grace);
  EXPECT_EQ(rig_.observer.Last(EventKind::kRevocationEnded).text, "1 verdict after 1.234s");
}

RigOptions Card() {
  RigOptions options;
  options.traits.survives_reset = false;
  return options;
}
struct CardHoldings : Holdings {
  CardHoldings() : Holdings(Card()) {}
};

// Nobody let go of them: what ended them was the reset.
TEST_F(CardHoldings, OfOthersBuffersThatAResetTakesAreHeld) {
  rig_.observer.leases_wanted = true;
  FakeClient& alice = rig_.Connect(PeerOf(1000));
  FakeClient& bob = rig_.Connect(PeerOf(1001));
  const LeaseId lease = Shared(bob, alice);
  rig_.Hold(rig_.Find(lease)->buffer->id, 2);
  Revoke(User(1000), absl::Minutes(1));
  rig_.Reset(absl::ZeroDuration());
  rig_.Advance(absl::Milliseconds(1));
  EXPECT_EQ(rig_.Find(lease), nullptr);
  ASSERT_EQ(rig_.reports.size(), 1u);
  EXPECT_EQ(OnlyVerdict().verdict.kind, Kind::kHeld);
  ASSERT_EQ(OnlyVerdict().holders.size(), 1u);
  EXPECT_EQ(OnlyVerdict().holders[0].session, alice.session().id);
  for (const Event& ended : rig_.observer.Of(EventKind::kLeaseEnded))
    EXPECT_TRUE(StartsWith(ended.text, "given up in a reset")) << ended.text;
}

}  // namespace
}  // namespace hlbuf
