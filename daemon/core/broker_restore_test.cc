// SPDX-License-Identifier: Apache-2.0
// A restart of the service: what a later process makes of what an earlier one has recorded.
#include <gtest/gtest.h>

#include <algorithm>

#include "daemon/core/error.h"
#include "tests/support/broker_rig.h"

namespace hlbuf {
namespace {

using Kind = Verdict::Kind;

const Device& DeviceOf(const BrokerRig& rig) { return *rig.broker.FindDevice("fake0"); }

BackendTraits Card() {
  BackendTraits traits = FakeBackend::DefaultTraits();
  traits.survives_reset = false;
  return traits;
}

BackendTraits Software() {
  BackendTraits traits = FakeBackend::DefaultTraits();
  traits.counts_references = false;
  return traits;
}

std::vector<LeaseId> Ended(const Reattached& back) {
  std::vector<LeaseId> ended;
  for (const RevokedLease& lease : back.ended) ended.push_back(lease.lease);
  return ended;
}

TEST(Restart, KeepsBuffersLeasesAndWhatTheyAre) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  const LeaseId lease = alice.Allocate("weights", 3 * kPage);
  const BufferId buffer = rig.Find(lease)->buffer->id;
  alice.Share(buffer, {.kind = Grantee::Kind::kUid, .id = 2000});
  const std::uint64_t epoch = DeviceOf(rig).epoch();
  const int fd = rig.Find(buffer)->allocation.fd.get();
  rig.Restart();
  rig.Run();
  EXPECT_EQ(rig.device.calls.back(), "resume");
  EXPECT_EQ(DeviceOf(rig).state(), DeviceState::kReady);
  EXPECT_EQ(DeviceOf(rig).epoch(), epoch);
  const BufferRecord& record = *rig.Find(buffer);
  EXPECT_EQ(record.state, BufferState::kLive);
  EXPECT_EQ(record.name, "weights");
  EXPECT_EQ(record.bytes.amount(), 3 * kPage);
  EXPECT_EQ(record.allocation.fd.get(), fd);
  EXPECT_EQ(record.shares.size(), 1u);
  ASSERT_NE(rig.Find(lease), nullptr);
  EXPECT_EQ(rig.Find(lease)->session->state, SessionState::kAway);
  EXPECT_EQ(DeviceOf(rig).used_bytes(), 3 * kPage);
}

TEST(Restart, TellsTheDeviceWhichFilesItHad) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000, "pod"));
  const BufferRecord& before = *rig.Find(rig.Buffer(alice));
  const std::uint64_t window = before.allocation.window;
  const ino_t inode = before.allocation.inode;
  rig.Restart();
  rig.Run();
  ASSERT_EQ(rig.device.resumed_from.buffers.size(), 1u);
  const Resumption::Buffer& told = rig.device.resumed_from.buffers[0];
  EXPECT_EQ(told.window, window);
  EXPECT_EQ(told.inode, inode);
  EXPECT_EQ(told.size_bytes, kPage);
  EXPECT_FALSE(told.is_proven);
  EXPECT_EQ(told.domain, (Domain{.uid = 1000, .container = "pod"}));
}

TEST(Restart, DropsWhatNobodyWasGranted) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  rig.broker.Allocate(alice.session(), {.size_bytes = 1, .name = "x"},
                      [](const absl::StatusOr<LeaseId>&) {});
  rig.device.Work();  // exported, and the answer is lost
  EXPECT_EQ(rig.recorder.kept().buffers.size(), 1u);
  rig.Restart();
  rig.Run();
  EXPECT_EQ(rig.broker.ledger().registry.size(), 0u);
  EXPECT_EQ(rig.device.allocated(), 0u);
  ASSERT_TRUE(alice.Reattach().ok());
  alice.Allocate("x");
}

TEST(Restart, KeepsMoreThanTheLimitsAllowNow) {
  RigOptions options;
  options.limits.domain[static_cast<std::size_t>(Resource::kSessions)] = 1;
  BrokerRig rig(options);
  FakeClient& alice = rig.Connect(PeerOf(1000));
  alice.Allocate();
  rig.Restart();
  EXPECT_EQ(CodeOf(alice.Reattach()), "OK");
  EXPECT_EQ(rig.TryConnect(PeerOf(1000)), nullptr);
}

