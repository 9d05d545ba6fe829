// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "tests/support/broker_rig.h"

namespace hlbuf {
namespace {

constexpr Grantee kBob = {.kind = Grantee::Kind::kUid, .id = 1001};

TEST(Open, GrantsALeaseOfItsOwnEachTime) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  const BufferId buffer = rig.Buffer(alice);
  const Grant first = *alice.Open(buffer);
  const Grant second = *alice.Open(buffer);
  EXPECT_NE(first.lease, second.lease);
  EXPECT_EQ(first.buffer, buffer);
  EXPECT_EQ(first.size_bytes, kPage);
  EXPECT_EQ(first.epoch, 1u);
  EXPECT_EQ(first.fd, rig.Find(buffer)->allocation.fd.get());
  EXPECT_EQ(rig.Find(buffer)->leases.size(), 3u);
}

TEST(Open, IsForTheOwnersDomain) {
  BrokerRig rig;
  const BufferId buffer = rig.Buffer(rig.Connect(PeerOf(1000)));
  EXPECT_EQ(CodeOf(rig.Connect(PeerOf(1000)).Open(buffer)), "OK");
  EXPECT_EQ(CodeOf(rig.Connect(PeerOf(1001)).Open(buffer)), "PERMISSION_DENIED");
  EXPECT_EQ(CodeOf(rig.Connect(PeerOf(1000, "pod")).Open(buffer)), "PERMISSION_DENIED");
  EXPECT_EQ(rig.observer.Count(EventKind::kRequestRefused), 2u);
}

TEST(Open, TakesTwoContainersOfOneUidForTwoDomains) {
  BrokerRig rig;
  const BufferId buffer = rig.Buffer(rig.Connect(PeerOf(0, "pod-a")));
  EXPECT_EQ(CodeOf(rig.Connect(PeerOf(0, "pod-a")).Open(buffer)), "OK");
  EXPECT_EQ(CodeOf(rig.Connect(PeerOf(0, "pod-b")).Open(buffer)), "PERMISSION_DENIED");
  EXPECT_EQ(CodeOf(rig.Connect(PeerOf(0)).Open(buffer)), "PERMISSION_DENIED");
}

TEST(Open, IsRefusedToNobodyEvenWhereEverythingIsAllowed) {
  BrokerRig rig({.rules = {{.name = "all", .allow = true}}});
  const BufferId buffer = rig.Buffer(rig.Connect(PeerOf(1000)));
  Peer invisible = PeerOf(1000);
  invisible.pid = 0;
  EXPECT_EQ(CodeOf(rig.Connect(invisible).Open(buffer)), "PERMISSION_DENIED");
  EXPECT_EQ(CodeOf(rig.Connect(PeerOf(65534)).Open(buffer)), "PERMISSION_DENIED");
  EXPECT_EQ(CodeOf(rig.Connect(PeerOf(1001)).Open(buffer)), "OK");
}

TEST(Open, TellsARefusedPeerNoNameOfOthers) {
  BrokerRig rig;
  const BufferId buffer = rig.Buffer(rig.Connect(PeerOf(1000, "0123456789abcdef")), "secret");
  const absl::Status refused = rig.Connect(PeerOf(1001)).Open(buffer).status();
  EXPECT_EQ(refused.message(), "rule 'nothing-matched' refuses uid 1001 to open buffer " +
                                   IdText(buffer) + " of uid 1000; its owner can SHARE it");
}

TEST(Open, FindsTheBufferByItsNameInTheAskersDomain) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  const BufferId buffer = rig.Buffer(alice, "x");
  EXPECT_EQ(alice.OpenByName("x")->buffer, buffer);
  EXPECT_EQ(CodeOf(alice.OpenByName("y")), "NOT_FOUND");
  EXPECT_EQ(CodeOf(alice.OpenByName("no name")), "INVALID_ARGUMENT");
  EXPECT_EQ(CodeOf(alice.OpenByName("")), "INVALID_ARGUMENT");
  EXPECT_EQ(CodeOf(rig.Connect(PeerOf(1001)).OpenByName("x")), "NOT_FOUND");
}

TEST(Open, FindsTheBufferByItsNameAtAnotherOwner) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  FakeClient& bob = rig.Connect(PeerOf(1001));
  const BufferId buffer = rig.Buffer(alice, "x");
  EXPECT_EQ(CodeOf(bob.OpenByName("x", 1000)), "PERMISSION_DENIED");
  EXPECT_EQ(alice.Share(buffer, kBob), "OK");
  EXPECT_EQ(bob.OpenByName("x", 1000)->buffer, buffer);
  EXPECT_EQ(CodeOf(bob.OpenByName("x", 1002)), "NOT_FOUND");
}

