// SPDX-License-Identifier: Apache-2.0
// From the last lease to FREED: whose memory it is until then, and what counts as proof.
#include <gtest/gtest.h>

#include "daemon/core/error.h"
#include "tests/support/broker_rig.h"

namespace hlbuf {
namespace {

RigOptions WithoutCounts() {
  RigOptions options;
  options.traits.counts_references = false;
  return options;
}
std::string Fate(const BrokerRig& rig, BufferId buffer) {
  return std::string(rig.broker.ledger().registry.FateOf(buffer));
}
std::uint64_t BytesOf(const BrokerRig& rig, uid_t uid) {
  const DomainAccount* account = rig.broker.ledger().accounts.Find({.uid = uid, .container = ""});
  return account == nullptr ? 0 : account->account.used(Resource::kBytes);
}

TEST(Release, FreesTheBufferWithItsLastLease) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  const LeaseId first = alice.Allocate();
  const BufferId buffer = rig.Find(first)->buffer->id;
  const LeaseId second = alice.Open(buffer)->lease;
  alice.Release(first);
  rig.Run();
  EXPECT_EQ(rig.Find(buffer)->state, BufferState::kLive);
  alice.Release(second);
  EXPECT_EQ(rig.Find(buffer)->state, BufferState::kDraining);
  rig.Run();
  EXPECT_EQ(rig.Find(buffer), nullptr);
  EXPECT_EQ(rig.device.calls.back(), "free 1");
  EXPECT_EQ(rig.observer.Last(EventKind::kBufferFreed).buffer, buffer);
}

// Scenario 7: one thread opens a buffer again while another releases it.
TEST(Release, NamesALeaseAndLeavesTheOthersOfTheBufferAlone) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  const LeaseId old = alice.Allocate();
  const BufferId buffer = rig.Find(old)->buffer->id;
  const LeaseId renewed = alice.Open(buffer)->lease;
  alice.Release(old);
  rig.Run();
  EXPECT_EQ(rig.Find(renewed)->state, LeaseState::kActive);
  EXPECT_EQ(CodeOf(rig.broker.GrantOf(renewed)), "OK");
}

TEST(Release, IgnoresLeasesOfOthersAndThoseThatAreNot) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  FakeClient& other = rig.Connect(PeerOf(1000));
  const LeaseId lease = alice.Allocate();
  rig.broker.Release(other.session(), {lease, LeaseId(), LeaseId{999}});
  EXPECT_NE(rig.Find(lease), nullptr);
  rig.broker.Release(alice.session(), {lease, lease});
  EXPECT_EQ(rig.Find(lease), nullptr);
}

TEST(Release, ProvesByTheKernelsCountWhereThereIsOne) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  const LeaseId lease = alice.Allocate();
  const BufferId buffer = rig.Find(lease)->buffer->id;
  alice.Release(lease);
  rig.Run();
  EXPECT_EQ(rig.device.calls,
            (std::vector<std::string>{"open", "allocate 4096", "count 1", "free 1"}));
  EXPECT_EQ(Fate(rig, buffer), "freed at the end of its last lease (PROVEN)");
}

TEST(Release, IsAcknowledgedAloneWhereTheKernelDoesNotCount) {
  BrokerRig rig(WithoutCounts());
  FakeClient& alice = rig.Connect(PeerOf(1000));
  const LeaseId lease = alice.Allocate();
  const BufferId buffer = rig.Find(lease)->buffer->id;
  alice.Release(lease);
  rig.Run();
  EXPECT_EQ(rig.device.calls, (std::vector<std::string>{"open", "allocate 4096", "free 1"}));
  EXPECT_EQ(Fate(rig, buffer), "freed at the end of its last lease (ACKNOWLEDGED)");
}

TEST(Draining, WaitsUntilTheCountIsOursAlone) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  const LeaseId lease = alice.Allocate();
  const BufferId buffer = rig.Find(lease)->buffer->id;
  rig.Hold(buffer, 2);
  alice.Release(lease);
  rig.Advance(absl::Minutes(5));
  EXPECT_EQ(rig.Find(buffer)->state, BufferState::kDraining);
  EXPECT_EQ(rig.Find(buffer)->references, 2u);
  rig.Hold(buffer, 1);
  rig.Advance(absl::Minutes(1));
  EXPECT_EQ(rig.Find(buffer)->references, 1u);
  rig.Hold(buffer, 0);
  rig.Advance(ReleaseProof::kLongestPause);
  EXPECT_EQ(rig.Find(buffer), nullptr);
}

