// SPDX-License-Identifier: Apache-2.0
// The padding of a control message has room for one descriptor more than was asked for: cmsg_len
// decides what arrived.
#include <gtest/gtest.h>
#include <sys/socket.h>

#include "proto/wire/packet.h"
#include "tests/support/child.h"

namespace hlbuf {
namespace {

TEST(ControlPadding, LosesNoDescriptorWhateverTheirNumber) {
  int pair[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
  const UniqueFd ours(pair[0]);
  const UniqueFd theirs(pair[1]);
  const std::byte byte{1};
  PacketBuffer buffer;
  const std::size_t before = CountDescriptors();
  for (std::size_t count = 0; count <= HLBUF_WIRE_BATCH_MAX; ++count) {
    ASSERT_TRUE(SendPacket(ours.get(), {&byte, 1}, std::vector<int>(count, STDERR_FILENO)).ok());
    ASSERT_TRUE(ReceivePacket(theirs.get(), buffer).ok());
    EXPECT_EQ(buffer.fds().size(), count);
    EXPECT_EQ(CountDescriptors(), before + count);
  }
  buffer.fds().clear();
  EXPECT_EQ(CountDescriptors(), before);
}

}  // namespace
}  // namespace hlbuf
