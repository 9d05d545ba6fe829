// SPDX-License-Identifier: Apache-2.0
// What is remembered of buffers that a reset took while somebody held them.
#include <gtest/gtest.h>

#include "tests/support/broker_rig.h"
#include "tests/support/texts.h"

namespace hlbuf {
namespace {

RigOptions Card() {
  RigOptions options;
  options.traits.survives_reset = false;
  return options;
}

struct Lost : testing::Test {
  // Alice's, and she keeps it.
  BufferId Kept(std::string name = "") {
    const BufferId buffer = rig.Buffer(alice, std::move(name));
    rig.Hold(buffer, 1);
    return buffer;
  }
  void Reset(Drill drill = Drill::kNone) {
    rig.Reset(absl::ZeroDuration(), drill);
    rig.Advance(absl::Milliseconds(1));
  }
  const LostBuffers& lost() { return rig.broker.ledger().lost; }
  const Device& device() { return *rig.broker.FindDevice("fake0"); }

  BrokerRig rig{Card()};
  FakeClient& alice = rig.Connect(PeerOf(1000));
};

TEST_F(Lost, BuffersAreKnownByWhoHadThem) {
  const BufferId buffer = Kept("weights");
  const ino_t inode = rig.Find(buffer)->allocation.inode;
  Reset(Drill::kFails);
  EXPECT_EQ(rig.Find(buffer), nullptr);
  const LostBuffer* const known = lost().Find(buffer);
  ASSERT_NE(known, nullptr);
  EXPECT_EQ(known->name, "weights");
  EXPECT_EQ(known->inode, inode);
  EXPECT_EQ(known->size_bytes, kPage);
  EXPECT_EQ(known->epoch, 1u);
  EXPECT_EQ(known->owner.uid, 1000u);
  EXPECT_EQ(known->verdict.kind, Verdict::Kind::kHeld);
  ASSERT_EQ(known->holders.size(), 1u);
  EXPECT_EQ(known->holders[0].session, alice.session().id);
  EXPECT_EQ(known->holders[0].pid, alice.session().peer.pid);
}

TEST_F(Lost, BuffersAreForgottenWhenTheirDeviceWorksAgain) {
  const BufferId buffer = Kept();
  Reset(Drill::kFails);
  EXPECT_EQ(lost().CountOf(device()), 1u);
  Reset();
  EXPECT_EQ(device().state(), DeviceState::kReady);
  EXPECT_EQ(lost().Find(buffer), nullptr);
  EXPECT_EQ(lost().CountOf(device()), 0u);
}

TEST_F(Lost, BuffersAreForgottenWhenTheirDeviceIsDrained) {
  Kept();
  Reset(Drill::kFails);
  rig.Drain();
  Reset();
  EXPECT_EQ(device().state(), DeviceState::kDrained);
  EXPECT_TRUE(lost().in_order().empty());
}

TEST_F(Lost, BuffersAreNotThoseThatCameBack) {
  alice.Allocate();
  Reset(Drill::kFails);
  EXPECT_TRUE(lost().in_order().empty()) << "the kernel counted nobody";
  EXPECT_TRUE(rig.observer.Of(EventKind::kHoldersFound).empty());
}

TEST_F(Lost, BuffersOfAResetThatFailedAreNamedToThoseWhoMaySeeThem) {
  for (int i = 0; i < 6; ++i) Kept(i == 0 ? "weights" : "");
  Reset(Drill::kFails);
  EXPECT_TRUE(Contains(device().failure(),
                       "took 6 buffers that somebody held: `hl-bufctl holders fake0`, as root"));
  EXPECT_EQ(device().failure().find("weights"), std::string::npos) << "everybody reads this";
  EXPECT_TRUE(Contains(rig.observer.Last(EventKind::kDeviceState).text, device().failure()));
  const auto named = rig.observer.Of(EventKind::kHoldersFound);
  ASSERT_EQ(named.size(), 1u);
  EXPECT_EQ(named[0].device, "fake0");
  EXPECT_TRUE(Contains(named[0].text, "'weights' of uid 1000 (last lease: session " +
                                          IdText(alice.session().id) + ", uid 1000 pid "));
  EXPECT_TRUE(Contains(named[0].text, ", and 2 more"));
}

// Nobody can make the service remember more by leaking more.
TEST_F(Lost, BuffersAreForgottenFromTheOldestOn) {
  std::vector<BufferId> kept;
  for (std::size_t i = 0; i < LostBuffers::kPerDeviceMax + 3; ++i) kept.push_back(Kept());
  Reset(Drill::kFails);
  EXPECT_EQ(lost().CountOf(device()), LostBuffers::kPerDeviceMax);
  EXPECT_EQ(lost().in_order().size(), LostBuffers::kPerDeviceMax);
  EXPECT_EQ(lost().Find(kept[2]), nullptr);
  EXPECT_NE(lost().Find(kept[3]), nullptr);
}

TEST_F(Lost, BuffersNameAFewOfTheirHolders) {
  const BufferId buffer = Kept();
  for (std::size_t i = 0; i < LostBuffers::kHoldersMax + 1; ++i)
    EXPECT_TRUE(alice.Open(buffer).ok());
  Reset(Drill::kFails);
  const LostBuffer* const known = lost().Find(buffer);
  ASSERT_NE(known, nullptr);
  EXPECT_EQ(known->holders.size(), LostBuffers::kHoldersMax);
  EXPECT_EQ(known->holders_left_out, 2u);
  EXPECT_TRUE(Contains(lost().Text(device()), " and 17 more)"));
}

}  // namespace
}  // namespace hlbuf
