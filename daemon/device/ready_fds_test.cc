// SPDX-License-Identifier: Apache-2.0
#include "daemon/device/ready_fds.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>

namespace hlbuf {
namespace {

bool IsReadable(const ReadyFds& fds) {
  pollfd p = {.fd = fds.fd(), .events = POLLIN, .revents = 0};
  return ::poll(&p, 1, 0) == 1;
}
UniqueFd Eventfd() { return UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)); }

TEST(ReadyFds, AreReadableWhileOneOfThemIsReady) {
  const ReadyFds fds;
  const UniqueFd first = Eventfd();
  const UniqueFd second = Eventfd();
  fds.Add(first.get(), EPOLLIN);
  fds.Add(second.get(), EPOLLIN);
  EXPECT_FALSE(IsReadable(fds));
  ASSERT_EQ(::eventfd_write(second.get(), 1), 0);
  EXPECT_TRUE(IsReadable(fds));
  eventfd_t count = 0;
  ASSERT_EQ(::eventfd_read(second.get(), &count), 0);
  EXPECT_FALSE(IsReadable(fds));
}

TEST(ReadyFds, TellOfAHangUpThatNobodyAskedFor) {
  const ReadyFds fds;
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
  const UniqueFd ours(ends[0]);
  UniqueFd theirs(ends[1]);
  fds.Add(ours.get(), 0);
  EXPECT_FALSE(IsReadable(fds));
  theirs.Reset();
  EXPECT_TRUE(IsReadable(fds));
}

TEST(ReadyFds, ForgetWhatIsRemovedThoughSomebodyHasACopyOfIt) {
  const ReadyFds fds;
  UniqueFd fd = Eventfd();
  const UniqueFd copy(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 0));
  fds.Add(fd.get(), EPOLLIN);
  fds.Remove(fd.get());
  fd.Reset();
  ASSERT_EQ(::eventfd_write(copy.get(), 1), 0);
  EXPECT_FALSE(IsReadable(fds));
}

TEST(ReadyFds, TakeNoOffenceAtWhatIsNotThere) {
  const ReadyFds fds;
  fds.Add(-1, EPOLLIN);
  fds.Remove(-1);
  const UniqueFd stranger = Eventfd();
  fds.Remove(stranger.get());
  EXPECT_FALSE(IsReadable(fds));
}

TEST(ReadyFds, HaveNoDescriptorWhereNoneIsFree) {
  rlimit limit = {};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
  const rlimit none = {.rlim_cur = 0, .rlim_max = limit.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  const ReadyFds fds;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
  EXPECT_EQ(fds.fd(), -1);
  fds.Add(Eventfd().get(), EPOLLIN);
}

}  // namespace
}  // namespace hlbuf
