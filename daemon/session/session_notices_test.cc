// SPDX-License-Identifier: Apache-2.0
// Notices to clients that read, that read late, and that do not read.
#include <gtest/gtest.h>

#include <optional>
#include <vector>

#include "tests/support/session_steps.h"

namespace hlbuf {
namespace {

void RevokeForLong(SessionRig& rig, std::uint64_t buffer) {
  rig.OnLoop([&](Broker& broker) {
    const BufferId id{buffer};
    EXPECT_TRUE(
        broker.RevokeBuffers({&id, 1}, absl::Minutes(10), [](const RevocationReport&) {}).ok());
  });
}

// A reset that waits for nobody, to its end.
void Reset(SessionRig& rig) {
  bool over = false;
  rig.OnLoop([&](Broker& broker) {
    EXPECT_TRUE(broker
                    .SimulateReset("software0", Drill::kNone, absl::ZeroDuration(),
                                   [&](const ResetReport&) { over = true; })
                    .ok());
  });
  rig.Until([&](Broker&) { return over; });
}

TEST(SessionNotices, ArriveInOrderHoweverLateTheyAreRead) {
  SessionRig rig;
  RawClient client = RawClient::Greeted(rig.path());
  std::vector<hlbuf_wire_allocated> buffers;
  for (int i = 0; i < 8; ++i) buffers.push_back(Allocated(client));
  const std::size_t count = FillQueue(rig, client);
  for (const auto& buffer : buffers) RevokeForLong(rig, buffer.buffer_id);
  rig.OnLoop([](Broker&) {});
  TakeFilled(client, count);
  for (const auto& buffer : buffers) {
    const std::optional<Packet> revoke = client.Receive();
    ASSERT_TRUE(revoke.has_value());
    ASSERT_EQ(revoke->opcode(), HLBUF_WIRE_REVOKE);
    EXPECT_EQ(revoke->ItemAt<hlbuf_wire_revoked_lease>(0).lease_id, buffer.lease_id);
  }
  EXPECT_TRUE(client.Ask(DevicesFrame(2)).has_value());
}

TEST(SessionNotices, OfADeviceAreTheNewestOnly) {
  SessionRig rig;
  RawClient client = RawClient::Greeted(rig.path());
  const std::size_t count = FillQueue(rig, client);
  for (int i = 0; i < 5; ++i) Reset(rig);
  TakeFilled(client, count);
  const std::optional<Packet> notice = client.Receive();
  ASSERT_TRUE(notice.has_value());
  ASSERT_EQ(notice->opcode(), HLBUF_WIRE_DEVICE);
  EXPECT_EQ(notice->As<hlbuf_wire_device>().state, std::uint32_t{HLBUF_WIRE_DEVICE_READY});
  EXPECT_EQ(notice->As<hlbuf_wire_device>().epoch, 6U);
  EXPECT_EQ(notice->text(), "software0");
  ASSERT_EQ(client.Send(DevicesFrame(2)), 0);
  EXPECT_EQ(client.Receive()->cookie(), 2U) << "another notice was there";
}

TEST(SessionNotices, BehindAnUnreadGrantWaitForIt) {
  SessionRig rig;
  RawClient client = RawClient::Greeted(rig.path());
  const auto buffer = Allocated(client);
  LeaveUnread(client, buffer.buffer_id);
  RevokeForLong(rig, buffer.buffer_id);
  Reset(rig);
  const std::optional<Packet> grant = client.Receive();
  ASSERT_TRUE(grant.has_value());
  EXPECT_EQ(grant->opcode(), HLBUF_WIRE_OPENED);
  const std::optional<Packet> revoke = client.Receive();
  ASSERT_TRUE(revoke.has_value());
  EXPECT_EQ(revoke->opcode(), HLBUF_WIRE_REVOKE);
  EXPECT_EQ(revoke->As<hlbuf_wire_revoke>().lease_count, 2U);
  const std::optional<Packet> again = client.Receive();  // the reset's
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(again->As<hlbuf_wire_revoke>().reason, std::uint32_t{HLBUF_WIRE_REVOKE_RESET});
  EXPECT_EQ(client.Receive()->opcode(), HLBUF_WIRE_DEVICE);
}

TEST(SessionNotices, OfMoreLeasesThanAFrameTakesComeInSeveral) {
  SessionRig rig;
  RawClient client = RawClient::Greeted(rig.path());
  const auto buffer = Allocated(client);
  constexpr std::size_t kBatches = 9;
  for (std::uint64_t cookie = 1; cookie <= kBatches; ++cookie)
    ASSERT_EQ(client.Ask(OpenFrame(cookie, std::vector<std::uint64_t>(253, buffer.buffer_id)))
                  ->fds.size(),
              253U);
  RevokeForLong(rig, buffer.buffer_id);
  std::size_t leases = 0;
  std::vector<std::uint32_t> counts;
  while (leases < kBatches * 253 + 1) {
    const std::optional<Packet> revoke = client.Receive();
    ASSERT_TRUE(revoke.has_value());
    ASSERT_EQ(revoke->opcode(), HLBUF_WIRE_REVOKE);
    counts.push_back(revoke->As<hlbuf_wire_revoke>().lease_count);
    leases += counts.back();
  }
  EXPECT_EQ(counts, (std::vector<std::uint32_t>{1024, 1024, 230}));
}

TEST(SessionNotices, GoToNobodyWhoWasNotGreeted) {
  SessionRig rig;
  RawClient client = RawClient::Connect(rig.path());
  rig.Until([](Broker& broker) { return broker.ledger().sessions.size() == 1; });
  Reset(rig);
  ASSERT_EQ(client.Send(HelloFrame(1)), 0);
  EXPECT_EQ(client.Receive()->opcode(), HLBUF_WIRE_WELCOME);
}

// The next packet that is no PING; each of those is answered.
std::optional<Packet> ReceiveAndAnswerPings(RawClient& client) {
  std::optional<Packet> packet = client.Receive();
  for (; packet.has_value() && packet->opcode() == HLBUF_WIRE_PING; packet = client.Receive())
    EXPECT_EQ(client.Send(PongFrame(packet->As<hlbuf_wire_ping>().nonce)), 0);
  return packet;
}

bool IsUnanswered(SessionRig& rig) {
  bool unanswered = false;
  rig.OnLoop([&](Broker& b) { unanswered = NewestSession(b).unanswered_ping_since.has_value(); });
  return unanswered;
}

TEST(SessionNotices, APingBehindAnUnreadGrantIsUnansweredUntilTheClientReads) {
  SessionRigOptions options;
  options.timing.ping_interval = absl::Milliseconds(50);
  SessionRig rig(options);
  RawClient client = RawClient::Connect(rig.path());
  ASSERT_EQ(client.Send(HelloFrame()), 0);
  ASSERT_EQ(client.Send(AllocateFrame(2, 4096)), 0);
  ASSERT_EQ(ReceiveAndAnswerPings(client)->opcode(), HLBUF_WIRE_WELCOME);
  const std::optional<Packet> made = ReceiveAndAnswerPings(client);
  ASSERT_EQ(made->opcode(), HLBUF_WIRE_ALLOCATED);
  ASSERT_EQ(client.Send(OpenFrame(3, {made->As<hlbuf_wire_allocated>().buffer_id})), 0);
  rig.Until([](Broker& broker) {
    const SessionRecord& session = NewestSession(broker);
    return session.leases.size() == 2 && session.unanswered_ping_since.has_value();
  });
  EXPECT_EQ(ReceiveAndAnswerPings(client)->opcode(), HLBUF_WIRE_OPENED);
  for (std::uint64_t cookie = 4; IsUnanswered(rig); ++cookie) {
    ASSERT_EQ(client.Send(DevicesFrame(cookie)), 0);
    const std::optional<Packet> list = ReceiveAndAnswerPings(client);
    ASSERT_TRUE(list.has_value());
    EXPECT_EQ(list->cookie(), cookie);
  }
}

}  // namespace
}  // namespace hlbuf
