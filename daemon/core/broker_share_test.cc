// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "tests/support/broker_rig.h"

namespace hlbuf {
namespace {

constexpr Grantee Uid(std::uint32_t id) { return {.kind = Grantee::Kind::kUid, .id = id}; }
constexpr Grantee Gid(std::uint32_t id) { return {.kind = Grantee::Kind::kGid, .id = id}; }

Peer InGroup(uid_t uid, gid_t group) {
  Peer peer = PeerOf(uid);
  peer.groups = {50, group, kClientsGid};
  std::sort(peer.groups.begin(), peer.groups.end());
  return peer;
}

TEST(Share, OpensTheBufferToAUid) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  const BufferId buffer = rig.Buffer(alice);
  EXPECT_EQ(alice.Share(buffer, Uid(1001)), "OK");
  EXPECT_EQ(CodeOf(rig.Connect(PeerOf(1001)).Open(buffer)), "OK");
  EXPECT_EQ(CodeOf(rig.Connect(PeerOf(1002)).Open(buffer)), "PERMISSION_DENIED");
}

TEST(Share, OpensTheBufferToAGroup) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  const BufferId buffer = rig.Buffer(alice);
  EXPECT_EQ(alice.Share(buffer, Gid(60)), "OK");
  EXPECT_EQ(CodeOf(rig.Connect(InGroup(1001, 60)).Open(buffer)), "OK");
  EXPECT_EQ(CodeOf(rig.Connect(InGroup(1002, 61)).Open(buffer)), "PERMISSION_DENIED");
}

TEST(Share, IsTheOwnersDomainsToGive) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  FakeClient& bob = rig.Connect(PeerOf(1001));
  const BufferId buffer = rig.Buffer(alice, "secret");
  alice.Share(buffer, Uid(1001));
  EXPECT_TRUE(bob.Open(buffer).ok());
  EXPECT_EQ(bob.Share(buffer, Uid(1002)), "PERMISSION_DENIED");
  EXPECT_EQ(bob.Unshare(buffer, Uid(1001)), "PERMISSION_DENIED");
  EXPECT_EQ(rig.Connect(PeerOf(1000)).Share(buffer, Uid(1002)), "OK");
}

TEST(Share, NamesSomebody) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  const BufferId buffer = rig.Buffer(alice);
  for (const std::uint32_t nobody : {65534u, UINT32_MAX}) {
    EXPECT_EQ(alice.Share(buffer, Uid(nobody)), "INVALID_ARGUMENT");
    EXPECT_EQ(alice.Share(buffer, Gid(nobody)), "INVALID_ARGUMENT");
  }
}

TEST(Share, NeedsABuffer) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  const LeaseId lease = alice.Allocate();
  const BufferId buffer = rig.Find(lease)->buffer->id;
  EXPECT_EQ(alice.Share(BufferId{999}, Uid(1001)), "NOT_FOUND");
  alice.Release(lease);
  rig.Run();
  EXPECT_EQ(alice.Share(buffer, Uid(1001)), "GONE");
  EXPECT_EQ(rig.Connect(PeerOf(1001)).Unshare(buffer, Uid(1001)), "NOT_FOUND");
}

TEST(Share, ComesTooLateForABufferThatEnds) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  const LeaseId lease = alice.Allocate();
  const BufferId buffer = rig.Find(lease)->buffer->id;
  rig.Hold(buffer, 1);
  rig.Revoke({buffer});
  EXPECT_EQ(alice.Share(buffer, Uid(1001)), "REVOKED");
  alice.Release(lease);
  rig.Run();
  EXPECT_EQ(alice.Share(buffer, Uid(1001)), "GONE");
  EXPECT_EQ(alice.Unshare(buffer, Uid(1001)), "OK");
  EXPECT_TRUE(rig.Find(buffer)->shares.empty());
}

TEST(Share, TwiceIsOnce) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  const BufferId buffer = rig.Buffer(alice);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(alice.Share(buffer, Uid(1001)), "OK");
  EXPECT_EQ(rig.Find(buffer)->shares.size(), 1u);
  EXPECT_EQ(alice.Unshare(buffer, Uid(1001)), "OK");
  EXPECT_EQ(CodeOf(rig.Connect(PeerOf(1001)).Open(buffer)), "PERMISSION_DENIED");
}