TEST(Draining, NeverTakesAnUnreadableCountForProof) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  const LeaseId lease = alice.Allocate();
  const BufferId buffer = rig.Find(lease)->buffer->id;
  rig.device.unreadable = true;
  alice.Release(lease);
  rig.Advance(absl::Minutes(5));
  EXPECT_EQ(rig.Find(buffer)->state, BufferState::kDraining);
}

// A leak must not become somebody else's "no memory".
TEST(Draining, KeepsTheMemoryChargedToADeadClientUntilItIsProvenFree) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  const BufferId buffer = rig.Buffer(alice);
  rig.Hold(buffer, 1);
  alice.Die();
  rig.Advance(absl::Minutes(5));
  EXPECT_EQ(BytesOf(rig, 1000), kPage);
  EXPECT_EQ(rig.broker.ledger().accounts.service().used(Resource::kLeases), 0u);
  rig.Hold(buffer, 0);
  rig.Advance(absl::Seconds(5));
  EXPECT_EQ(BytesOf(rig, 1000), 0u);
  EXPECT_EQ(rig.broker.ledger().accounts.size(), 0u);
}

TEST(Draining, KeepsTheMemoryChargedWhileTheDeviceTakesItBack) {
  BrokerRig rig(WithoutCounts());
  FakeClient& alice = rig.Connect(PeerOf(1000));
  rig.Buffer(alice);
  alice.Die();
  EXPECT_EQ(BytesOf(rig, 1000), kPage);
  rig.device.Work();
  EXPECT_EQ(BytesOf(rig, 1000), kPage);
  rig.device.Deliver();
  EXPECT_EQ(BytesOf(rig, 1000), 0u);
}

TEST(Draining, TellsOnceThatReferencesOutliveTheLeasesByASecond) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  const LeaseId lease = alice.Allocate();
  const BufferId buffer = rig.Find(lease)->buffer->id;
  rig.Hold(buffer, 1);
  rig.Advance(absl::Minutes(1));
  alice.Release(lease);
  rig.Advance(absl::Seconds(1));
  EXPECT_EQ(rig.observer.Count(EventKind::kReferencesOutliveLeases), 0u);
  rig.Advance(absl::Minutes(1));
  EXPECT_EQ(rig.observer.Count(EventKind::kReferencesOutliveLeases), 1u);
  EXPECT_EQ(rig.observer.Last(EventKind::kReferencesOutliveLeases).buffer, buffer);
}

TEST(Draining, CountsThatSecondFromTheLastLeaseNotFromTheDeadline) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  const LeaseId lease = alice.Allocate();
  const BufferId buffer = rig.Find(lease)->buffer->id;
  rig.Hold(buffer, 1);
  rig.Revoke({buffer}, absl::Seconds(1));
  rig.Advance(absl::Minutes(1));
  alice.Release(lease);
  rig.Advance(absl::Milliseconds(900));
  EXPECT_EQ(rig.observer.Count(EventKind::kReferencesOutliveLeases), 0u);
  rig.Advance(absl::Minutes(1));
  EXPECT_EQ(rig.observer.Count(EventKind::kReferencesOutliveLeases), 1u);
}

TEST(Draining, SaysWhatTheDeviceSaidWhenItFailedToTakeTheMemoryBack) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  const LeaseId lease = alice.Allocate();
  rig.device.fail_free = Error(ErrorCode::kDeviceError, "punching failed");
  alice.Release(lease);
  rig.Run();
  EXPECT_EQ(rig.observer.Last(EventKind::kBufferFreed).text,
            "freed at the end of its last lease (PROVEN); punching failed");
  EXPECT_EQ(rig.broker.ledger().registry.size(), 0u);
}

TEST(Draining, FreesThousandsWithOneCountInProgress) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  for (int i = 0; i < 1000; ++i)
    rig.broker.Allocate(alice.session(), {.size_bytes = 1}, [](const absl::StatusOr<LeaseId>&) {});
  rig.Run();
  alice.Die();
  EXPECT_TRUE(rig.device.WorkOnCount());
  EXPECT_FALSE(rig.device.WorkOnCount());
  rig.Run();
  EXPECT_EQ(rig.broker.ledger().registry.size(), 0u);
}

}  // namespace
}  // namespace hlbuf
