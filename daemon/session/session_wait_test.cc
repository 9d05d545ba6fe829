// SPDX-License-Identifier: Apache-2.0
// Allocations that wait for their device, as a client sees them.
#include <gtest/gtest.h>

#include "daemon/core/error.h"
#include "tests/support/raw_client.h"
#include "tests/support/session_rig.h"
#include "tests/support/session_steps.h"

namespace hlbuf {
namespace {

std::vector<std::byte> WaitingFrame(std::uint64_t cookie, std::uint32_t wait_ms = UINT32_MAX) {
  return MakeFrame<hlbuf_wire_allocate>({.size_bytes = 4096, .wait_ms = wait_ms},
                                        HLBUF_WIRE_ALLOCATE, cookie);
}

// A client that holds a buffer which a reset has asked back.
class WaitingAllocate : public testing::Test {
 protected:
  WaitingAllocate() : held_(Allocated(client_)) {
    rig_.OnLoop([](Broker& broker) {
      EXPECT_TRUE(broker
                      .SimulateReset(broker.devices().front()->name(), Drill::kNone,
                                     absl::Minutes(10), [](const ResetReport&) {})
                      .ok());
    });
  }

  SessionRig rig_;
  RawClient client_ = RawClient::Greeted(rig_.path());
  hlbuf_wire_allocated held_;
};

// What it gives back is what the reset waits for.
TEST_F(WaitingAllocate, LetsTheSessionGoOnMeanwhile) {
  constexpr std::uint64_t kFirst = 100;
  for (std::size_t i = 0; i < WaitingAllocations::kPerSession; ++i)
    ASSERT_EQ(client_.Send(WaitingFrame(kFirst + i)), 0);
  const std::optional<Packet> devices = client_.Ask(DevicesFrame(7));
  ASSERT_TRUE(devices.has_value());
  EXPECT_EQ(devices->opcode(), HLBUF_WIRE_DEVICE_LIST);
  const std::optional<Packet> one_more = client_.Ask(WaitingFrame(8));
  ASSERT_TRUE(one_more.has_value());
  EXPECT_EQ(one_more->As<hlbuf_wire_error>().status, std::uint32_t{HLBUF_WIRE_QUOTA_EXCEEDED});
  ASSERT_EQ(client_.Send(ReleaseFrame({held_.lease_id})), 0);
  for (std::size_t i = 0; i < WaitingAllocations::kPerSession; ++i) {
    const std::optional<Packet> answer = client_.ReceiveAnswer();
    ASSERT_TRUE(answer.has_value());
    EXPECT_EQ(answer->opcode(), HLBUF_WIRE_ALLOCATED) << answer->text();
    EXPECT_EQ(answer->cookie(), kFirst + i);
    EXPECT_EQ(answer->As<hlbuf_wire_allocated>().epoch, held_.epoch + 1);
  }
}

TEST_F(WaitingAllocate, IsAnsweredWhenItsTimeIsOver) {
  const std::optional<Packet> late = client_.Ask(WaitingFrame(7, 1));
  ASSERT_TRUE(late.has_value());
  EXPECT_EQ(late->As<hlbuf_wire_error>().status, std::uint32_t{HLBUF_WIRE_DEVICE_UNAVAILABLE});
}

TEST_F(WaitingAllocate, EndsWithItsConnection) {
  ASSERT_EQ(client_.Send(WaitingFrame(7)), 0);
  rig_.Until([](Broker& broker) {
    return broker.ledger().sessions.begin()->second->waiting_allocations == 1;
  });
  client_ = RawClient();
  rig_.Until([](Broker& broker) {
    return broker.ledger().sessions.empty() &&
           broker.devices().front()->state() == DeviceState::kReady;
  });
  rig_.OnLoop([](Broker& broker) { EXPECT_TRUE(broker.ledger().leases.empty()); });
}

}  // namespace
}  // namespace hlbuf
