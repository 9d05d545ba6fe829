// SPDX-License-Identifier: Apache-2.0
// What many tests of sessions do first.
#ifndef HLBUF_TESTS_SUPPORT_SESSION_STEPS_H_
#define HLBUF_TESTS_SUPPORT_SESSION_STEPS_H_

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "proto/wire/packet.h"
#include "tests/support/raw_client.h"
#include "tests/support/session_rig.h"

namespace hlbuf {

// A buffer of `client`; the descriptor that came with it is closed.
inline hlbuf_wire_allocated Allocated(RawClient& client, const std::string& name = "") {
  const std::optional<Packet> answer = client.Ask(AllocateFrame(7, 4096, name));
  EXPECT_TRUE(answer.has_value() && answer->opcode() == HLBUF_WIRE_ALLOCATED);
  EXPECT_EQ(answer->fds.size(), 1U);
  return answer->As<hlbuf_wire_allocated>();
}

// Leaves a grant of `buffer` in the client's queue, unread.
inline void LeaveUnread(RawClient& client, std::uint64_t buffer, std::uint64_t cookie = 999) {
  EXPECT_EQ(client.Send(OpenFrame(cookie, {buffer})), 0);
  EXPECT_TRUE(client.Readable(RawClient::kDeadlineMs));
}

// How many packets of `bytes` a queue takes until the sender is told to wait.
inline std::size_t QueueRoom(std::size_t bytes) {
  int sockets[2];
  EXPECT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets), 0);
  const UniqueFd ours(sockets[0]);
  const UniqueFd theirs(sockets[1]);
  const std::vector<std::byte> packet(bytes);
  std::size_t count = 0;
  while (SendPacket(ours.get(), packet).ok()) ++count;
  return count;
}

// Fills the client's queue with answers to DEVICES, so that not one packet more fits. Returns how
// many there are, when all are there.
inline std::size_t FillQueue(SessionRig& rig, RawClient& client) {
  const std::optional<Packet> answer = client.Ask(DevicesFrame(1));
  EXPECT_TRUE(answer.has_value());
  const std::size_t count = QueueRoom(answer->bytes.size());
  for (std::size_t i = 0; i < count; ++i) EXPECT_EQ(client.Send(DevicesFrame(10'000 + i)), 0);
  rig.Until([&](Broker&) { return PeerTookEverything(client.fd()); });
  return count;
}

// Reads what FillQueue() left.
inline void TakeFilled(RawClient& client, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    const std::optional<Packet> answer = client.Receive();
    ASSERT_TRUE(answer.has_value());
    ASSERT_EQ(answer->cookie(), 10'000 + i);
  }
}

// The record of the only session there is, or of the newest one. Broker thread.
inline const SessionRecord& NewestSession(Broker& broker) {
  return *broker.ledger().sessions.rbegin()->second;
}

// Nothing is charged to anybody, and nobody is there.
inline bool IsForgotten(Broker& broker) {
  return broker.ledger().sessions.empty() && broker.ledger().registry.size() == 0 &&
         broker.ledger().accounts.size() == 0;
}

}  // namespace hlbuf

#endif  // HLBUF_TESTS_SUPPORT_SESSION_STEPS_H_
