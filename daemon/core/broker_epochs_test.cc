// SPDX-License-Identifier: Apache-2.0
// Which buffers are current, as clients can see it in the epoch page without asking.
#include <gtest/gtest.h>

#include "tests/support/broker_rig.h"
#include "tests/support/fake_epoch_page.h"

namespace hlbuf {
namespace {

constexpr uid_t kAlice = 1000, kBob = 2000;

// The page outlives the rig.
struct Pages {
  FakeEpochPage page{64};
};

class Epochs : public Pages, public testing::Test {
 protected:
  explicit Epochs(BackendTraits traits = FakeBackend::DefaultTraits())
      : rig({.traits = std::move(traits), .page = &page}) {}

  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(kAlice));
  FakeClient& bob = rig.Connect(PeerOf(kBob));
};

// What a client is told, it is told after the page has changed.
class ChangedBefore final : public Notices {
 public:
  explicit ChangedBefore(const FakeEpochPage& page) : page_(page) {}
  bool OnRevoke(RevokeReason, absl::Time, absl::Span<const RevokedLease> leases) override {
    for (const RevokedLease& lease : leases) {
      ++told;
      EXPECT_FALSE(page_.HasCurrent(lease.buffer));
    }
    return true;
  }
  void OnDevice(absl::string_view, DeviceState, std::uint64_t) override {}
  absl::Status Signal(Force) override { return absl::OkStatus(); }

  int told = 0;

 private:
  const FakeEpochPage& page_;
};

TEST_F(Epochs, MakeABufferCurrentBeforeItsFirstGrant) {
  const BufferId buffer = rig.Buffer(alice, "weights");
  EXPECT_TRUE(page.HasCurrent(buffer));
  const absl::StatusOr<Grant> opened = alice.OpenByName("weights");
  ASSERT_TRUE(opened.ok());
  EXPECT_EQ(page.words.at(opened->epoch_slot), buffer.value);
  const absl::StatusOr<Grant> again = rig.broker.GrantOf(opened->lease);
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->epoch_slot, opened->epoch_slot) << "every holder looks at the same place";
}

TEST_F(Epochs, EndForAllBuffersBeforeAnybodyIsAskedToLetGo) {
  ChangedBefore notices(page);
  const BufferId first = rig.Buffer(alice), second = rig.Buffer(bob);
  alice.session().notices = &notices;
  bob.session().notices = &notices;
  rig.Revoke({first, second});
  EXPECT_EQ(notices.told, 2);
  alice.session().notices = &alice.notices;
  bob.session().notices = &bob.notices;
}

TEST_F(Epochs, EndWithAReset) {
  ChangedBefore notices(page);
  const BufferId buffer = rig.Buffer(alice);
  alice.session().notices = &notices;
  rig.Reset();
  EXPECT_EQ(notices.told, 1);
  EXPECT_FALSE(page.HasCurrent(buffer));
  alice.session().notices = &alice.notices;
}

TEST_F(Epochs, EndWithTheLastLeaseAndNotBefore) {
  const BufferId buffer = rig.Buffer(alice);
  const LeaseId second = alice.Open(buffer)->lease;
  alice.Release(alice.session().leases.front()->id);
  EXPECT_TRUE(page.HasCurrent(buffer));
  rig.Hold(buffer, 1);
  alice.Release(second);
  EXPECT_FALSE(page.HasCurrent(buffer)) << "though somebody has a reference still";
}

TEST_F(Epochs, GoOnForOthersWhenOneLeaseIsAskedBack) {
  const BufferId buffer = rig.Buffer(alice);
  const Grantee grantee = {.kind = Grantee::Kind::kUid, .id = kBob};
  alice.Share(buffer, grantee);
  ASSERT_TRUE(bob.Open(buffer).ok());
  alice.Unshare(buffer, grantee);
  EXPECT_EQ(bob.notices.revokes.size(), 1U);
  EXPECT_TRUE(page.HasCurrent(buffer));
}

TEST_F(Epochs, OutliveARestart) {
  const BufferId kept = rig.Buffer(alice), revoked = rig.Buffer(bob);
  const std::uint32_t slot = rig.Find(kept)->epoch_slot;
  rig.Revoke({revoked});
  rig.Restart();
  EXPECT_TRUE(page.HasCurrent(kept));
  EXPECT_FALSE(page.HasCurrent(revoked));
  rig.Run();
  ASSERT_TRUE(alice.Reattach().ok());
  EXPECT_EQ(rig.Find(kept)->epoch_slot, slot);
  EXPECT_EQ(page.words.at(slot), kept.value);
}

TEST_F(Epochs, OfALostPageAreInTheNextOneAtTheSamePlace) {
  const BufferId buffer = rig.Buffer(alice);
  const std::uint32_t slot = rig.Find(buffer)->epoch_slot;
  page = FakeEpochPage(64);
  rig.Restart();
  EXPECT_EQ(page.words.at(slot), buffer.value);
  rig.Run();
  ASSERT_TRUE(alice.Reattach().ok());
}

TEST_F(Epochs, OfASmallerPageAreWrittenDownAnew) {
  const BufferId first = rig.Buffer(alice), buffer = rig.Buffer(alice);
  rig.Revoke({first});
  page = FakeEpochPage(1);
  rig.Restart();
  EXPECT_EQ(page.words.at(EpochPage::kFirstSlot), buffer.value);
  EXPECT_EQ(rig.recorder.Find(buffer)->epoch_slot, EpochPage::kFirstSlot);
  rig.Run();
  ASSERT_TRUE(alice.Reattach().ok());
}

TEST_F(Epochs, AreNotOfAnotherServicesBuffers) {
  page.words.at(40) = 12'345;
  rig.Restart();
  EXPECT_EQ(page.words.at(40), 0U);
}

BackendTraits Losing() {
  BackendTraits traits = FakeBackend::DefaultTraits();
  traits.survives_reset = false;
  return traits;
}

class EpochsOfACard : public Epochs {
 protected:
  EpochsOfACard() : Epochs(Losing()) {}
};

TEST_F(EpochsOfACard, EndWithMemoryThatIsGoneAfterARestart) {
  const BufferId buffer = rig.Buffer(alice);
  rig.Restart();
  EXPECT_TRUE(page.HasCurrent(buffer)) << "until its device has said so";
  rig.device.memory_is_gone = true;
  rig.Run();
  EXPECT_FALSE(page.HasCurrent(buffer));
}

}  // namespace
}  // namespace hlbuf
