// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "tests/support/broker_rig.h"

namespace hlbuf {
namespace {

const Domain kAlice = {.uid = 1000, .container = ""};

QuotaLimits DomainLimit(Resource resource, std::uint64_t limit) {
  QuotaLimits limits = NoLimits();
  limits.domain[static_cast<std::size_t>(resource)] = limit;
  return limits;
}

TEST(Session, IsKnownFromItsConnectionAndReadyAfterHello) {
  BrokerRig rig;
  FakeNotices notices;
  SessionRecord& session = **rig.broker.Connect(PeerOf(1000), notices);
  EXPECT_EQ(session.state, SessionState::kNew);
  EXPECT_EQ(rig.broker.ledger().sessions.at(session.id).get(), &session);
  EXPECT_TRUE(rig.broker.Greet(session, "trainer 2.1").ok());
  EXPECT_EQ(session.state, SessionState::kReady);
  EXPECT_EQ(session.client, "trainer 2.1");
  EXPECT_EQ(rig.observer.Last(EventKind::kSessionBegan).session, session.id);
  rig.broker.Park(session, SessionEvent::kGoodbye, "enough");
  rig.broker.Forget(session);
}

TEST(Session, IsRefusedAboveTheLimitAndLeavesNoAccount) {
  QuotaLimits limits = NoLimits();
  limits.service[static_cast<std::size_t>(Resource::kSessions)] = 1;
  BrokerRig rig({.limits = limits});
  rig.Connect(PeerOf(1000));
  FakeNotices notices;
  EXPECT_EQ(CodeOf(rig.broker.Connect(PeerOf(1001), notices)), "QUOTA_EXCEEDED");
  EXPECT_EQ(CodeOf(rig.broker.Connect(PeerOf(1000), notices)), "QUOTA_EXCEEDED");
  EXPECT_EQ(rig.broker.ledger().accounts.size(), 1u);
  EXPECT_EQ(rig.observer.Count(EventKind::kRequestRefused), 2u);
}

TEST(Session, OfAnUnknownPeerIsChargedToNobodyWhateverUidItShows) {
  BrokerRig rig;
  Peer invisible = PeerOf(1000);
  invisible.pid = 0;
  rig.Connect(invisible);
  rig.Connect(PeerOf(kNobodyUid));
  rig.Connect(PeerOf(kNobodyUid, "pod"));
  const Accounts& accounts = rig.broker.ledger().accounts;
  EXPECT_EQ(accounts.size(), 1u);
  EXPECT_EQ(accounts.Find(kAlice), nullptr);
  EXPECT_EQ(accounts.Find({.uid = kNobodyUid, .container = ""})->account.used(Resource::kSessions),
            3u);
}

TEST(Session, EndsAllItsLeasesAndThoseOfNobodyElse) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  FakeClient& other = rig.Connect(PeerOf(1000));
  const BufferId kept = rig.Buffer(alice);
  const LeaseId others = other.Open(kept)->lease;
  alice.Open(kept).IgnoreError();
  const BufferId lost = rig.Buffer(alice);
  alice.Die();
  rig.Run();
  EXPECT_EQ(rig.Find(others)->state, LeaseState::kActive);
  EXPECT_EQ(rig.Find(kept)->leases.size(), 1u);
  EXPECT_EQ(rig.Find(lost), nullptr);
}

TEST(Lease, EndsWhenItsSessionDies) {
  BrokerRig rig;
  rig.observer.leases_wanted = true;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  const LeaseId lease = alice.Allocate();
  alice.Die();
  EXPECT_EQ(rig.Find(lease), nullptr);
  EXPECT_EQ(rig.observer.Last(EventKind::kLeaseEnded).text, "its session ended");
}

TEST(Lease, EndsWithItsSessionInWhateverStateItIs) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  const BufferId overdue = rig.Buffer(alice);
  rig.Hold(overdue, 1);
  rig.Revoke({overdue}, absl::Seconds(1));
  rig.Advance(absl::Seconds(2));
  rig.Revoke({rig.Buffer(alice)}, absl::Minutes(1));
  rig.Buffer(alice);
  std::vector<LeaseState> states;
  for (const LeaseRecord* lease : alice.session().leases) states.push_back(lease->state);
  EXPECT_EQ(states,
            (std::vector{LeaseState::kOverdue, LeaseState::kRevoking, LeaseState::kActive}));
  alice.Die();
  EXPECT_EQ(rig.broker.ledger().leases.size(), 0u);
}

