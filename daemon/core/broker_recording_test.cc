// SPDX-License-Identifier: Apache-2.0
// What is asked for when there is no room to write it down.
#include <gtest/gtest.h>

#include "daemon/core/error.h"
#include "tests/support/broker_rig.h"

namespace hlbuf {
namespace {

TEST(Recording, ComesBeforeAnswersAndMakesRoomFirst) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  const BufferId buffer = rig.Buffer(alice);
  rig.recorder.fail_reserve = Error(ErrorCode::kQuotaExceeded, "no memory for more records");
  EXPECT_EQ(alice.TryAllocate({.size_bytes = 1}), "QUOTA_EXCEEDED");
  EXPECT_EQ(CodeOf(alice.Open(buffer)), "QUOTA_EXCEEDED");
  EXPECT_EQ(alice.Share(buffer, {.kind = Grantee::Kind::kUid, .id = 5}), "QUOTA_EXCEEDED");
  EXPECT_EQ(alice.session().leases.size(), 1u);
}

TEST(Recording, RefusesASessionThatItHasNoRoomFor) {
  BrokerRig rig;
  FakeNotices notices;
  SessionRecord& alice = **rig.broker.Connect(PeerOf(1000), notices);
  rig.recorder.fail_reserve = Error(ErrorCode::kQuotaExceeded, "no memory for more records");
  EXPECT_EQ(CodeOf(rig.broker.Greet(alice, "trainer")), "QUOTA_EXCEEDED");
  EXPECT_EQ(alice.state, SessionState::kNew);
  EXPECT_TRUE(rig.recorder.kept().sessions.empty());
  EXPECT_EQ(rig.observer.Count(EventKind::kSessionBegan), 0u);
  rig.Connect(PeerOf(kNobodyUid)).Die();  // is not written
  rig.recorder.fail_reserve = absl::OkStatus();
  EXPECT_EQ(CodeOf(rig.broker.Greet(alice, "trainer")), "OK");
  EXPECT_EQ(rig.recorder.kept().sessions.size(), 1u);
  rig.broker.Park(alice, SessionEvent::kGoodbye, "enough");
  rig.broker.Forget(alice);
}

// What it has is worth more than a new secret.
TEST(Recording, LetsASessionComeBackThatItHasNoRoomFor) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  const LeaseId lease = alice.Allocate();
  for (const bool has_room : {false, false, true}) {
    rig.Restart();
    rig.recorder.fail_reserve =
        has_room ? absl::OkStatus() : Error(ErrorCode::kQuotaExceeded, "no memory");
    FakeNotices notices;
    SessionRecord& fresh = **rig.broker.Connect(PeerOf(1000), notices);
    fresh.secret.bytes.fill(9);
    const auto back = rig.broker.Reattach(
        fresh, {.session = alice.id, .secret = alice.secret, .held = {lease}, .unanswered = {}});
    ASSERT_TRUE(back.ok()) << back.status();
    EXPECT_EQ(back->session->leases.size(), 1u);
    EXPECT_EQ(back->session->secret.bytes[0] == 9, has_room);
    EXPECT_EQ(back->session->secret.bytes, rig.recorder.kept().sessions.at(0).secret.bytes);
    rig.Run();
  }
  rig.Restart();
  rig.Run();
  EXPECT_TRUE(alice.Reattach({lease}).ok()) << "the one before is good for one more restart";
}

TEST(Recording, RefusesALateOneThatItHasNoRoomFor) {
  BrokerRig rig({.reattach_grace = absl::Seconds(10)});
  FakeClient& alice = rig.Connect(PeerOf(1000));
  const LeaseId lease = alice.Allocate();
  rig.Restart();
  rig.Run();
  for (int i = 0; i < 20; ++i) rig.Advance(absl::Seconds(1));
  rig.recorder.fail_reserve = Error(ErrorCode::kQuotaExceeded, "no memory for more records");
  EXPECT_EQ(CodeOf(alice.Reattach({lease})), "QUOTA_EXCEEDED");
  EXPECT_TRUE(rig.recorder.kept().sessions.empty());
}

}  // namespace
}  // namespace hlbuf
