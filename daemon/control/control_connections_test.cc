// SPDX-License-Identifier: Apache-2.0
// The test plays gRPC: it owns the descriptors that Admit() gives out.
#include "daemon/control/control_connections.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <memory>
#include <optional>

#include "absl/strings/str_cat.h"
#include "daemon/core/error.h"
#include "tests/support/loop_thread.h"

namespace hlbuf {
namespace {

Caller CallerOf(uid_t uid) { return {.peer = {.uid = uid, .pid = 1}, .role = Role::kViewer}; }

struct Pair {
  UniqueFd ours, theirs;
};

Pair MakePair() {
  int fds[2] = {-1, -1};
  EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
  return {.ours = UniqueFd(fds[0]), .theirs = UniqueFd(fds[1])};
}

class ControlConnectionsTest : public testing::Test {
 protected:
  static constexpr int kBegin = 400;

  ControlConnectionsTest() { Open({.begin = kBegin, .end = kBegin + 1}, {.uid = 4, .all = 8}); }
  ~ControlConnectionsTest() override {
    thread_.OnLoop([this] { connections_.reset(); });
  }
  void Open(FdWindow window, CallerQuota::Limits limits) {
    connections_ = std::make_unique<ControlConnections>(thread_.loop(), window, limits);
    if (!started_) thread_.Start();
    started_ = true;
  }

  absl::StatusOr<UniqueFd> Admit(UniqueFd socket, uid_t uid) {
    std::optional<absl::StatusOr<UniqueFd>> admitted;
    thread_.OnLoop([&] { admitted = connections_->Admit(std::move(socket), CallerOf(uid)); });
    return *std::move(admitted);
  }
  // The uid behind a number, as a call of it would find it.
  std::optional<uid_t> Find(absl::string_view peer) {
    std::optional<uid_t> uid;
    thread_.OnLoop([&] {
      if (const Caller* caller = connections_->Find(peer)) uid = caller->peer.uid;
    });
    return uid;
  }
  std::optional<uid_t> Find(int number) { return Find(absl::StrCat("fd:", number)); }
  bool UntilGone(int number) {
    return thread_.Until(
        [&] { return connections_->Find(absl::StrCat("fd:", number)) == nullptr; });
  }
  std::size_t Counted() {
    std::size_t counted = 0;
    thread_.OnLoop([&] { counted = connections_->counted(); });
    return counted;
  }

