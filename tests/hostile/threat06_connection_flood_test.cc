// SPDX-License-Identifier: Apache-2.0
// Connections of one user that never say HELLO.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <vector>

#include "tests/hostile/as_user.h"
#include "tests/support/daemon_process.h"

namespace hlbuf {
namespace {

class ConnectionFlood : public DaemonTest {};

TEST_F(ConnectionFlood, OfOneUserLeavesOthersServed) {
  constexpr int kConnections = 10'000;
  rlimit limit = {};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
  limit.rlim_max = std::max(limit.rlim_max, rlim_t{2 * kConnections});  // root may
  limit.rlim_cur = limit.rlim_max;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0) << "raise the hard limit of open files";
  // Who says nothing for too long is ended for that; here it is the number that counts.
  Start({.config = "[timing]\nhello_timeout = \"1m\"\n"});
  std::vector<RawClient> flood;
  for (int i = 1; i <= kConnections; ++i) {
    {
      const AsUser alice(Alice());
      flood.push_back(RawClient::Connect(daemon().client_socket()));
    }
    ASSERT_TRUE(flood.back());
    if (i % 500 != 0) continue;
    const auto asked = std::chrono::steady_clock::now();
    const AsUser bob(Bob());
    RawClient honest = Greeted();
    EXPECT_EQ(honest.Ask(DevicesFrame(2))->opcode(), HLBUF_WIRE_DEVICE_LIST);
    EXPECT_LT(std::chrono::steady_clock::now() - asked, std::chrono::seconds(2));
  }
  const std::optional<Packet> goodbye = flood.back().Receive();
  ASSERT_TRUE(goodbye.has_value()) << "it is told why it may not stay";
  EXPECT_EQ(goodbye->As<hlbuf_wire_goodbye>().reason, std::uint32_t{HLBUF_WIRE_GOODBYE_QUOTA});
  flood.clear();
}

TEST_F(ConnectionFlood, IsShedByTheDeadlineForHello) {
  Use();
  std::vector<RawClient> slow;
  for (int i = 0; i < 100; ++i) slow.push_back(RawClient::Connect(daemon().client_socket()));
  RawClient greeted = Greeted();
  for (RawClient& client : slow) {
    const std::optional<Packet> goodbye = client.Receive();
    ASSERT_TRUE(goodbye.has_value());
    EXPECT_EQ(goodbye->As<hlbuf_wire_goodbye>().reason, std::uint32_t{HLBUF_WIRE_GOODBYE_HELLO});
    EXPECT_FALSE(client.Receive().has_value());
  }
  EXPECT_EQ(greeted.Ask(DevicesFrame(2))->opcode(), HLBUF_WIRE_DEVICE_LIST);
}

}  // namespace
}  // namespace hlbuf