// Scenario 2 and rule 6: who opens waits for the descriptor that is there already.
TEST(Scenario02_Open, WaitsForTheDescriptorToComeBack) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  const BufferId buffer = rig.Buffer(alice);
  rig.Restart();
  ASSERT_TRUE(alice.Reattach().ok());
  const absl::Status early = alice.Open(buffer).status();
  EXPECT_EQ(CodeOf(early), "DEVICE_UNAVAILABLE");
  EXPECT_NE(early.message().find("has not come back"), absl::string_view::npos) << early;
  rig.Run();
  EXPECT_TRUE(alice.Open(buffer).ok());
  EXPECT_EQ(std::count(rig.device.calls.begin(), rig.device.calls.end(), "allocate 4096"), 1);
}

TEST(Restart, AsksADeviceAgainThatDoesNotAnswer) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  const BufferId buffer = rig.Buffer(alice);
  rig.device.fail_resume = Error(ErrorCode::kDeviceUnavailable, "no keeper answers");
  rig.Restart();
  rig.Run();
  EXPECT_EQ(DeviceOf(rig).state(), DeviceState::kFailed);
  EXPECT_EQ(rig.Reset(), "DEVICE_UNAVAILABLE");
  rig.Advance(absl::Seconds(2));
  EXPECT_EQ(DeviceOf(rig).state(), DeviceState::kReady);
  EXPECT_FALSE(rig.Find(buffer)->returning);
  EXPECT_TRUE(alice.Reattach().ok());
}

// Rules R11 and R12: what a driver has told once it does not tell again.
TEST(Restart, TellsADeviceThatIsAskedAgainWhatItNotedTheFirstTime) {
  BrokerRig rig;
  rig.device.finds = {{.key = 1, .bytes = "open"}, {.key = 2, .bytes = "chunk"}};
  rig.Restart();
  rig.Run();
  rig.device.fail_resume = Error(ErrorCode::kDeviceUnavailable, "the card cannot be asked");
  rig.device.finds = {{.key = 1, .bytes = "open, and was reset"}, {.key = 2, .bytes = ""}};
  rig.Restart();
  rig.Advance(absl::Seconds(2));
  EXPECT_EQ(DeviceOf(rig).state(), DeviceState::kReady);
  ASSERT_EQ(rig.device.resumed_from.notes.size(), 1u);
  EXPECT_EQ(rig.device.resumed_from.notes[0].bytes, "open, and was reset");
}

// Scenarios 1 and 18: the keeper died with the daemon.
TEST(Scenario18_BlindBuffer, IsNeverProvenNorOpenedAgain) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  const LeaseId lease = alice.Allocate();
  const BufferId buffer = rig.Find(lease)->buffer->id;
  rig.device.lost_descriptors.insert(rig.Find(buffer)->allocation.inode);
  rig.Restart();
  rig.Run();
  EXPECT_TRUE(rig.Find(buffer)->blind);
  EXPECT_TRUE(rig.recorder.Find(buffer)->blind);
  ASSERT_TRUE(alice.Reattach().ok());
  EXPECT_EQ(CodeOf(alice.Open(buffer)), "GONE");
  EXPECT_EQ(rig.Revoke({buffer}), "OK");
  alice.Release(lease);
  rig.Run();
  ASSERT_EQ(rig.reports.size(), 1u);
  EXPECT_EQ(rig.reports[0].verdicts.at(0).verdict.kind, Kind::kAcknowledged);
}

TEST(Scenario18_BlindBuffer, IsHeldByWhoDoesNotLetGo) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  const BufferId buffer = rig.Buffer(alice);
  rig.device.lost_descriptors.insert(rig.Find(buffer)->allocation.inode);
  rig.Restart();
  rig.Run();
  ASSERT_TRUE(alice.Reattach().ok());
  EXPECT_EQ(rig.Revoke({buffer}), "OK");
  rig.Advance(absl::Seconds(11));
  ASSERT_EQ(rig.reports.size(), 1u);
  EXPECT_EQ(rig.reports[0].verdicts.at(0).verdict.kind, Kind::kHeld);
  EXPECT_EQ(rig.reports[0].verdicts.at(0).holders.size(), 1u);
}