TEST(Share, IsBoundedInNumber) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  const BufferId buffer = rig.Buffer(alice);
  for (std::uint32_t uid = 1; uid <= 64; ++uid) EXPECT_EQ(alice.Share(buffer, Uid(uid)), "OK");
  EXPECT_EQ(alice.Share(buffer, Uid(65)), "QUOTA_EXCEEDED");
  EXPECT_EQ(alice.Unshare(buffer, Uid(1)), "OK");
  EXPECT_EQ(alice.Share(buffer, Uid(65)), "OK");
}

TEST(Unshare, AsksBackWhatOnlyThatShareAllowed) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  FakeClient& bob = rig.Connect(PeerOf(1001));
  const BufferId buffer = rig.Buffer(alice);
  alice.Share(buffer, Uid(1001));
  const LeaseId lease = bob.Open(buffer)->lease;
  const LeaseId another = bob.Open(buffer)->lease;
  EXPECT_EQ(alice.Unshare(buffer, Uid(1001)), "OK");
  EXPECT_EQ(rig.Find(lease)->state, LeaseState::kRevoking);
  ASSERT_EQ(bob.notices.revokes.size(), 1u) << "one notice for both";
  EXPECT_EQ(bob.notices.revokes[0].reason, RevokeReason::kUnshared);
  EXPECT_EQ(bob.notices.revokes[0].leases.size(), 2u);
  EXPECT_EQ(bob.notices.revokes[0].deadline,
            rig.clock.Now() + rig.broker.settings().operator_grace);
  EXPECT_TRUE(alice.notices.revokes.empty());
  EXPECT_EQ(CodeOf(bob.Open(buffer)), "PERMISSION_DENIED");
  EXPECT_EQ(CodeOf(rig.broker.GrantOf(another)), "REVOKED");
  EXPECT_EQ(rig.Find(buffer)->state, BufferState::kLive);
}

TEST(Unshare, LeavesALeaseThatAnotherShareAllowsToo) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  FakeClient& bob = rig.Connect(InGroup(1001, 60));
  const BufferId buffer = rig.Buffer(alice);
  alice.Share(buffer, Uid(1001));
  alice.Share(buffer, Gid(60));
  const LeaseId lease = bob.Open(buffer)->lease;
  alice.Unshare(buffer, Uid(1001));
  EXPECT_EQ(rig.Find(lease)->state, LeaseState::kActive);
  EXPECT_EQ(rig.Find(lease)->share, Gid(60));
  alice.Unshare(buffer, Gid(60));
  EXPECT_EQ(rig.Find(lease)->state, LeaseState::kRevoking);
}

TEST(Unshare, LeavesALeaseThatARuleAllowsToo) {
  BrokerRig rig(
      {.rules = {
           {.name = "carol-reads-all", .allow = true, .verbs = {Verb::kOpen}, .uids = {1002}}}});
  FakeClient& alice = rig.Connect(PeerOf(1000));
  FakeClient& carol = rig.Connect(PeerOf(1002));
  const BufferId buffer = rig.Buffer(alice);
  alice.Share(buffer, Uid(1002));
  const LeaseId lease = carol.Open(buffer)->lease;
  alice.Unshare(buffer, Uid(1002));
  EXPECT_EQ(rig.Find(lease)->state, LeaseState::kActive);
}

TEST(Unshare, LeavesTheOwnersOwnLeases) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  const BufferId buffer = rig.Buffer(alice);
  alice.Share(buffer, Uid(1000));
  const LeaseId lease = alice.Open(buffer)->lease;
  alice.Unshare(buffer, Uid(1000));
  EXPECT_EQ(rig.Find(lease)->state, LeaseState::kActive);
}

TEST(Unshare, LeavesTheBufferLiveWhenItsLeaseIsReleased) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  FakeClient& bob = rig.Connect(PeerOf(1001));
  const BufferId buffer = rig.Buffer(alice);
  alice.Share(buffer, Uid(1001));
  const LeaseId lease = bob.Open(buffer)->lease;
  alice.Unshare(buffer, Uid(1001));
  bob.Release(lease);
  rig.Advance(absl::Minutes(1));
  EXPECT_EQ(rig.Find(buffer)->state, BufferState::kLive);
}