TEST(Open, LooksForAnOwnersNameInTheAskersContainerFirst) {
  BrokerRig rig;
  FakeClient& outside = rig.Connect(PeerOf(1000));
  FakeClient& inside = rig.Connect(PeerOf(1000, "pod"));
  FakeClient& asker = rig.Connect(PeerOf(1001, "pod"));
  const BufferId there = rig.Buffer(outside, "x");
  outside.Share(there, kBob);
  EXPECT_EQ(asker.OpenByName("x", 1000)->buffer, there);
  const BufferId here = rig.Buffer(inside, "x");
  inside.Share(here, kBob);
  EXPECT_EQ(asker.OpenByName("x", 1000)->buffer, here);
}

TEST(Open, AnswersEachItemOfABatchInOrder) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  FakeClient& bob = rig.Connect(PeerOf(1001));
  const BufferId mine = rig.Buffer(bob, "mine");
  const BufferId hers = rig.Buffer(alice);
  std::vector<absl::StatusOr<Grant>> results;
  const std::vector<OpenItem> items = {
      {.id = mine}, {.id = hers}, {.id = BufferId{999}}, {.name = "mine"}};
  EXPECT_TRUE(rig.broker.Open(bob.session(), items, results).ok());
  std::vector<std::string> codes;
  for (const auto& result : results) codes.push_back(CodeOf(result));
  EXPECT_EQ(codes, (std::vector<std::string>{"OK", "PERMISSION_DENIED", "NOT_FOUND", "OK"}));
  EXPECT_EQ(bob.session().leases.size(), 3u);
}

TEST(Open, ChargesABatchForWhatItGranted) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  const BufferId buffer = rig.Buffer(alice);
  std::vector<absl::StatusOr<Grant>> results;
  EXPECT_TRUE(
      rig.broker.Open(alice.session(), {{.id = buffer}, {.id = BufferId{9}}}, results).ok());
  EXPECT_TRUE(rig.broker.Open(alice.session(), {}, results).ok());
  EXPECT_TRUE(results.empty());
  EXPECT_EQ(rig.broker.ledger().accounts.service().used(Resource::kLeases), 2u);
}

TEST(Open, RefusesAWholeBatchThatTheLimitsDoNotAllow) {
  QuotaLimits limits = NoLimits();
  limits.uid[static_cast<std::size_t>(Resource::kLeases)] = 3;
  BrokerRig rig({.limits = limits});
  FakeClient& alice = rig.Connect(PeerOf(1000));
  const OpenItem item = {.id = rig.Buffer(alice)};
  std::vector<absl::StatusOr<Grant>> results;
  EXPECT_EQ(CodeOf(rig.broker.Open(alice.session(), {item, item, item}, results)),
            "QUOTA_EXCEEDED");
  EXPECT_TRUE(results.empty());
  EXPECT_EQ(alice.session().leases.size(), 1u);
  EXPECT_EQ(rig.observer.Count(EventKind::kRequestRefused), 1u);
  EXPECT_EQ(CodeOf(rig.broker.Open(alice.session(), {item, item}, results)), "OK");
}

TEST(Open, ChargesTheLeaseToWhoHoldsItNotToTheOwner) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  FakeClient& bob = rig.Connect(PeerOf(1001));
  const BufferId buffer = rig.Buffer(alice);
  alice.Share(buffer, kBob);
  EXPECT_TRUE(bob.Open(buffer).ok());
  EXPECT_EQ(bob.session().account->account.used(Resource::kLeases), 1u);
  EXPECT_EQ(alice.session().account->account.used(Resource::kLeases), 1u);
  EXPECT_EQ(bob.session().account->account.used(Resource::kBytes), 0u);
}

TEST(Open, TellsOneEventHoweverManyItemsOfABatchAreRefused) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  FakeClient& bob = rig.Connect(PeerOf(1001));
  const BufferId hers = rig.Buffer(alice);
  const BufferId his = rig.Buffer(bob);
  std::vector<OpenItem> items(253, {.id = hers});
  items[7] = {.id = his};
  items[8] = {.id = BufferId{999}};
  std::vector<absl::StatusOr<Grant>> results;
  ASSERT_TRUE(rig.broker.Open(bob.session(), items, results).ok());
  EXPECT_EQ(CodeOf(results[0]), "PERMISSION_DENIED");
  EXPECT_EQ(CodeOf(results[252]), "PERMISSION_DENIED");
  EXPECT_TRUE(results[7].ok());
  EXPECT_EQ(rig.observer.Count(EventKind::kRequestRefused), 1u);
  EXPECT_EQ(rig.observer.Last(EventKind::kRequestRefused).text,
            "251 of 253 items refused, the first: " + std::string(results[0].status().message()));
}

TEST(Open, DoesNotSeeABufferThatIsStillAllocated) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  rig.broker.Allocate(alice.session(), {.size_bytes = 1, .name = "x"},
                      [](const absl::StatusOr<LeaseId>&) {});
  const BufferId buffer = rig.broker.ledger().registry.in_order().begin()->first;
  EXPECT_EQ(CodeOf(alice.Open(buffer)), "NOT_FOUND");
  EXPECT_EQ(CodeOf(alice.OpenByName("x")), "NOT_FOUND");
  rig.Run();
  EXPECT_EQ(CodeOf(alice.OpenByName("x")), "OK");
}