TEST(Scenario18_BlindBuffer, OfHostMemoryGoesWithItsLastLease) {
  BrokerRig rig({.traits = Software()});
  FakeClient& alice = rig.Connect(PeerOf(1000));
  const LeaseId lease = alice.Allocate();
  rig.device.lost_descriptors.insert(rig.Find(lease)->buffer->allocation.inode);
  rig.Restart();
  rig.Run();
  ASSERT_TRUE(alice.Reattach().ok());
  alice.Release(lease);
  rig.Run();
  EXPECT_EQ(rig.broker.ledger().registry.size(), 0u);
  EXPECT_EQ(rig.device.allocated(), 0u);
}

TEST(Scenario01_BlindBuffer, OfACardStaysChargedUntilItWasClosed) {
  BrokerRig rig({.traits = Card()});
  FakeClient& alice = rig.Connect(PeerOf(1000));
  const LeaseId lease = alice.Allocate();
  const BufferId buffer = rig.Find(lease)->buffer->id;
  rig.device.lost_descriptors.insert(rig.Find(buffer)->allocation.inode);
  rig.Restart();
  rig.Run();
  ASSERT_TRUE(alice.Reattach().ok());
  alice.Release(lease);
  rig.Advance(absl::Hours(1));
  ASSERT_NE(rig.Find(buffer), nullptr);
  EXPECT_EQ(rig.Find(buffer)->state, BufferState::kDraining);
  rig.Restart();  // and it stays blind
  rig.device.lost_descriptors.clear();
  rig.Run();
  EXPECT_TRUE(rig.Find(buffer)->blind);
  EXPECT_EQ(rig.Reset(absl::Seconds(20)), "OK");
  rig.Run();
  EXPECT_EQ(rig.resets.size(), 1u) << "nobody is waited for";
  EXPECT_EQ(rig.Find(buffer), nullptr);
}

TEST(Scenario01_BlindBuffer, OfACardIsFreedOnceTheDriverSaysThatNobodyHasIt) {
  BrokerRig rig({.traits = Card()});
  FakeClient& alice = rig.Connect(PeerOf(1000));
  const LeaseId first = alice.Allocate(), second = alice.Allocate();
  for (const LeaseId lease : {first, second})
    rig.device.lost_descriptors.insert(rig.Find(lease)->buffer->allocation.inode);
  rig.Restart();
  rig.Run();
  ASSERT_TRUE(alice.Reattach().ok());
  rig.device.calls.clear();
  alice.Release(first);
  rig.Advance(10 * BlindBuffers::kPause);
  EXPECT_EQ(rig.broker.ledger().registry.size(), 2u);
  EXPECT_GT(rig.device.calls.size(), 5u) << "nothing says when to ask";
  EXPECT_EQ(std::count(rig.device.calls.begin(), rig.device.calls.end(), "free blind 1"),
            static_cast<std::ptrdiff_t>(rig.device.calls.size()))
      << "never for one that somebody has a lease of";
  rig.device.witnesses = true;
  rig.Advance(BlindBuffers::kPause);
  EXPECT_EQ(rig.broker.ledger().registry.size(), 1u);
  alice.Release(second);
  rig.Advance(BlindBuffers::kPause);
  EXPECT_EQ(rig.broker.ledger().registry.size(), 0u);
  EXPECT_EQ(DeviceOf(rig).used_bytes(), 0u);
  rig.device.calls.clear();
  rig.Advance(10 * BlindBuffers::kPause);
  EXPECT_TRUE(rig.device.calls.empty()) << rig.device.calls.front();
}