TEST(Unshare, MakesTheLeaseOverdueAfterItsDeadline) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  FakeClient& bob = rig.Connect(PeerOf(1001));
  const BufferId buffer = rig.Buffer(alice);
  alice.Share(buffer, Uid(1001));
  const LeaseId lease = bob.Open(buffer)->lease;
  alice.Unshare(buffer, Uid(1001));
  rig.Advance(rig.broker.settings().operator_grace - absl::Seconds(1));
  EXPECT_EQ(rig.Find(lease)->state, LeaseState::kRevoking);
  rig.Advance(absl::Seconds(1));
  EXPECT_EQ(rig.Find(lease)->state, LeaseState::kOverdue);
  bob.Release(lease);
  EXPECT_EQ(rig.Find(lease), nullptr);
}

TEST(Unshare, TellsWhatItAskedBackAndWhoKeepsIt) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  FakeClient& bob = rig.Connect(PeerOf(1001));
  const BufferId buffer = rig.Buffer(alice);
  alice.Share(buffer, Uid(1001));
  const LeaseId kept = bob.Open(buffer)->lease;
  const LeaseId given_back = bob.Open(buffer)->lease;
  alice.Unshare(buffer, Uid(1001));
  const Event began = rig.observer.Last(EventKind::kRevocationBegan);
  EXPECT_EQ(began.buffer, buffer);
  EXPECT_EQ(began.domain, PeerOf(1000).domain());
  EXPECT_FALSE(began.revocation);
  EXPECT_EQ(began.text, "no longer shared: 2 leases of 1 session, due in 10s");
  bob.Release(given_back);
  rig.Advance(rig.broker.settings().operator_grace);
  EXPECT_EQ(rig.observer.Count(EventKind::kRevocationEnded), 1u);
  const Event overdue = rig.observer.Last(EventKind::kRevocationEnded);
  EXPECT_EQ(overdue.buffer, buffer);
  EXPECT_EQ(overdue.lease, kept);
  EXPECT_EQ(overdue.session, bob.session().id);
  EXPECT_EQ(overdue.pid, bob.session().peer.pid);
  EXPECT_EQ(overdue.text, "OVERDUE: the lease was asked back and is still out");
}

TEST(Unshare, TellsNothingWhenNobodyHasALease) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  const BufferId buffer = rig.Buffer(alice);
  alice.Share(buffer, Uid(1001));
  alice.Unshare(buffer, Uid(1001));
  EXPECT_EQ(rig.observer.Count(EventKind::kRevocationBegan), 0u);
}

// A client could fill the memory of the daemon otherwise.
TEST(Unshare, LeavesNothingBehindHoweverOftenItIsAsked) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  FakeClient& bob = rig.Connect(PeerOf(1001));
  const BufferId buffer = rig.Buffer(alice);
  alice.Unshare(buffer, Uid(1001));
  EXPECT_EQ(rig.broker.NextDeadline(), absl::InfiniteFuture());
  alice.Share(buffer, Uid(1001));
  const LeaseId lease = bob.Open(buffer)->lease;
  for (int i = 0; i < 5; ++i) alice.Unshare(buffer, Uid(1001));
  EXPECT_EQ(bob.notices.revokes.size(), 1u);
  bob.Release(lease);
  EXPECT_EQ(rig.broker.NextDeadline(), absl::InfiniteFuture());
}

TEST(Unshare, DoesNotTellAgainWhatAResetAsksBackAlready) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  FakeClient& bob = rig.Connect(PeerOf(1001));
  const BufferId buffer = rig.Buffer(alice);
  alice.Share(buffer, Uid(1001));
  bob.Open(buffer).IgnoreError();
  rig.Reset(absl::Minutes(1));
  EXPECT_EQ(alice.Unshare(buffer, Uid(1001)), "OK");
  ASSERT_EQ(bob.notices.revokes.size(), 1u);
  EXPECT_EQ(bob.notices.revokes[0].reason, RevokeReason::kReset);
}

TEST(Unshare, GoesOverIntoARevocationOfTheBuffer) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  FakeClient& bob = rig.Connect(PeerOf(1001));
  const BufferId buffer = rig.Buffer(alice);
  alice.Share(buffer, Uid(1001));
  const LeaseId lease = bob.Open(buffer)->lease;
  alice.Unshare(buffer, Uid(1001));
  rig.Hold(buffer, 1);
  rig.Revoke({buffer}, absl::Seconds(1));
  rig.Advance(absl::Seconds(1));
  EXPECT_EQ(rig.Find(lease)->state, LeaseState::kOverdue);
  rig.Advance(absl::Minutes(1));
  EXPECT_EQ(rig.Find(lease)->state, LeaseState::kOverdue);
  EXPECT_EQ(bob.notices.revokes.size(), 2u);
}

}  // namespace
}  // namespace hlbuf
