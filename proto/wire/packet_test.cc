// SPDX-License-Identifier: Apache-2.0
#include "proto/wire/packet.h"

#include <dirent.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/resource.h>

#include <string_view>
#include <thread>

namespace hlbuf {
namespace {

struct Pair {
  Pair() {
    int fds[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
    ours = UniqueFd(fds[0]);
    theirs = UniqueFd(fds[1]);
  }
  UniqueFd ours, theirs;
};

int OpenFds() {
  int n = 0;
  DIR* d = ::opendir("/proc/self/fd");
  while (::readdir(d) != nullptr) ++n;
  ::closedir(d);
  return n;
}

absl::Span<const std::byte> Bytes(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

TEST(Packet, BringsBytesAndEveryCountOfDescriptorsCloseOnExec) {
  Pair pair;
  PacketBuffer buffer;
  for (std::size_t count = 0; count <= HLBUF_WIRE_BATCH_MAX; ++count) {
    const std::vector<int> fds(count, STDERR_FILENO);
    ASSERT_TRUE(SendPacket(pair.ours.get(), Bytes("x"), fds).ok());
    ASSERT_TRUE(ReceivePacket(pair.theirs.get(), buffer).ok());
    ASSERT_EQ(buffer.fds().size(), count);
    for (const UniqueFd& fd : buffer.fds()) EXPECT_EQ(::fcntl(fd.get(), F_GETFD), FD_CLOEXEC);
  }
}

TEST(Packet, RefusesToSendMoreDescriptorsThanTheKernelTakes) {
  Pair pair;
  const std::vector<int> fds(HLBUF_WIRE_BATCH_MAX + 1, STDERR_FILENO);
  EXPECT_EQ(SendPacket(pair.ours.get(), Bytes("x"), fds).code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(Packet, TellsAnEmptyPacketFromEndOfFile) {
  Pair pair;
  PacketBuffer buffer;
  ASSERT_TRUE(SendPacket(pair.ours.get(), {}).ok());
  ASSERT_TRUE(ReceivePacket(pair.theirs.get(), buffer).ok());
  EXPECT_TRUE(buffer.bytes().empty());
  EXPECT_EQ(ReceivePacket(pair.theirs.get(), buffer).code(), absl::StatusCode::kUnavailable);
  pair.ours.Reset();
  EXPECT_EQ(ReceivePacket(pair.theirs.get(), buffer).code(), absl::StatusCode::kOutOfRange);
}

TEST(Packet, TakesALongestFrameAndRefusesALongerOne) {
  Pair pair;
  PacketBuffer buffer;
  std::vector<std::byte> frame(HLBUF_WIRE_FRAME_BYTES_MAX);
  ASSERT_TRUE(SendPacket(pair.ours.get(), frame).ok());
  ASSERT_TRUE(ReceivePacket(pair.theirs.get(), buffer).ok());
  EXPECT_EQ(buffer.bytes().size(), frame.size());
  frame.emplace_back();
  ASSERT_TRUE(SendPacket(pair.ours.get(), frame).ok());
  EXPECT_EQ(ReceivePacket(pair.theirs.get(), buffer).code(), absl::StatusCode::kDataLoss);
}

TEST(Packet, ClosesWhatArrivedWhenTheListOfDescriptorsIsCutShort) {
  Pair pair;
  PacketBuffer buffer;
  const std::vector<int> fds(20, STDERR_FILENO);
  ASSERT_TRUE(SendPacket(pair.ours.get(), Bytes("x"), fds).ok());
  const int before = OpenFds();
  rlimit old;
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &old), 0);
  const int next = ::dup(STDERR_FILENO);
  ::close(next);
  const rlimit low = {.rlim_cur = static_cast<rlim_t>(next) + 5, .rlim_max = old.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &low), 0);
  const absl::Status got = ReceivePacket(pair.theirs.get(), buffer);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &old), 0);
  EXPECT_EQ(got.code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(OpenFds(), before);
}

TEST(Packet, KnowsWhenThePeerTookEverything) {
  Pair pair;
  PacketBuffer buffer;
  EXPECT_TRUE(PeerTookEverything(pair.ours.get()));
  ASSERT_TRUE(SendPacket(pair.ours.get(), Bytes("x")).ok());
  EXPECT_FALSE(PeerTookEverything(pair.ours.get()));
  ASSERT_TRUE(ReceivePacket(pair.theirs.get(), buffer).ok());
  EXPECT_TRUE(PeerTookEverything(pair.ours.get()));
}

// The last wake-up for a packet can come before the kernel has let go of the packet altogether.
TEST(Packet, TheEdgeThatTellsOfTheLastPacketFindsEverythingTaken) {
  Pair pair;
  const UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  epoll_event event = {.events = EPOLLOUT | EPOLLET, .data = {}};
  ASSERT_EQ(::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, pair.ours.get(), &event), 0);
  std::thread reader([socket = pair.theirs.get()] {
    char byte = 0;
    while (::recv(socket, &byte, 1, 0) > 0) continue;
  });
  bool lost = false;
  for (int i = 0; i < 20'000 && !lost; ++i) {
    EXPECT_TRUE(SendPacket(pair.ours.get(), Bytes("x")).ok());
    while (!lost && !PeerTookEverything(pair.ours.get()))
      lost = ::epoll_wait(epoll.get(), &event, 1, 10'000) != 1;
  }
  EXPECT_FALSE(lost) << "no wake-up came for a packet that was taken";
  pair.ours.Reset();
  reader.join();
}

TEST(Packet, SaysUnavailableWhenThePeersQueueIsFull) {
  Pair pair;
  const std::vector<std::byte> frame(HLBUF_WIRE_FRAME_BYTES_MAX);
  absl::Status status;
  for (int i = 0; i < 1000 && status.ok(); ++i) status = SendPacket(pair.ours.get(), frame);
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
}

TEST(Packet, ReportsAPeerThatHasGone) {
  Pair pair;
  pair.theirs.Reset();
  EXPECT_EQ(SendPacket(pair.ours.get(), Bytes("x")).code(), absl::StatusCode::kOutOfRange);
}

TEST(Packet, ReportsAPeerThatLeftAPacketUnread) {
  Pair pair;
  ASSERT_TRUE(SendPacket(pair.ours.get(), Bytes("x")).ok());
  pair.theirs.Reset();
  EXPECT_EQ(SendPacket(pair.ours.get(), Bytes("x")).code(), absl::StatusCode::kOutOfRange);
}

TEST(Packet, ReportsAPacketThatNeverFits) {
  Pair pair;
  const int least = 1;  // the kernel makes it 4,608
  ASSERT_EQ(::setsockopt(pair.ours.get(), SOL_SOCKET, SO_SNDBUF, &least, sizeof(least)), 0);
  const std::vector<std::byte> frame(HLBUF_WIRE_FRAME_BYTES_MAX);
  EXPECT_EQ(SendPacket(pair.ours.get(), frame).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(SendPacket(pair.ours.get(), Bytes("x")).ok());
}

// A pipe whose writing end is in a packet that nobody takes hangs up when the packet is discarded.
TEST(Packet, DiscardsEveryDescriptorThatIsLeft) {
  for (const bool closed : {false, true}) {
    Pair pair;
    int pipe[2];
    ASSERT_EQ(::pipe2(pipe, O_CLOEXEC), 0);
    const UniqueFd reader(pipe[0]);
    UniqueFd writer(pipe[1]);
    ASSERT_TRUE(SendPacket(pair.ours.get(), Bytes("x")).ok());
    ASSERT_TRUE(SendPacket(pair.theirs.get(), {}).ok());
    ASSERT_TRUE(SendPacket(pair.theirs.get(), {}, {writer.get()}).ok());
    ASSERT_TRUE(SendPacket(pair.theirs.get(), {}).ok());
    ASSERT_TRUE(SendPacket(pair.theirs.get(), Bytes("long"), {writer.get(), writer.get()}).ok());
    writer.Reset();
    if (closed) pair.theirs.Reset();  // with a packet unread: ECONNRESET
    ASSERT_EQ(::shutdown(pair.ours.get(), SHUT_RDWR), 0);
    pollfd p = {.fd = reader.get(), .events = POLLIN, .revents = 0};
    EXPECT_EQ(::poll(&p, 1, 0), 0);
    DiscardReceived(pair.ours.get());
    EXPECT_EQ(::poll(&p, 1, 10'000), 1);
  }
}

}  // namespace
}  // namespace hlbuf
