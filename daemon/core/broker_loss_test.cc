// SPDX-License-Identifier: Apache-2.0
// What a restart of the service cost is told, and what it did not cost is not.
#include <gtest/gtest.h>

#include "tests/support/broker_rig.h"

namespace hlbuf {
namespace {

std::size_t Losses(const BrokerRig& rig) {
  std::size_t losses = 0;
  for (const Event& event : rig.observer.events)
    if (IsLoss(event.kind)) ++losses;
  return losses;
}

TEST(Loss, IsNoneInARestartThatBringsEverythingBack) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  rig.Buffer(alice);
  rig.Restart();
  rig.Run();
  ASSERT_TRUE(alice.Reattach().ok());
  EXPECT_EQ(Losses(rig), 0u);
}

TEST(Loss, IsNoneWhenAClientDoesNotComeBack) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  rig.Buffer(alice);
  rig.Restart();
  rig.Advance(absl::Seconds(70));
  EXPECT_EQ(Losses(rig), 0u);
}

TEST(Loss, IsWhatADeviceHadThatIsNotConfiguredAnyMore) {
  BrokerRig rig;
  rig.AddDevice("fake1", FakeBackend::DefaultTraits());
  rig.Run();
  FakeClient& alice = rig.Connect(PeerOf(1000));
  for (int i = 0; i < 2; ++i)
    EXPECT_EQ(alice.TryAllocate({.size_bytes = 1, .device = "fake1"}), "OK");
  rig.RestartWithout("fake1");
  rig.Run();
  EXPECT_EQ(rig.observer.Last(EventKind::kBuffersLost).count, 2u);
  EXPECT_EQ(rig.observer.Last(EventKind::kLeasesLost).count, 2u);
  EXPECT_EQ(Losses(rig), 2u);
  ASSERT_TRUE(alice.Reattach().ok());
  rig.devices[1]->LetGo();
  rig.Restart();
  rig.Run();
}

TEST(Loss, IsWhatWasOnACardThatWasResetMeanwhile) {
  RigOptions options;
  options.traits.survives_reset = false;
  BrokerRig rig(options);
  FakeClient& alice = rig.Connect(PeerOf(1000));
  FakeClient& bob = rig.Connect(PeerOf(1000));
  const BufferId buffer = rig.Buffer(alice);
  ASSERT_TRUE(bob.Open(buffer).ok());
  rig.device.memory_is_gone = true;
  rig.Restart();
  rig.Run();
  const Event lost = rig.observer.Last(EventKind::kBuffersLost);
  EXPECT_EQ(lost.device, "fake0");
  EXPECT_EQ(lost.count, 1u);
  EXPECT_EQ(lost.text,
            "was reset or closed while this service did not run: 1 buffer of the epoch before "
            "ended");
  EXPECT_EQ(rig.observer.Last(EventKind::kLeasesLost).count, 2u);
  EXPECT_EQ(rig.observer.Last(EventKind::kLeasesLost).text,
            "2 leases of them ended; whoever comes back is told so");
}

TEST(Loss, IsNoneOfACardWithoutBuffersThatWasResetMeanwhile) {
  BrokerRig rig;
  rig.device.memory_is_gone = true;
  rig.Restart();
  rig.Run();
  EXPECT_EQ(Losses(rig), 0u);
}

TEST(Loss, IsADescriptorThatNobodyHasAnyMore) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  const BufferId buffer = rig.Buffer(alice);
  rig.Buffer(alice);
  rig.device.lost_descriptors.insert(rig.Find(buffer)->allocation.inode);
  rig.Restart();
  rig.Run();
  const Event lost = rig.observer.Last(EventKind::kHandlesLost);
  EXPECT_EQ(lost.device, "fake0");
  EXPECT_EQ(lost.count, 1u);
  EXPECT_NE(lost.text.find("1 buffer came back without a descriptor"), std::string::npos)
      << lost.text;
  EXPECT_EQ(Losses(rig), 1u);
}

}  // namespace
}  // namespace hlbuf
