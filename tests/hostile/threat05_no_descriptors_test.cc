// SPDX-License-Identifier: Apache-2.0
// A daemon without a free descriptor: a listener that stays readable must not keep it busy, and
// must not be lost.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <vector>

#include "tests/support/daemon_process.h"

namespace hlbuf {
namespace {

// Of one second: 5 %.
constexpr absl::Duration kAtRest = absl::Milliseconds(50);

class NoDescriptors : public DaemonTest {
 protected:
  NoDescriptors() {
    Start();
    EXPECT_EQ(::prlimit(daemon().pid(), RLIMIT_NOFILE, nullptr, &before_), 0);
  }
  void Limit(rlim_t soft) {
    const rlimit limit = {.rlim_cur = soft, .rlim_max = before_.rlim_max};
    ASSERT_EQ(::prlimit(daemon().pid(), RLIMIT_NOFILE, &limit, nullptr), 0);
  }
  // One above the largest that it has.
  rlim_t InUse() {
    rlim_t largest = 0;
    const std::string directory = "/proc/" + std::to_string(daemon().pid()) + "/fd";
    for (const auto& entry : std::filesystem::directory_iterator(directory))
      largest = std::max(largest, std::strtoul(entry.path().filename().c_str(), nullptr, 10));
    return largest + 1;
  }
  void ExpectAtRest() {
    const absl::Duration used = daemon().CpuTime();
    ASSERT_TRUE(daemon().RunsFor(1000));
    EXPECT_LT(daemon().CpuTime() - used, kAtRest);
  }
  void ExpectServesAgain() {
    Limit(before_.rlim_cur);
    const auto since = std::chrono::steady_clock::now();
    RawClient client = Greeted();
    EXPECT_LT(std::chrono::steady_clock::now() - since, std::chrono::seconds(1));
    EXPECT_EQ(client.Ask(DevicesFrame(2))->opcode(), HLBUF_WIRE_DEVICE_LIST);
  }

 private:
  rlimit before_ = {};
};

// It keeps one in reserve, to take connections with and close them.
TEST_F(NoDescriptors, TurnsConnectionsAway) {
  RawClient served = Greeted();
  Limit(InUse());
  std::vector<RawClient> taken;
  for (bool full = false; !full;) {
    taken.push_back(RawClient::Connect(daemon().client_socket()));
    ASSERT_TRUE(taken.back());
    const auto welcome =
        taken.back().Send(HelloFrame()) == 0 ? taken.back().Receive() : std::nullopt;
    full = !welcome.has_value();
  }
  std::vector<RawClient> refused;
  for (int i = 0; i < 1000; ++i) refused.push_back(RawClient::Connect(daemon().client_socket()));
  for (RawClient& client : refused) {
    ASSERT_TRUE(client);
    EXPECT_EQ(client.DrainToEnd(), 0);
  }
  ExpectAtRest();
  EXPECT_EQ(served.Ask(DevicesFrame(2))->opcode(), HLBUF_WIRE_DEVICE_LIST);
  ExpectServesAgain();
}

// Not even the reserve helps: the connections wait, and cost nothing meanwhile.
TEST_F(NoDescriptors, RestsWhenItCannotEvenTurnThemAway) {
  RawClient served = Greeted();
  Limit(3);
  std::vector<RawClient> waiting;
  for (int i = 0; i < 500; ++i) waiting.push_back(RawClient::Connect(daemon().client_socket()));
  ExpectAtRest();
  EXPECT_EQ(served.Ask(DevicesFrame(2))->opcode(), HLBUF_WIRE_DEVICE_LIST);
  waiting.resize(100);
  ExpectServesAgain();
  for (RawClient& client : waiting) {
    const auto welcome = client.Ask(HelloFrame());
    ASSERT_TRUE(welcome.has_value());
    EXPECT_EQ(welcome->opcode(), HLBUF_WIRE_WELCOME);
  }
}

}  // namespace
}  // namespace hlbuf
