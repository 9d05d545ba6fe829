// SPDX-License-Identifier: Apache-2.0
// Connections that want sessions back which are not theirs, or never finish saying so.
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <vector>

#include "tests/hostile/as_user.h"
#include "tests/support/daemon_process.h"

namespace hlbuf {
namespace {

class ReattachFlood : public DaemonTest {
 protected:
  void ExpectServed() {
    const auto asked = std::chrono::steady_clock::now();
    RawClient honest = Greeted();
    EXPECT_EQ(honest.Ask(DevicesFrame(2))->opcode(), HLBUF_WIRE_DEVICE_LIST);
    EXPECT_LT(std::chrono::steady_clock::now() - asked, std::chrono::seconds(2));
  }
};

// The session that is asked for is there, and is being served.
TEST_F(ReattachFlood, OfGuessesCostsAConnectionEach) {
  constexpr int kGuesses = 2'000;
  Use();
  RawClient victim = RawClient::Connect(daemon().client_socket());
  const auto welcome = victim.Ask(HelloAgainFrame())->As<hlbuf_wire_welcome>();
  const std::size_t log_bytes = daemon().Log().size();
  for (int i = 0; i < kGuesses; ++i) {
    ReattachAsk guess = {.session = welcome.session_id};
    std::memcpy(guess.secret, &i, sizeof(i));
    RawClient thief = RawClient::Connect(daemon().client_socket());
    ASSERT_TRUE(thief);
    const std::optional<Packet> answer = thief.Ask(ReattachFrame(5, guess));
    ASSERT_TRUE(answer.has_value());
    ASSERT_EQ(answer->opcode(), HLBUF_WIRE_ERROR);
    // The connection is used up: another guess over it is not read.
    static_cast<void>(thief.Send(ReattachFrame(6, guess)));
    ASSERT_EQ(thief.DrainToEnd(), HLBUF_WIRE_GOODBYE);
  }
  EXPECT_LT(daemon().Log().size() - log_bytes, 20'000U) << "one line for each is too many";
  EXPECT_EQ(victim.Ask(DevicesFrame(3))->opcode(), HLBUF_WIRE_DEVICE_LIST);
  ExpectServed();
}

TEST_F(ReattachFlood, OfPartsWithoutAnEndIsBounded) {
  constexpr int kConnections = 40;
  constexpr int kParts = 200;
  Use();
  const std::vector<std::uint64_t> leases(HLBUF_WIRE_LEASES_MAX, 7);
  const std::vector<std::byte> part =
      ReattachFrame(5, {.session = 7, .leases = leases, .more = true});
  std::vector<RawClient> flood;
  for (int i = 0; i < kConnections; ++i) {
    const AsUser alice(Alice());
    flood.push_back(RawClient::Connect(daemon().client_socket()));
    ASSERT_TRUE(flood.back());
    for (int n = 0; n < kParts; ++n)
      if (flood.back().Send(part, {}, MSG_DONTWAIT) == EPIPE) break;
  }
  ExpectServed();
  for (RawClient& client : flood) EXPECT_EQ(client.DrainToEnd(), HLBUF_WIRE_GOODBYE);
  ExpectServed();
}

}  // namespace
}  // namespace hlbuf
