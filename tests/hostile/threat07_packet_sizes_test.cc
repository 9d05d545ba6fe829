// SPDX-License-Identifier: Apache-2.0
// Packets that are empty, tiny, as long as a frame may be, and longer.
#include <gtest/gtest.h>

#include <cerrno>

#include "tests/support/daemon_process.h"

namespace hlbuf {
namespace {

class PacketSizes : public DaemonTest,
                    public testing::WithParamInterface<std::tuple<std::size_t, bool>> {
 protected:
  PacketSizes() { Use(); }
};

TEST_P(PacketSizes, CostTheSenderItsSessionAndNobodyElseAnything) {
  const auto [size, greeted] = GetParam();
  RawClient client = greeted ? Greeted() : RawClient::Connect(daemon().client_socket());
  const int sent = client.Send(std::vector<std::byte>(size, std::byte{0xa5}));
  if (sent == EMSGSIZE) return;  // the kernel's own limit comes first
  ASSERT_EQ(sent, 0);
  EXPECT_EQ(client.DrainToEnd(), HLBUF_WIRE_GOODBYE);
}

INSTANTIATE_TEST_SUITE_P(
    FromEmptyToHuge, PacketSizes,
    testing::Combine(testing::Values(0, 1, sizeof(hlbuf_wire_header) - 1, sizeof(hlbuf_wire_header),
                                     HLBUF_WIRE_FRAME_BYTES_MAX - 1, HLBUF_WIRE_FRAME_BYTES_MAX,
                                     HLBUF_WIRE_FRAME_BYTES_MAX + 1, 200 * 1024),
                     testing::Bool()));

class LongestFrame : public DaemonTest {};

// What a later client appended to a fixed part is skipped, however long it is.
TEST_F(LongestFrame, IsTaken) {
  Use();
  RawClient client = Greeted();
  std::vector<std::byte> frame = DevicesFrame(2);
  frame.resize(HLBUF_WIRE_FRAME_BYTES_MAX);
  auto& header = *reinterpret_cast<hlbuf_wire_header*>(frame.data());
  header.frame_bytes = HLBUF_WIRE_FRAME_BYTES_MAX;
  header.fixed_bytes = HLBUF_WIRE_FRAME_BYTES_MAX;
  const std::optional<Packet> answer = client.Ask(frame);
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->opcode(), HLBUF_WIRE_DEVICE_LIST);
}

}  // namespace
}  // namespace hlbuf