TEST(Open, AnswersRevokedWhileTheBufferIsAskedBack) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  const BufferId buffer = rig.Buffer(alice, "x");
  rig.Revoke({buffer});
  EXPECT_EQ(CodeOf(alice.Open(buffer)), "REVOKED");
  EXPECT_EQ(CodeOf(alice.OpenByName("x")), "REVOKED");
  EXPECT_EQ(CodeOf(rig.Connect(PeerOf(1001)).Open(buffer)), "PERMISSION_DENIED");
}

TEST(Open, AnswersGoneWhileTheBufferDrains) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  const LeaseId lease = alice.Allocate("x");
  const BufferId buffer = rig.Find(lease)->buffer->id;
  rig.Hold(buffer, 1);
  alice.Release(lease);
  rig.Run();
  EXPECT_EQ(CodeOf(alice.Open(buffer)), "GONE");
  EXPECT_EQ(CodeOf(alice.OpenByName("x")), "NOT_FOUND");
}

TEST(StaleId, IsAnsweredWithWhatBecameOfTheBufferToItsOwnersDomainAndThoseItWasSharedWith) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  FakeClient& bob = rig.Connect(PeerOf(1001));
  const LeaseId lease = alice.Allocate();
  const BufferId buffer = rig.Find(lease)->buffer->id;
  alice.Share(buffer, kBob);
  alice.Release(lease);
  rig.Run();
  const absl::Status gone = rig.Connect(PeerOf(1000)).Open(buffer).status();
  EXPECT_EQ(CodeOf(gone), "GONE");
  EXPECT_EQ(gone.message(),
            "buffer " + IdText(buffer) + " was freed at the end of its last lease (PROVEN)");
  EXPECT_EQ(CodeOf(bob.Open(buffer)), "GONE");
  EXPECT_EQ(CodeOf(rig.Connect(PeerOf(1002)).Open(buffer)), "NOT_FOUND");
  EXPECT_EQ(CodeOf(rig.Connect(PeerOf(1000, "pod")).Open(buffer)), "NOT_FOUND");
}

TEST(StaleId, SaysThatTheBufferWasRevokedAndInWhichEpoch) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  const LeaseId lease = alice.Allocate();
  const BufferId buffer = rig.Find(lease)->buffer->id;
  rig.Reset();
  alice.Release(lease);
  rig.Run();
  EXPECT_EQ(alice.Open(buffer).status().message(),
            "buffer " + IdText(buffer) +
                " was revoked (device reset) in epoch 1 of fake0, then freed at the end of its "
                "last lease (PROVEN)");
}

TEST(GrantOf, GivesTheDescriptorOfALeaseThatIsSentLater) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  const Grant opened = *alice.Open(rig.Buffer(alice));
  const Grant later = *rig.broker.GrantOf(opened.lease);
  EXPECT_EQ(later.fd, opened.fd);
  EXPECT_EQ(later.buffer, opened.buffer);
  EXPECT_EQ(later.size_bytes, opened.size_bytes);
  EXPECT_EQ(later.epoch, opened.epoch);
}

// Else a descriptor would go out after the revocation that should have stopped it.
TEST(GrantOf, GivesNothingOnceTheLeaseWasAskedBackOrHasEnded) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  const BufferId buffer = rig.Buffer(alice);
  const LeaseId kept = alice.Open(buffer)->lease;
  const LeaseId released = alice.Open(buffer)->lease;
  alice.Release(released);
  EXPECT_EQ(CodeOf(rig.broker.GrantOf(released)), "REVOKED");
  rig.Revoke({buffer}, absl::Seconds(1));
  EXPECT_EQ(CodeOf(rig.broker.GrantOf(kept)), "REVOKED");
  rig.Advance(absl::Seconds(2));
  EXPECT_EQ(CodeOf(rig.broker.GrantOf(kept)), "REVOKED");
}

TEST(LeaseEvents, AreToldOnlyToWhoWantsThem) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  const BufferId buffer = rig.Buffer(alice);
  alice.Release(alice.Open(buffer)->lease);
  EXPECT_EQ(rig.observer.Count(EventKind::kLeaseGranted), 0u);
  rig.observer.leases_wanted = true;
  const LeaseId lease = alice.Open(buffer)->lease;
  EXPECT_EQ(rig.observer.Last(EventKind::kLeaseGranted).lease, lease);
  EXPECT_EQ(rig.observer.Last(EventKind::kLeaseGranted).session, alice.session().id);
  alice.Release(lease);
  EXPECT_EQ(rig.observer.Last(EventKind::kLeaseEnded).lease, lease);
  EXPECT_EQ(rig.observer.Last(EventKind::kLeaseEnded).text, "released");
}

}  // namespace
}  // namespace hlbuf