TEST(ParkedSession, KeepsItsChargesUntilItsQueueIsEmpty) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  EXPECT_TRUE(rig.broker.TakeInFlight(alice.session(), 5).ok());
  rig.broker.Park(alice.session(), SessionEvent::kPeerGone, "end of file");
  const Account& account = rig.broker.ledger().accounts.Find(kAlice)->account;
  EXPECT_EQ(account.used(Resource::kSessions), 1u);
  EXPECT_EQ(account.used(Resource::kInFlight), 5u);
  alice.Die();
  EXPECT_EQ(rig.broker.ledger().accounts.size(), 0u);
}

TEST(ParkedSession, IsToldNothingMore) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  rig.broker.Park(alice.session(), SessionEvent::kViolation, "broken frame");
  rig.Reset();
  rig.Run();
  EXPECT_TRUE(alice.notices.devices.empty());
  EXPECT_TRUE(alice.notices.revokes.empty());
}

TEST(SessionEvents, ComeInPairs) {
  BrokerRig rig;
  FakeNotices notices;
  SessionRecord& mute = **rig.broker.Connect(PeerOf(1000), notices);
  rig.broker.Park(mute, SessionEvent::kViolation, "no HELLO in time");
  rig.broker.Forget(mute);
  EXPECT_EQ(rig.observer.Count(EventKind::kSessionEnded), 0u);
  FakeClient& alice = rig.Connect(PeerOf(1000));
  alice.Die();
  EXPECT_EQ(rig.observer.Count(EventKind::kSessionBegan), 1u);
  EXPECT_EQ(rig.observer.Count(EventKind::kSessionEnded), 1u);
  EXPECT_EQ(rig.observer.Last(EventKind::kSessionEnded).text, "its process exited");
}

TEST(InFlight, IsLimitedAndPasses) {
  BrokerRig rig({.limits = DomainLimit(Resource::kInFlight, 8)});
  FakeClient& alice = rig.Connect(PeerOf(1000));
  FakeClient& other = rig.Connect(PeerOf(1000));
  EXPECT_TRUE(rig.broker.TakeInFlight(alice.session(), 5).ok());
  EXPECT_EQ(CodeOf(rig.broker.TakeInFlight(other.session(), 4)), "BUSY");
  EXPECT_EQ(CodeOf(rig.broker.TakeInFlight(other.session(), 3)), "OK");
  rig.broker.GiveBackInFlight(alice.session());
  EXPECT_EQ(CodeOf(rig.broker.TakeInFlight(alice.session(), 5)), "OK");
}

TEST(InFlight, OfAPodDoesNotTakeAnothersShare) {
  BrokerRig rig({.limits = DomainLimit(Resource::kInFlight, 8)});
  FakeClient& mute = rig.Connect(PeerOf(0, "pod-a"));
  FakeClient& honest = rig.Connect(PeerOf(0, "pod-b"));
  EXPECT_TRUE(rig.broker.TakeInFlight(mute.session(), 8).ok());
  EXPECT_TRUE(rig.broker.TakeInFlight(honest.session(), 8).ok());
}

TEST(Broker, EndsInTheMiddleOfEverything) {
  FakeClock clock;
  FakeObserver observer;
  FakeNotices notices;
  auto broker = std::make_unique<Broker>(BrokerSettings{.limits = NoLimits()},
                                         Policy({}, {.clients_gid = kClientsGid}), clock, observer);
  auto owned = std::make_unique<FakeBackend>();
  FakeBackend& backend = *owned;
  broker->AddDevice("fake0", std::move(owned));
  backend.Run();
  SessionRecord& session = **broker->Connect(PeerOf(1000), notices);
  EXPECT_TRUE(broker->Greet(session, "test").ok());
  for (int i = 0; i < 3; ++i)
    broker->Allocate(session, {.size_bytes = 1}, [](const absl::StatusOr<LeaseId>&) {});
  backend.Work();
  backend.Deliver();
  backend.Work();
  const BufferId live = session.leases.at(0)->buffer->id;
  EXPECT_TRUE(broker->RevokeBuffers({live}, absl::Seconds(1), [](const RevocationReport&) {}).ok());
  clock.Advance(absl::Seconds(2));
  broker->RunDeadlines();
  // A count is asked, an allocation is asked and another one done: their answers find nobody.
  EXPECT_FALSE(backend.idle());
  broker.reset();
  EXPECT_EQ(observer.Count(EventKind::kBufferAllocated), 1u);
}

}  // namespace
}  // namespace hlbuf
