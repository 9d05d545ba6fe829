// SPDX-License-Identifier: Apache-2.0
// Descriptors that nobody asked for. TearDown() compares the daemon's own with those at its start.
#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "tests/hostile/let_through.h"
#include "tests/support/daemon_process.h"

namespace hlbuf {
namespace {

struct Case {
  const char* name;
  std::size_t count;
  std::vector<std::byte> (*frame)();
  bool greeted;
};

std::vector<std::byte> Hello() { return HelloFrame(); }
std::vector<std::byte> Request() { return AllocateFrame(2, 4096); }
std::vector<std::byte> Broken() { return std::vector<std::byte>(17); }
std::vector<std::byte> Half() {
  std::vector<std::byte> frame = OpenFrame(2, {1});
  frame.resize(frame.size() / 2);
  return frame;
}
std::vector<std::byte> TooLong() { return std::vector<std::byte>(HLBUF_WIRE_FRAME_BYTES_MAX + 1); }

class UnsolicitedDescriptors : public DaemonTest, public testing::WithParamInterface<Case> {
 protected:
  RawClient Client() {
    return GetParam().greeted ? Greeted() : RawClient::Connect(daemon().client_socket());
  }
  int SendThem(RawClient& client) {
    return client.Send(GetParam().frame(), std::vector<int>(GetParam().count, STDERR_FILENO));
  }
};

// Linux 6.16 lets a socket refuse them: the sender gets EPERM, and the session goes on.
TEST_P(UnsolicitedDescriptors, AreRefusedByTheKernelWhereItCan) {
  Use();
  RawClient client = Client();
  const int sent = SendThem(client);
  if (sent == 0) {
    EXPECT_EQ(client.DrainToEnd(), HLBUF_WIRE_GOODBYE);
    return;
  }
  EXPECT_EQ(sent, EPERM);
  const auto next = client.Ask(GetParam().greeted ? DevicesFrame(3) : HelloFrame());
  ASSERT_TRUE(next.has_value());
  EXPECT_NE(next->opcode(), HLBUF_WIRE_ERROR);
}

TEST_P(UnsolicitedDescriptors, AreClosedAndEndTheSessionWhereTheyArrive) {
  Start();
  if (const int error = LetDescriptorsThrough(daemon()); error != 0)
    // A container without CAP_SYS_PTRACE may not reach into another process.
    GTEST_SKIP() << "cannot let descriptors through: " << std::strerror(error);
  for (int round = 0; round < 20; ++round) {
    RawClient client = Client();
    ASSERT_EQ(SendThem(client), 0);
    EXPECT_EQ(client.DrainToEnd(), HLBUF_WIRE_GOODBYE);
  }
}

INSTANTIATE_TEST_SUITE_P(With, UnsolicitedDescriptors,
                         testing::Values(Case{"HelloOne", 1, Hello, false},
                                         Case{"HelloMost", HLBUF_WIRE_BATCH_MAX, Hello, false},
                                         Case{"RequestOne", 1, Request, true},
                                         Case{"RequestMost", HLBUF_WIRE_BATCH_MAX, Request, true},
                                         Case{"BrokenOne", 1, Broken, true},
                                         Case{"BrokenMost", HLBUF_WIRE_BATCH_MAX, Broken, true},
                                         Case{"HalfOne", 1, Half, true},
                                         Case{"HalfMost", HLBUF_WIRE_BATCH_MAX, Half, false},
                                         Case{"TooLongMost", HLBUF_WIRE_BATCH_MAX, TooLong, true}),
                         [](const testing::TestParamInfo<Case>& with) {
                           return std::string(with.param.name);
                         });

class TooManyDescriptors : public DaemonTest {};

TEST_F(TooManyDescriptors, NeverLeaveTheSender) {
  Use();
  RawClient client = Greeted();
  EXPECT_EQ(client.Send(DevicesFrame(2), std::vector<int>(HLBUF_WIRE_BATCH_MAX + 1, STDERR_FILENO)),
            EINVAL);
  EXPECT_EQ(client.Ask(DevicesFrame(3))->opcode(), HLBUF_WIRE_DEVICE_LIST);
}

}  // namespace
}  // namespace hlbuf
