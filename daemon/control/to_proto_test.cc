// SPDX-License-Identifier: Apache-2.0
#include "daemon/control/to_proto.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/support/broker_rig.h"

namespace hlbuf {
namespace {

namespace v1 = hlbuf::v1;

// Walks the core's values from 0 on, and expects the API's names to be the core's behind a prefix.
template <class CoreEnum, class ProtoEnum, class CoreName, class ProtoName>
void ExpectSameNames(int proto_values, absl::string_view prefix, CoreName core_name,
                     ProtoName proto_name) {
  for (int i = 0; i < proto_values - 1; ++i) {
    const auto core = static_cast<CoreEnum>(i);
    EXPECT_EQ(proto_name(ToProtoEnum<ProtoEnum>(core)), absl::StrCat(prefix, core_name(core)));
  }
}

TEST(ToProto, NamesEveryStateAsTheCoreDoes) {
  ExpectSameNames<DeviceState, v1::DeviceState>(
      v1::DeviceState_descriptor()->value_count(), "DEVICE_STATE_",
      [](DeviceState s) { return StateText(s); }, v1::DeviceState_Name<v1::DeviceState>);
  ExpectSameNames<BufferState, v1::BufferState>(
      v1::BufferState_descriptor()->value_count(), "BUFFER_STATE_",
      [](BufferState s) { return StateText(s); }, v1::BufferState_Name<v1::BufferState>);
  ExpectSameNames<LeaseState, v1::LeaseState>(
      v1::LeaseState_descriptor()->value_count(), "LEASE_STATE_",
      [](LeaseState s) { return StateText(s); }, v1::LeaseState_Name<v1::LeaseState>);
  ExpectSameNames<SessionState, v1::SessionState>(
      v1::SessionState_descriptor()->value_count(), "SESSION_STATE_",
      [](SessionState s) { return StateText(s); }, v1::SessionState_Name<v1::SessionState>);
}

TEST(ToProto, NamesEveryEventAndVerdictAsTheCoreDoes) {
  int kinds = 1;
  for (std::size_t i = 0; i < kEventKindCount; ++i) {
    const absl::string_view name = EventKindText(static_cast<EventKind>(i));
    if (name.empty()) continue;  // a number that is not given out
    ++kinds;
    EXPECT_EQ(v1::EventKind_Name(static_cast<int>(i) + 1), absl::StrCat("EVENT_KIND_", name));
  }
  EXPECT_EQ(v1::EventKind_descriptor()->value_count(), kinds);
  ExpectSameNames<Verdict::Kind, v1::VerdictKind>(v1::VerdictKind_descriptor()->value_count(),
                                                  "VERDICT_KIND_", VerdictText,
                                                  v1::VerdictKind_Name<v1::VerdictKind>);
}

TEST(ToProto, GivesWallClockTimesInMilliseconds) {
  FakeClock clock;
  const WallTimes wall(clock);
  const google::protobuf::Timestamp now = wall(clock.Now());
  const google::protobuf::Timestamp before = wall(clock.Now() - absl::Seconds(90));
  EXPECT_NEAR(static_cast<double>(now.seconds()),
              static_cast<double>(absl::ToUnixSeconds(absl::Now())), 60);
  EXPECT_EQ(now.seconds() - before.seconds(), 90);
  EXPECT_EQ(now.nanos() % 1'000'000, 0);
}

TEST(ToProto, ShowsWhatABufferIs) {
  BrokerRig rig;
  FakeClient& owner = rig.Connect(PeerOf(1000, "c0ffee"));
  EXPECT_EQ(owner.TryAllocate({.size_bytes = 5000, .name = "w", .labels = {"k=v=w", "e="}}), "OK");
  const BufferRecord& record = *rig.broker.ledger().registry.in_order().begin()->second;
  owner.Share(record.id, {.kind = Grantee::Kind::kGid, .id = 77});
  const v1::Buffer proto = ToProto(record, WallTimes(rig.clock));
  EXPECT_EQ(proto.id(), IdText(record.id));
  EXPECT_EQ(proto.name(), "w");
  EXPECT_EQ(proto.device(), "fake0");
  EXPECT_EQ(proto.state(), v1::BUFFER_STATE_LIVE);
  EXPECT_EQ(proto.owner().uid(), 1000u);
  EXPECT_EQ(proto.owner().container(), "c0ffee");
  EXPECT_EQ(proto.size_bytes(), 8192u);
  EXPECT_EQ(proto.labels().at("k"), "v=w");
  EXPECT_EQ(proto.labels().at("e"), "");
  EXPECT_EQ(proto.lease_count(), 1u);
  ASSERT_EQ(proto.shares_size(), 1);
  EXPECT_EQ(proto.shares(0).gid(), 77u);
  EXPECT_FALSE(proto.has_drain_time());
  EXPECT_FALSE(proto.has_verdict());
}

TEST(ToProto, ShowsTheJobOfAPeerAndOfWhatItAllocated) {
  BrokerRig rig;
  Peer peer = PeerOf(1000);
  peer.job = 77;
  FakeClient& owner = rig.Connect(peer);
  const BufferId buffer = rig.Buffer(owner);
  const WallTimes wall(rig.clock);
  EXPECT_EQ(ToProto(owner.session(), wall).peer().job(), 77u);
  EXPECT_EQ(ToProto(*owner.session().leases.at(0), wall).holder().job(), 77u);
  EXPECT_EQ(ToProto(*rig.Find(buffer), wall).job(), 77u);
}

TEST(ToProto, ShowsWhatARevocationLeftBehind) {
  BrokerRig rig;
  FakeClient& owner = rig.Connect(PeerOf(1000));
  const BufferId buffer = rig.Buffer(owner, "w");
  rig.Hold(buffer, 3);
  EXPECT_EQ(rig.Revoke({buffer}, absl::Seconds(1)), "OK");
  rig.Advance(absl::Seconds(2));
  const v1::Buffer drained = ToProto(*rig.Find(buffer), WallTimes(rig.clock));
  EXPECT_EQ(drained.state(), v1::BUFFER_STATE_DRAINING);
  EXPECT_TRUE(drained.has_drain_time());
  EXPECT_EQ(drained.references(), 3u);
  EXPECT_EQ(drained.revoke_reason(), v1::REVOKE_REASON_OPERATOR);
  EXPECT_EQ(drained.verdict().kind(), v1::VERDICT_KIND_HELD);

  ASSERT_EQ(rig.reports.size(), 1u);
  const v1::Revocation revocation = ToProto(rig.reports[0], WallTimes(rig.clock));
  EXPECT_EQ(revocation.reason(), v1::REVOKE_REASON_OPERATOR);
  EXPECT_EQ(revocation.leases_told(), 1u);
  ASSERT_EQ(revocation.verdicts_size(), 1);
  EXPECT_EQ(revocation.verdicts(0).buffer_name(), "w");
  EXPECT_EQ(revocation.verdicts(0).verdict().references(), 3u);
  ASSERT_EQ(revocation.verdicts(0).holders_size(), 1);
  EXPECT_EQ(revocation.verdicts(0).holders(0).session_id(), IdText(owner.session().id));
}

BufferVerdict Settled(std::uint64_t buffer, Verdict::Kind kind, std::size_t holders,
                      const std::string& container = "") {
  return {.buffer = BufferId{buffer},
          .verdict = {.kind = kind},
          .holders = std::vector<Holder>(holders, {.domain = {.container = container}})};
}

TEST(ToProto, ShowsWhomRootSaw) {
  OutsideHolders found;
  for (pid_t pid = 1; pid <= 20; ++pid)
    found.holders.push_back({.pid = pid,
                             .uid = 1000,
                             .command = "train",
                             .descriptors = 1,
                             .mappings = 2,
                             .has_lease = pid == 1});
  found.holders[2].has_lease.reset();
  found.holders_left_out = 5;
  found.importers.assign(17, "mlx5_0");
  found.importers_left_out = 1;
  found.importers_known = true;
  RevocationReport report;
  report.verdicts = {{.verdict = {.kind = Verdict::Kind::kHeld}},
                     {.verdict = {.kind = Verdict::Kind::kHeld}, .outside = found}};
  const v1::Revocation proto = ToProto(report, WallTimes(FakeClock()));
  EXPECT_FALSE(proto.verdicts(0).outside_known());
  const v1::BufferVerdict& seen = proto.verdicts(1);
  EXPECT_TRUE(seen.outside_known());
  ASSERT_EQ(seen.outside_size(), 16);
  EXPECT_EQ(seen.outside(0).command(), "train");
  EXPECT_EQ(seen.outside(0).mappings(), 2u);
  EXPECT_TRUE(seen.outside(0).has_lease());
  EXPECT_TRUE(seen.outside(1).has_has_lease());
  EXPECT_FALSE(seen.outside(2).has_has_lease());
  EXPECT_EQ(seen.outside_left_out(), 9u);
  EXPECT_EQ(seen.importers_size(), 16);
  EXPECT_EQ(seen.importers_left_out(), 2u);
  EXPECT_FALSE(seen.has_unexplained());
  EXPECT_FALSE(seen.outside_incomplete());
}

TEST(ToProto, CountsAllVerdictsAndShowsTheHeldOnesFirst) {
  FakeClock clock;
  RevocationReport report;
  for (std::uint64_t id = 1; id <= 3000; ++id)
    report.verdicts.push_back(Settled(id, Verdict::Kind::kProven, 0));
  report.verdicts.push_back(Settled(4000, Verdict::Kind::kHeld, 20));
  report.verdicts.push_back(Settled(4001, Verdict::Kind::kAcknowledged, 0));
  report.verdicts.push_back(Settled(4002, Verdict::Kind::kHeld, 16));
  const v1::Revocation revocation = ToProto(report, WallTimes(clock));
  EXPECT_EQ(revocation.proven_count(), 3000u);
  EXPECT_EQ(revocation.acknowledged_count(), 1u);
  EXPECT_EQ(revocation.held_count(), 2u);
  ASSERT_EQ(revocation.verdicts_size(), 1000);
  EXPECT_EQ(revocation.verdicts(0).buffer_id(), IdText(BufferId{4000}));
  EXPECT_EQ(revocation.verdicts(0).holders_size(), 16);
  EXPECT_EQ(revocation.verdicts(0).holders_left_out(), 4u);
  EXPECT_EQ(revocation.verdicts(1).holders_left_out(), 0u);
  EXPECT_EQ(revocation.verdicts(2).buffer_id(), IdText(BufferId{1}));
}

TEST(ToProto, SaysWhatAHolderWasSent) {
  const std::pair<Force, v1::Signal> all[] = {{Force::kNone, v1::SIGNAL_UNSPECIFIED},
                                              {Force::kTerminate, v1::SIGNAL_TERMINATE},
                                              {Force::kKill, v1::SIGNAL_KILL}};
  FakeClock clock;
  for (const auto& [force, signal] : all) {
    RevocationReport report;
    report.verdicts.push_back(Settled(1, Verdict::Kind::kHeld, 1));
    report.verdicts[0].holders[0].signalled = force;
    EXPECT_EQ(ToProto(report, WallTimes(clock)).verdicts(0).holders(0).signalled(), signal);
  }
}

TEST(ToProto, KeepsARevocationBelowWhatAMessageCarries) {
  FakeClock clock;
  RevocationReport usual, worst;
  for (std::uint64_t id = 1; id <= 1000; ++id) {
    usual.verdicts.push_back(Settled(id, Verdict::Kind::kHeld, 100, std::string(64, 'c')));
    worst.verdicts.push_back(Settled(id, Verdict::Kind::kHeld, 100, std::string(4096, 'c')));
  }
  EXPECT_EQ(ToProto(usual, WallTimes(clock)).verdicts_size(), 1000);
  const v1::Revocation large = ToProto(worst, WallTimes(clock));
  EXPECT_LT(large.ByteSizeLong(), 4u << 20);
  EXPECT_EQ(large.held_count(), 1000u);
}

TEST(ToProto, SaysHowReservedBytesComeBackWhereThereAreSome) {
  RigOptions options;
  options.traits.reserved_hint = "reset the card";
  BrokerRig rig(options);
  EXPECT_EQ(ToProto(*rig.broker.FindDevice("fake0"), rig.broker).reserved_hint(), "");
  rig.device.reserved = 4096;
  const v1::Device device = ToProto(*rig.broker.FindDevice("fake0"), rig.broker);
  EXPECT_EQ(device.reserved_bytes(), 4096u);
  EXPECT_EQ(device.reserved_hint(), "reset the card");
}

TEST(ToProto, LeavesOutWhatAnEventDoesNotSay) {
  FakeClock clock;
  const v1::Event bare =
      ToProto(7, {.kind = EventKind::kDeviceState, .time = clock.Now()}, WallTimes(clock));
  EXPECT_EQ(bare.sequence(), 7u);
  EXPECT_EQ(bare.buffer_id(), "");
  EXPECT_FALSE(bare.has_domain());
  EXPECT_FALSE(bare.has_verdict());
}

}  // namespace
}  // namespace hlbuf
