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
  EXPECT_EQ(v1::EventKind_descriptor()->value_count(), static_cast<int>(kEventKindCount) + 1);
  ExpectSameNames<EventKind, v1::EventKind>(v1::EventKind_descriptor()->value_count(),
                                            "EVENT_KIND_", EventKindText,
                                            v1::EventKind_Name<v1::EventKind>);
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
