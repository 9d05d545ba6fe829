// SPDX-License-Identifier: Apache-2.0
// Clients that come back after a restart of the service, too late, or not at all.
#include <gtest/gtest.h>

#include "daemon/core/error.h"
#include "tests/support/broker_rig.h"

namespace hlbuf {
namespace {

using Kind = Verdict::Kind;

const Device& DeviceOf(const BrokerRig& rig) { return *rig.broker.FindDevice("fake0"); }

std::vector<LeaseId> Ended(const Reattached& back) {
  std::vector<LeaseId> ended;
  for (const RevokedLease& lease : back.ended) ended.push_back(lease.lease);
  return ended;
}

TEST(Restart, GivesAClientItsSessionBack) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  const LeaseId lease = alice.Allocate();
  rig.Restart();
  rig.Run();
  const absl::StatusOr<Reattached> back = alice.Reattach();
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(back->session->id, alice.id);
  EXPECT_EQ(back->session->state, SessionState::kReady);
  EXPECT_TRUE(back->ended.empty());
  EXPECT_EQ(back->why, "");
  EXPECT_EQ(rig.broker.ledger().sessions.size(), 1u);
  EXPECT_EQ(rig.Find(lease)->session, back->session);
  EXPECT_TRUE(alice.Open(rig.Find(lease)->buffer->id).ok());
}

TEST(Restart, CanHappenAgainAndAgain) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  const LeaseId lease = alice.Allocate();
  for (int i = 0; i < 5; ++i) {
    rig.Restart();
    if (i % 2 == 0) rig.Run();
    ASSERT_TRUE(alice.Reattach().ok());
    rig.Run();
  }
  EXPECT_EQ(rig.Find(lease)->state, LeaseState::kActive);
  EXPECT_EQ(DeviceOf(rig).used_bytes(), kPage);
}

// Until it is back nothing may be charged to it, and another session of its user comes and goes.
TEST(Restart, KeepsTheAccountOfWhoHasNothing) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  rig.Restart();
  rig.Run();
  rig.Connect(PeerOf(1000)).Die();
  rig.Connect(PeerOf(2000));
  ASSERT_TRUE(alice.Reattach().ok());
  const BufferId made = rig.Buffer(alice);
  EXPECT_EQ(rig.Find(made)->owner->domain.uid, 1000u);
  EXPECT_EQ(rig.broker.ledger().accounts.Find({.uid = 1000, .container = ""}),
            rig.Find(made)->owner);
}

TEST(Restart, EndsSessionsWhoseClientsDoNotComeBack) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  const BufferId buffer = rig.Buffer(alice);
  rig.Restart();
  rig.Advance(absl::Seconds(59));
  EXPECT_NE(rig.Find(buffer), nullptr);
  rig.Advance(absl::Seconds(2));
  EXPECT_EQ(rig.Find(buffer), nullptr);
  EXPECT_TRUE(rig.broker.ledger().sessions.empty());
  EXPECT_NE(rig.observer.Last(EventKind::kSessionEnded).text.find("did not come back"),
            std::string::npos);
  EXPECT_TRUE(rig.recorder.kept().leases.empty());
}

TEST(Restart, CountsOnlyTimeInWhichClientsCouldHaveCome) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  const BufferId buffer = rig.Buffer(alice);
  rig.Restart();
  rig.Advance(absl::Seconds(1));
  rig.clock.Advance(absl::Hours(1));  // the process or the machine stood still
  rig.Advance(absl::Seconds(10));
  EXPECT_TRUE(alice.Reattach().ok());
  EXPECT_NE(rig.Find(buffer), nullptr);
}

TEST(Restart, EndsNobodysAbsenceWhileTheServiceStops) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  alice.Allocate();
  rig.Restart();
  rig.Run();
  rig.broker.Suspend();
  rig.Advance(absl::Seconds(70));
  EXPECT_EQ(rig.broker.absences().Away().size(), 1u);
  rig.Restart();
  rig.Run();
  EXPECT_TRUE(alice.Reattach().ok());
}

TEST(Restart, TellsWhoComesTooLateWhatHeLost) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  const LeaseId lease = alice.Allocate();
  rig.Restart();
  rig.Advance(absl::Seconds(70));
  const absl::StatusOr<Reattached> back = alice.Reattach();
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(Ended(*back), std::vector{lease});
  EXPECT_NE(back->why.find("did not come back within 1m"), std::string::npos) << back->why;
  EXPECT_EQ(back->session->id, alice.id);
  alice.Allocate();  // it goes on
  EXPECT_EQ(CodeOf(alice.Reattach()), "NOT_FOUND");
  alice.record = rig.broker.ledger().sessions.begin()->second.get();
}

