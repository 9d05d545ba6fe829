// SPDX-License-Identifier: Apache-2.0
#include "daemon/control/control_acceptor.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>
#include <memory>
#include <vector>

#include "tests/support/fake_clock.h"
#include "tests/support/loop_thread.h"

namespace hlbuf {
namespace {

// An abstract address that the kernel chooses.
UniqueFd Listen(sockaddr_un& address, socklen_t& length) {
  UniqueFd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  address.sun_family = AF_UNIX;
  length = sizeof(sa_family_t);
  EXPECT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), length), 0);
  length = sizeof(address);
  EXPECT_EQ(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &length), 0);
  EXPECT_EQ(::listen(listener.get(), 4096), 0);
  return listener;
}

bool HasEnded(int socket) {
  char byte = 0;
  return ::recv(socket, &byte, 1, MSG_DONTWAIT) == 0;
}

class ControlAcceptorTest : public testing::Test {
 protected:
  ControlAcceptorTest() {
    UniqueFd listener = Listen(address_, length_);
    acceptor_ = *ControlAcceptor::Start(
        thread_.loop(), clock_, deadlines_, std::move(listener),
        [this](UniqueFd socket) { accepted_.push_back(std::move(socket)); },
        [this] { ++refused_; });
    thread_.Start();
  }
  ~ControlAcceptorTest() override {
    thread_.OnLoop([this] { acceptor_.reset(); });
  }

  static std::vector<UniqueFd> Sockets(int count) {
    std::vector<UniqueFd> sockets;
    for (int i = 0; i < count; ++i)
      sockets.emplace_back(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    return sockets;
  }
  void Connect(int socket) {
    EXPECT_EQ(::connect(socket, reinterpret_cast<sockaddr*>(&address_), length_), 0);
  }
  bool UntilAccepted(std::size_t count) {
    return thread_.Until([&] { return accepted_.size() == count; });
  }

  sockaddr_un address_ = {};
  socklen_t length_ = 0;
  FakeClock clock_;
  Deadlines deadlines_;
  std::vector<UniqueFd> accepted_;
  int refused_ = 0;
  LoopThread thread_;
  std::unique_ptr<ControlAcceptor> acceptor_;
};

// Takes every descriptor that the process may still have.
class Exhaustion {
 public:
  Exhaustion() {
    EXPECT_EQ(::getrlimit(RLIMIT_NOFILE, &before_), 0);
    rlimit low = before_;
    low.rlim_cur = 200;
    EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &low), 0);
    for (;;) {
      UniqueFd fd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
      if (!fd) break;
      taken_.push_back(std::move(fd));
    }
  }
  ~Exhaustion() {
    taken_.clear();
    EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &before_), 0);
  }

 private:
  rlimit before_ = {};
  std::vector<UniqueFd> taken_;
};

TEST_F(ControlAcceptorTest, AcceptsWhoeverConnects) {
  const std::vector<UniqueFd> sockets = Sockets(40);
  for (const UniqueFd& socket : sockets) Connect(socket.get());
  ASSERT_TRUE(UntilAccepted(40));
  for (const UniqueFd& socket : accepted_) {
    EXPECT_NE(::fcntl(socket.get(), F_GETFD) & FD_CLOEXEC, 0);
    EXPECT_NE(::fcntl(socket.get(), F_GETFL) & O_NONBLOCK, 0);
  }
}

TEST_F(ControlAcceptorTest, RefusesAtOnceWhenNoDescriptorIsLeftThenWaits) {
  const std::vector<UniqueFd> sockets = Sockets(4);
  const Exhaustion exhaustion;
  Connect(sockets[0].get());
  ASSERT_TRUE(thread_.Until([&] { return refused_ == 1; }));
  EXPECT_TRUE(HasEnded(sockets[0].get()));
  // The clock stands still: nothing more is accepted, and nothing is closed.
  Connect(sockets[1].get());
  Connect(sockets[2].get());
  thread_.OnLoop([] {});
  thread_.OnLoop([this] {
    EXPECT_EQ(refused_, 1);
    EXPECT_EQ(deadlines_.Next(), clock_.Now() + ControlAcceptor::kBackOff);
  });
  EXPECT_FALSE(HasEnded(sockets[1].get()));
  EXPECT_FALSE(HasEnded(sockets[2].get()));
  thread_.OnLoop([this] {
    clock_.Advance(ControlAcceptor::kBackOff);
    deadlines_.Run(clock_.Now());
  });
  ASSERT_TRUE(thread_.Until([&] { return refused_ == 2; }));
  EXPECT_TRUE(HasEnded(sockets[1].get()));
  EXPECT_TRUE(HasEnded(sockets[2].get()));
}

TEST_F(ControlAcceptorTest, AcceptsAgainWhenDescriptorsAreBack) {
  const std::vector<UniqueFd> sockets = Sockets(2);
  {
    const Exhaustion exhaustion;
    Connect(sockets[0].get());
    ASSERT_TRUE(thread_.Until([&] { return refused_ == 1; }));
    Connect(sockets[1].get());
  }
  thread_.OnLoop([this] {
    clock_.Advance(ControlAcceptor::kBackOff);
    deadlines_.Run(clock_.Now());
  });
  EXPECT_TRUE(UntilAccepted(1));
  EXPECT_FALSE(HasEnded(sockets[1].get()));
}

TEST_F(ControlAcceptorTest, ClosesItsSocketWhenItIsDestroyed) {
  thread_.OnLoop([this] { acceptor_.reset(); });
  const std::vector<UniqueFd> sockets = Sockets(1);
  EXPECT_EQ(::connect(sockets[0].get(), reinterpret_cast<sockaddr*>(&address_), length_), -1);
  EXPECT_EQ(errno, ECONNREFUSED);
}

}  // namespace
}  // namespace hlbuf
