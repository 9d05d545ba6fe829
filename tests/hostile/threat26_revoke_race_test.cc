// SPDX-License-Identifier: Apache-2.0
// Hand-overs that race with a revocation: no grant of a buffer follows the notice that asks it
// back, and the notice names every lease that was granted before it.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <set>
#include <thread>

#include "tests/support/control_client.h"
#include "tests/support/daemon_process.h"

namespace hlbuf {
namespace {

constexpr std::uint64_t kPage = 4096;
constexpr int kThreads = 6;
constexpr int kLongMs = 20'000;

// What one session saw of one buffer, from its first grant to its last answer.
struct Seen {
  std::set<std::uint64_t> granted;
  std::set<std::uint64_t> asked_back;
};

class RevokeRace : public DaemonTest {
 protected:
  RevokeRace() { Use(); }

  static void ReadRevoke(const Packet& packet, std::uint64_t buffer, Seen& seen) {
    for (std::uint32_t i = 0; i < packet.As<hlbuf_wire_revoke>().lease_count; ++i) {
      const auto lease = packet.ItemAt<hlbuf_wire_revoked_lease>(i);
      if (lease.buffer_id == buffer) seen.asked_back.insert(lease.lease_id);
    }
  }
  static void ReadOpened(const Packet& packet, Seen& seen) {
    const auto item = packet.ItemAt<hlbuf_wire_opened_item>(0);
    if (item.status != HLBUF_WIRE_OK) {
      EXPECT_TRUE(item.status == HLBUF_WIRE_REVOKED || item.status == HLBUF_WIRE_GONE)
          << item.status;
      return;
    }
    EXPECT_TRUE(seen.asked_back.empty()) << "granted after the buffer was asked back";
    EXPECT_EQ(packet.fds.size(), 1U);
    seen.granted.insert(item.lease_id);
  }

  // Keeps three requests on their way until one is refused, and reads everything that came.
  static void OpenUntilRevoked(RawClient& client, std::uint64_t buffer, std::atomic<int>& begun,
                               Seen& seen) {
    constexpr std::uint64_t kAhead = 3;
    std::uint64_t asked = 2, answered = 2;
    bool refused = false;
    while (!refused || answered < asked) {
      while (!refused && asked < answered + kAhead)
        ASSERT_EQ(client.Send(OpenFrame(++asked, {buffer})), 0);
      const std::optional<Packet> packet = client.Receive();
      ASSERT_TRUE(packet.has_value());
      if (packet->opcode() == HLBUF_WIRE_REVOKE) ReadRevoke(*packet, buffer, seen);
      if (packet->opcode() != HLBUF_WIRE_OPENED) continue;
      if (++answered == 10) ++begun;
      const std::size_t before = seen.granted.size();
      ReadOpened(*packet, seen);
      refused = refused || seen.granted.size() == before;
    }
    // A session that had a lease is asked for it. The notice may still be under way.
    while (!seen.granted.empty() && seen.asked_back.empty()) {
      const std::optional<Packet> packet = client.Receive();
      ASSERT_TRUE(packet.has_value());
      if (packet->opcode() == HLBUF_WIRE_REVOKE) ReadRevoke(*packet, buffer, seen);
    }
    EXPECT_EQ(seen.granted, seen.asked_back);
    ASSERT_EQ(client.Send(ReleaseFrame({seen.granted.begin(), seen.granted.end()})), 0);
  }

  // Threads that open one buffer until it is asked back by `revoke`, which is called meanwhile.
  template <class Revoke>
  void Race(Revoke revoke) {
    RawClient owner = Greeted();
    const std::optional<Packet> made = owner.Ask(AllocateFrame(2, kPage));
    ASSERT_TRUE(made.has_value());
    const auto buffer = made->As<hlbuf_wire_allocated>();
    std::vector<RawClient> clients;
    for (int i = 0; i < kThreads; ++i) clients.push_back(Greeted());
    std::vector<Seen> seen(kThreads);
    std::atomic<int> begun = 0;
    std::vector<std::thread> threads;
    for (int i = 0; i < kThreads; ++i)
      threads.emplace_back(
          [&, i] { OpenUntilRevoked(clients[i], buffer.buffer_id, begun, seen[i]); });
    EXPECT_TRUE(Eventually([&] { return begun == kThreads; }));
    std::future<RevocationSeen> revoking = revoke(buffer.buffer_id);
    for (std::thread& thread : threads) thread.join();
    ASSERT_EQ(owner.Send(ReleaseFrame({buffer.lease_id})), 0);
    const RevocationSeen result = revoking.get();
    std::size_t leases = 1;
    for (const Seen& one : seen) leases += one.granted.size();
    EXPECT_EQ(result.error, "");
    EXPECT_EQ(result.leases_told, leases);
    EXPECT_EQ(result.sessions_told, kThreads + 1U);
  }
};

TEST_F(RevokeRace, WithAnOperatorNeverGrantsWhatWasAskedBack) {
  ControlClient control(daemon().control_socket());
  for (int round = 0; round < 15; ++round)
    Race([&](std::uint64_t buffer) { return control.StartToRevoke(buffer, kLongMs); });
}

TEST_F(RevokeRace, WithAResetNeverGrantsWhatWasAskedBack) {
  ControlClient control(daemon().control_socket());
  for (int round = 0; round < 15; ++round)
    Race([&](std::uint64_t) { return control.StartToReset("dev0", kLongMs); });
}

}  // namespace
}  // namespace hlbuf
