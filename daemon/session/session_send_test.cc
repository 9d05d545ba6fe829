// SPDX-License-Identifier: Apache-2.0
// What becomes of frames that the kernel does not take. This program's own sendmsg() stands in
// front of the C library's: nothing else makes the kernel run out of memory at will.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/session_steps.h"

namespace {

std::atomic<int> failing_socket = -1;
std::atomic<int> failures_left = 0;
std::atomic<int> failure = 0;

}  // namespace

extern "C" ssize_t sendmsg(int socket, const msghdr* message, int flags) {
  if (socket == failing_socket && failures_left.fetch_sub(1) > 0) {
    errno = failure;
    return -1;
  }
  return ::syscall(SYS_sendmsg, socket, message, flags);
}

namespace hlbuf {
namespace {

class SessionSend : public testing::Test {
 protected:
  SessionSend() {
    EXPECT_EQ(client().Ask(HelloFrame())->opcode(), HLBUF_WIRE_WELCOME);
    buffer_ = Allocated(client());
  }
  ~SessionSend() override { failing_socket = -1; }

  RawClient& client() { return paired_.client; }
  int session_socket() const { return paired_.session_socket; }
  // The next `count` frames of the session fail like this.
  void Fail(int error, int count) {
    failure = error;
    failures_left = count;
    failing_socket = session_socket();
  }
  std::string HowItEnded() {
    rig_.Until(IsForgotten);
    std::string text;
    for (const Event& event : rig_.Events())
      if (event.kind == EventKind::kSessionEnded) text += event.text;
    return text;
  }

  SessionRig rig_;
  PairedClient paired_ = rig_.ConnectByPair();
  hlbuf_wire_allocated buffer_;
};

TEST_F(SessionSend, TriesAgainWhenTheKernelHadNoMemory) {
  for (const int error : {ENOBUFS, ENOMEM}) {
    Fail(error, 5);
    const std::optional<Packet> list = client().Ask(DevicesFrame(3));
    ASSERT_TRUE(list.has_value());
    EXPECT_EQ(list->opcode(), HLBUF_WIRE_DEVICE_LIST);
    Fail(error, 5);
    const std::optional<Packet> opened = client().Ask(OpenFrame(4, {buffer_.buffer_id}));
    ASSERT_TRUE(opened.has_value());
    EXPECT_EQ(opened->fds.size(), 1U);
    Fail(error, 5);
    const std::optional<Packet> made = client().Ask(AllocateFrame(5, 4096));
    ASSERT_TRUE(made.has_value());
    EXPECT_EQ(made->fds.size(), 1U);
  }
}

TEST_F(SessionSend, RestsBetweenItsAttempts) {
  Fail(ENOBUFS, 1'000'000);
  ASSERT_EQ(client().Send(DevicesFrame(3)), 0);
  EXPECT_LT(rig_.RoundsIn(300), 100U);
}

TEST_F(SessionSend, EndsWhileItWaitsForMemory) {
  Fail(ENOBUFS, 1'000'000);
  ASSERT_EQ(client().Send(DevicesFrame(3)), 0);
  rig_.Until([](Broker&) { return failures_left < 1'000'000; });
  client().Close();
  rig_.Until(IsForgotten);
}

TEST_F(SessionSend, EndsWhenThePeerReadsNoMore) {
  ASSERT_EQ(::shutdown(client().fd(), SHUT_RD), 0);
  ASSERT_EQ(client().Send(DevicesFrame(3)), 0);
  EXPECT_NE(HowItEnded().find("reads no more"), std::string::npos) << HowItEnded();
}

TEST_F(SessionSend, TakesWhatThePeerSentBeforeItsEndIsSeen) {
  RawClient other = RawClient::Greeted(rig_.path());
  ASSERT_EQ(other.Ask(OpenFrame(2, {buffer_.buffer_id}))->fds.size(), 1U);
  rig_.OnLoop([&](Broker&) {  // so that all of it is there when the loop goes on
    ASSERT_EQ(::shutdown(client().fd(), SHUT_RD), 0);
    ASSERT_EQ(client().Send(DevicesFrame(3)), 0);
    ASSERT_EQ(client().Send(
                  ShareFrame(4, HLBUF_WIRE_SHARE, buffer_.buffer_id, HLBUF_WIRE_GRANTEE_GID, 4242)),
              0);
  });
  rig_.Until([](Broker& broker) { return broker.ledger().sessions.size() == 1; });
  rig_.OnLoop([&](Broker& broker) {
    EXPECT_EQ(broker.ledger().registry.Find(BufferId{buffer_.buffer_id})->shares.size(), 1U);
  });
}

TEST_F(SessionSend, EndsWithAWordWhenAFrameNeverFits) {
  const int least = 1;  // the kernel makes it 4,608
  ASSERT_EQ(::setsockopt(session_socket(), SOL_SOCKET, SO_SNDBUF, &least, sizeof(least)), 0);
  ASSERT_EQ(client().Send(OpenFrame(3, std::vector<std::uint64_t>(253, buffer_.buffer_id))), 0);
  EXPECT_NE(HowItEnded().find("longer than the send buffer"), std::string::npos) << HowItEnded();
}

TEST(SessionSendBuffer, TakesAFrameWhateverTheDefaultIs) {
  SessionRig rig;
  int sockets[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets), 0);
  const int least = 1;
  ASSERT_EQ(::setsockopt(sockets[0], SOL_SOCKET, SO_SNDBUF, &least, sizeof(least)), 0);
  rig.OnLoop([&](Broker&) { rig.listener().Begin(UniqueFd(sockets[0])); });
  RawClient client{UniqueFd(sockets[1])};
  ASSERT_EQ(client.Ask(HelloFrame())->opcode(), HLBUF_WIRE_WELCOME);
  const auto buffer = Allocated(client);
  EXPECT_EQ(client.Ask(OpenFrame(3, std::vector<std::uint64_t>(253, buffer.buffer_id)))->fds.size(),
            253U);
}

}  // namespace
}  // namespace hlbuf