TEST(Restart, GivesBackWhatWasProvenBefore) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  const LeaseId lease = alice.Allocate();
  const BufferId buffer = rig.Find(lease)->buffer->id;
  alice.Release(lease);
  rig.device.WorkOnCount();
  rig.device.Deliver();  // proven, and the device has not freed it
  ASSERT_NE(rig.recorder.Find(buffer), nullptr);
  rig.device.lost_descriptors.insert(rig.Find(buffer)->allocation.inode);
  rig.Restart();
  rig.Run();
  ASSERT_EQ(rig.device.resumed_from.buffers.size(), 1u);
  EXPECT_TRUE(rig.device.resumed_from.buffers[0].is_proven) << "its window is nobody's";
  EXPECT_EQ(rig.Find(buffer), nullptr);
  EXPECT_EQ(rig.device.allocated(), 0u);
}

TEST(Restart, KeepsADrain) {
  BrokerRig rig;
  rig.Drain({.by = "uid 0, pid 7"});
  rig.Restart();
  rig.Run();
  EXPECT_EQ(DeviceOf(rig).state(), DeviceState::kDrained);
  EXPECT_EQ(DeviceOf(rig).drain()->by, "uid 0, pid 7");
  rig.Undrain();
  rig.Restart();
  rig.Run();
  EXPECT_EQ(DeviceOf(rig).state(), DeviceState::kReady);
}

TEST(Restart, LosesWhatWasOfADeviceThatIsNotConfiguredAnyMore) {
  BrokerRig rig;
  rig.AddDevice("fake1", FakeBackend::DefaultTraits());
  rig.Run();
  FakeClient& alice = rig.Connect(PeerOf(1000));
  alice.TryAllocate({.size_bytes = 1, .device = "fake1"});
  const LeaseId lease = alice.session().leases.at(0)->id;
  rig.RestartWithout("fake1");
  rig.Run();
  const absl::StatusOr<Reattached> back = alice.Reattach();
  EXPECT_EQ(Ended(*back), std::vector{lease});
  EXPECT_NE(back->why.find("not configured"), std::string::npos) << back->why;
  rig.devices[1]->LetGo();
  rig.Restart();
  rig.Run();
  EXPECT_TRUE(rig.recorder.kept().buffers.empty());
}

// It may be killed at any of these moments, and restarted once more.
TEST(Restart, ForgetsWhatIsNotConfiguredInAnOrderThatTheNextOneCanRead) {
  BrokerRig rig;
  rig.AddDevice("fake1", FakeBackend::DefaultTraits());
  rig.Run();
  FakeClient& alice = rig.Connect(PeerOf(1000));
  alice.TryAllocate({.size_bytes = 1, .device = "fake1"});
  alice.TryAllocate({.size_bytes = 1, .device = "fake1"});
  int forgotten = 0;
  rig.recorder.forgot = [&] {
    ++forgotten;
    EXPECT_EQ(Check(rig.recorder.kept()), absl::OkStatus());
  };
  rig.RestartWithout("fake1");
  rig.recorder.forgot = nullptr;
  EXPECT_EQ(forgotten, 4);
  EXPECT_TRUE(rig.recorder.kept().buffers.empty());
  rig.devices[1]->LetGo();
  rig.Restart();
  rig.Run();
}

TEST(Restart, HandsOutNoIdTwice) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  const LeaseId lease = alice.Allocate();
  rig.Restart();
  rig.Run();
  ASSERT_TRUE(alice.Reattach().ok());
  EXPECT_GT(alice.Allocate().value, lease.value);
}

TEST(Suspend, LeavesEverythingAsItIs) {
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  const LeaseId lease = alice.Allocate();
  const BufferId buffer = rig.Find(lease)->buffer->id;
  rig.broker.Suspend();
  rig.broker.Release(alice.session(), {lease});
  EXPECT_EQ(alice.TryAllocate({.size_bytes = 1}), "DEVICE_UNAVAILABLE");
  EXPECT_EQ(CodeOf(alice.Open(buffer)), "DEVICE_UNAVAILABLE");
  rig.broker.Park(alice.session(), SessionEvent::kPeerGone, "its process exited");
  EXPECT_EQ(rig.recorder.kept().leases.size(), 1u);
  EXPECT_EQ(rig.recorder.kept().sessions.size(), 1u);
  rig.Restart();
  rig.Run();
  EXPECT_TRUE(alice.Reattach({lease}).ok());
}

}  // namespace
}  // namespace hlbuf