TEST(Reattach, IsForTheSameProcessOnly) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  alice.Allocate();
  rig.Restart();
  rig.Run();
  const Peer peer = alice.peer;
  const SessionSecret secret = alice.secret;
  alice.secret.bytes[3] ^= 1;
  EXPECT_EQ(CodeOf(alice.Reattach()), "PERMISSION_DENIED");
  alice.secret = {};
  EXPECT_EQ(CodeOf(alice.Reattach()), "PERMISSION_DENIED");
  alice.secret = secret;
  alice.peer.uid = 1001;
  EXPECT_EQ(CodeOf(alice.Reattach()), "PERMISSION_DENIED");
  alice.peer = peer;
  alice.peer.start_ticks = 77;
  EXPECT_EQ(CodeOf(alice.Reattach()), "PERMISSION_DENIED");
  alice.peer = peer;
  alice.peer.pid = 4;
  EXPECT_EQ(CodeOf(alice.Reattach()), "PERMISSION_DENIED");
  EXPECT_EQ(rig.observer.Count(EventKind::kProtocolBroken), 5u);
  alice.peer = peer;
  EXPECT_EQ(CodeOf(alice.Reattach()), "OK");
}

// The answer that brings a new secret may be lost with the process that sent it.
TEST(Reattach, TakesTheSecretBeforeToo) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  rig.Restart();
  const SessionSecret old = alice.secret;
  const absl::StatusOr<SessionRecord*> fresh = rig.broker.Connect(alice.peer, alice.notices);
  (*fresh)->secret.bytes.fill(9);
  ASSERT_TRUE(rig.broker.Reattach(**fresh, {.session = alice.id, .secret = old}).ok());
  for (int i = 0; i < 2; ++i) {
    rig.Restart();
    EXPECT_EQ(CodeOf(alice.Reattach()), "OK");
    alice.secret.bytes.fill(9);
  }
  alice.secret = old;
  rig.Restart();
  EXPECT_EQ(CodeOf(alice.Reattach()), "PERMISSION_DENIED");
}

TEST(Reattach, TrustsTheKernelsNumberOfTheProcessMost) {
  BrokerRig rig;
  Peer peer = PeerOf(1000);
  peer.pidfd_inode = 4711;
  FakeClient& alice = rig.Connect(peer);
  rig.Restart();
  alice.peer.pidfd_inode = 4712;
  EXPECT_EQ(CodeOf(alice.Reattach()), "PERMISSION_DENIED");
  alice.peer.pidfd_inode = 4711;
  alice.peer.pid = 1;  // as another pid namespace shows it
  EXPECT_EQ(CodeOf(alice.Reattach()), "OK");
}

TEST(Reattach, TakesNoStartThatCouldNotBeReadForTheSameOne) {
  BrokerRig rig;
  Peer peer = PeerOf(1000);
  peer.start_ticks = 0;
  FakeClient& alice = rig.Connect(peer);
  rig.Restart();
  EXPECT_EQ(CodeOf(alice.Reattach()), "PERMISSION_DENIED");
}

TEST(Reattach, IsPossibleOnceAndOnlyAfterARestart) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  SessionRecord* const record = alice.record;
  EXPECT_EQ(CodeOf(alice.Reattach()), "NOT_FOUND");
  EXPECT_EQ(record->state, SessionState::kReady);
  rig.Restart();
  EXPECT_EQ(CodeOf(alice.Reattach()), "OK");
  EXPECT_EQ(CodeOf(alice.Reattach()), "NOT_FOUND");
  FakeClient& bob = rig.Connect(PeerOf(1001));
  bob.id = SessionId{12345};
  EXPECT_EQ(CodeOf(bob.Reattach()), "NOT_FOUND");
}

// Scenario 4: journaled and granted, and the client never saw it.
TEST(Scenario04_Reattach, EndsWhatItsClientDoesNotName) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  const LeaseId kept = alice.Allocate();
  const LeaseId unseen = alice.Allocate();
  const BufferId buffer = rig.Find(unseen)->buffer->id;
  rig.Restart();
  rig.Run();
  ASSERT_TRUE(alice.Reattach({kept}).ok());
  rig.Run();
  EXPECT_EQ(rig.Find(unseen), nullptr);
  EXPECT_EQ(rig.Find(buffer), nullptr);
  EXPECT_NE(rig.Find(kept), nullptr);
}

TEST(Scenario04_Reattach, KeepsWhatARequestThatIsRepeatedMade) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  EXPECT_EQ(alice.TryAllocate({.size_bytes = 1, .cookie = 17}), "OK");
  const LeaseId made = alice.session().leases.at(0)->id;
  rig.Restart();
  rig.Run();
  ASSERT_TRUE(alice.Reattach({}, {17, 18}).ok());
  EXPECT_EQ(rig.broker.AllocatedBefore(alice.session(), 17), made);
  EXPECT_EQ(rig.broker.AllocatedBefore(alice.session(), 18), std::nullopt);
  EXPECT_EQ(rig.broker.GrantOf(made)->lease, made);
}

}  // namespace
}  // namespace hlbuf