  LoopThread thread_;
  bool started_ = false;
  std::unique_ptr<ControlConnections> connections_;
};

TEST_F(ControlConnectionsTest, KnowWhoIsBehindADescriptor) {
  Pair pair = MakePair();
  const absl::StatusOr<UniqueFd> fd = Admit(std::move(pair.ours), 1000);
  ASSERT_TRUE(fd.ok()) << fd.status();
  EXPECT_EQ(fd->get(), kBegin);
  EXPECT_NE(::fcntl(fd->get(), F_GETFD) & FD_CLOEXEC, 0);
  EXPECT_EQ(Find(kBegin), 1000u);
}

TEST_F(ControlConnectionsTest, KnowNobodyElse) {
  Pair pair = MakePair();
  const absl::StatusOr<UniqueFd> fd = Admit(std::move(pair.ours), 1000);
  for (const absl::string_view peer : {"", "fd:", "fd:401", "fd:-1", "fd:400x", "unix:", "unix:400",
                                       "ipv4:127.0.0.1:400", "FD:400", "fd:99999999999999999999"})
    EXPECT_EQ(Find(peer), std::nullopt) << peer;
}

TEST_F(ControlConnectionsTest, ForgetAPeerThatHangsUp) {
  // Before `fd`, which so is closed before they are: what they tell the loop has it looked at.
  Pair pair = MakePair(), next = MakePair();
  absl::StatusOr<UniqueFd> fd = Admit(std::move(pair.ours), 1000);
  pair.theirs.Reset();
  EXPECT_TRUE(UntilGone(kBegin));
  EXPECT_EQ(Counted(), 1u) << "gRPC has not closed its descriptor";
  fd->Reset();
  fd = Admit(std::move(next.ours), 1001);
  EXPECT_EQ(Counted(), 1u);
  EXPECT_EQ(Find(kBegin), 1001u);
}

TEST_F(ControlConnectionsTest, ForgetAPeerThatGrpcHangsUpOn) {
  Pair pair = MakePair();
  absl::StatusOr<UniqueFd> fd = Admit(std::move(pair.ours), 1000);
  EXPECT_EQ(::shutdown(fd->get(), SHUT_RDWR), 0);  // as gRPC does before it closes
  EXPECT_TRUE(UntilGone(kBegin));
  char byte = 0;
  EXPECT_EQ(::recv(pair.theirs.get(), &byte, 1, 0), 0) << "the peer sees the end";
}

TEST_F(ControlConnectionsTest, GiveANumberOutAgainOnlyWithItsNewIdentity) {
  Pair first = MakePair(), second = MakePair();
  absl::StatusOr<UniqueFd> fd = Admit(std::move(first.ours), 1000);
  // gRPC closes, and the next connection is accepted, before the loop heard of the end of the
  // first.
  thread_.OnLoop([&] {
    fd->Reset();
    first.theirs.Reset();
    fd = connections_->Admit(std::move(second.ours), CallerOf(1001));
    ASSERT_TRUE(fd.ok()) << fd.status();
    EXPECT_EQ(fd->get(), kBegin);
    EXPECT_EQ(connections_->Find("fd:400")->peer.uid, 1001u);
  });
  EXPECT_EQ(Find(kBegin), 1001u) << "the first one's hang-up takes nothing from the second";
  second.theirs.Reset();
  EXPECT_TRUE(UntilGone(kBegin));
}

TEST_F(ControlConnectionsTest, DoNotGiveOutANumberThatGrpcStillHas) {
  Pair first = MakePair(), second = MakePair();
  absl::StatusOr<UniqueFd> fd = Admit(std::move(first.ours), 1000);
  first.theirs.Reset();
  EXPECT_TRUE(UntilGone(kBegin));
  const absl::StatusOr<UniqueFd> refused = Admit(std::move(second.ours), 1001);
  EXPECT_EQ(ErrorCodeOf(refused.status()), ErrorCode::kBusy);
  EXPECT_EQ(Find(kBegin), std::nullopt);
}

TEST_F(ControlConnectionsTest, WalkTheirWindow) {
  Open({.begin = kBegin, .end = kBegin + 3}, {.uid = 8, .all = 8});
  std::vector<int> numbers;
  for (int i = 0; i < 7; ++i) {
    Pair pair = MakePair();
    absl::StatusOr<UniqueFd> fd = Admit(std::move(pair.ours), 1000);
    ASSERT_TRUE(fd.ok()) << fd.status();
    numbers.push_back(fd->get());
  }
  EXPECT_EQ(numbers, (std::vector<int>{400, 401, 402, 400, 401, 402, 400}));
}

TEST_F(ControlConnectionsTest, AreBoundedForEachUid) {
  Open({.begin = kBegin, .end = kBegin + 100}, {.uid = 2, .all = 100});
  std::vector<Pair> pairs;
  std::vector<UniqueFd> fds;
  for (int i = 0; i < 3; ++i) {
    pairs.push_back(MakePair());
    absl::StatusOr<UniqueFd> fd = Admit(std::move(pairs.back().ours), 1000);
    if (fd.ok()) fds.push_back(*std::move(fd));
  }
  EXPECT_EQ(fds.size(), 2u);
  char byte = 0;
  EXPECT_EQ(::recv(pairs[2].theirs.get(), &byte, 1, 0), 0) << "the third was closed";
  pairs.push_back(MakePair());
  EXPECT_TRUE(Admit(std::move(pairs.back().ours), 1001).ok());
}

TEST_F(ControlConnectionsTest, LeaveNoDescriptorBehind) {
  const UniqueFd before(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  Open({.begin = kBegin, .end = kBegin + 100}, {.uid = 100, .all = 100});
  for (int i = 0; i < 50; ++i) {
    Pair pair = MakePair();
    absl::StatusOr<UniqueFd> fd = Admit(std::move(pair.ours), 1000);
    ASSERT_TRUE(fd.ok()) << fd.status();
  }
  EXPECT_TRUE(thread_.Until([this] { return connections_->size() == 0; }));
  thread_.OnLoop([] {});  // what was posted to be destroyed is
  const UniqueFd after(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(after.get(), before.get() + 1);
}

}  // namespace
}  // namespace hlbuf
