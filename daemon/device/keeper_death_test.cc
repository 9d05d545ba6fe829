// SPDX-License-Identifier: Apache-2.0
// Keepers that die, stop, or are told to by the wrong one.
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <functional>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "daemon/core/error.h"
#include "daemon/device/keeper.h"
#include "proto/wire/packet.h"
#include "tests/support/descriptors.h"
#include "tests/support/forked.h"
#include "tests/support/spawned_keeper.h"

namespace hlbuf {
namespace {

using KeeperDeath = SpawnedKeeperTest;

void ExpectGone(const absl::Status& status, const std::string& of) {
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_EQ(ErrorCodeOf(status), ErrorCode::kDeviceUnavailable);
  EXPECT_TRUE(absl::StrContains(status.message(), of)) << status;
}

// It neither reads nor ends until it is continued or killed.
void Stop(const Keeper& keeper) {
  ASSERT_EQ(::kill(keeper.pid(), SIGSTOP), 0);
  siginfo_t info = {};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(keeper.pid()), &info, WSTOPPED | WNOWAIT), 0);
}

TEST_F(KeeperDeath, DoesNotComeBySigtermToItsWholeGroup) {
  const auto keeper = Spawn();
  ASSERT_TRUE(keeper->Keep(1, Memfd("kept").get()).ok());
  ASSERT_EQ(::kill(-keeper->pid(), SIGTERM), 0);
  EXPECT_EQ(Kept(*keeper), 1u);
  EXPECT_EQ(CountMemfds(keeper->pid(), "kept"), 1u);
}

TEST_F(KeeperDeath, BySigkillIsToldAtOnce) {
  const auto keeper = Spawn();
  ASSERT_EQ(::kill(keeper->pid(), SIGKILL), 0);
  EXPECT_NE(Comes(keeper->fd(), 0) & POLLHUP, 0);
  EXPECT_NE(Comes(keeper->pidfd(), POLLIN) & POLLIN, 0);
}

TEST_F(KeeperDeath, FailsEveryCallAndSaysOfWhatItDied) {
  const auto keeper = Spawn();
  ASSERT_EQ(::kill(keeper->pid(), SIGKILL), 0);
  ASSERT_NE(Comes(keeper->pidfd(), POLLIN), 0);
  const std::string fate = absl::StrCat("process ", keeper->pid(), " killed by SIGKILL");
  ExpectGone(keeper->Keep(1, STDERR_FILENO), fate);
  ExpectGone(keeper->Drop({1}), fate);
  ExpectGone(keeper->DropAll(), fate);
  ExpectGone(keeper->Open("/dev/zero").status(), fate);
  ExpectGone(keeper->Count().status(), fate);
}

// What lies in its queue goes with it, and is no reason to wait for anything.
TEST_F(KeeperDeath, BeforeItReadWhatItWasToldFailsTheCallThatWaits) {
  const auto keeper = Spawn();
  Stop(*keeper);
  ASSERT_TRUE(keeper->Keep(1, Memfd("queued").get()).ok());
  absl::Status dropped;
  std::thread waits([&] { dropped = keeper->Drop({1}); });
  EXPECT_TRUE(Eventually([&] { return !PeerTookEverything(keeper->fd()); }));
  EXPECT_EQ(::kill(keeper->pid(), SIGKILL), 0);
  waits.join();
  ExpectGone(dropped, "the keeper's end is closed");
}

TEST_F(KeeperDeath, ComesWithTheDeathOfTheService) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const UniqueFd read_end(ends[0]);
  const UniqueFd write_end(ends[1]);
  Forked service([&] {
    const auto keeper = Spawn();
    const int pid = keeper->pid();
    EXPECT_EQ(::write(write_end.get(), &pid, sizeof(pid)), ssize_t{sizeof(pid)});
    ::pause();
  });
  int pid = -1;
  ASSERT_EQ(::read(read_end.get(), &pid, sizeof(pid)), ssize_t{sizeof(pid)});
  const UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  ASSERT_TRUE(pidfd);
  service.Kill();
  EXPECT_NE(Comes(pidfd.get(), POLLIN), 0);
}

TEST_F(KeeperDeath, IsForcedWhenItDoesNotEndWithItsConnection) {
  auto keeper = Spawn(Program(), {.end = absl::Milliseconds(20)});
  const pid_t pid = keeper->pid();
  Stop(*keeper);
  keeper.reset();
  EXPECT_EQ(::waitpid(pid, nullptr, WNOHANG), -1);
  EXPECT_EQ(errno, ECHILD);
}

TEST_F(KeeperDeath, IsNotWhatAStoppedKeeperIsTakenFor) {
  const auto keeper = Spawn(Program(), {.keep = absl::Milliseconds(100)});
  Stop(*keeper);
  std::uint32_t told = 0;
  absl::Status status;
  while ((status = keeper->Keep(told + 1, STDERR_FILENO)).ok()) ++told;
  EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
  ASSERT_EQ(::kill(keeper->pid(), SIGCONT), 0);
  EXPECT_TRUE(Eventually([&] { return PeerTookEverything(keeper->fd()); }));
  EXPECT_EQ(Kept(*keeper), told) << "all or nothing of each";
}

TEST_F(KeeperDeath, IsNotLateAnswersToEarlierQuestions) {
  const auto keeper = Spawn(Program(), {.open = absl::Milliseconds(20),
                                        .keep = absl::Milliseconds(kPatienceMs),
                                        .drop = absl::Milliseconds(20)});
  ASSERT_TRUE(keeper->Keep(1, STDERR_FILENO).ok());
  const std::size_t before = CountDescriptors();
  Stop(*keeper);
  EXPECT_TRUE(absl::IsDeadlineExceeded(keeper->Drop({1})));
  EXPECT_TRUE(absl::IsDeadlineExceeded(keeper->Open("/dev/zero").status()));
  ASSERT_EQ(::kill(keeper->pid(), SIGCONT), 0);
  EXPECT_EQ(Kept(*keeper), 1u) << "the device, of which nobody here knows";
  EXPECT_EQ(CountDescriptors(), before);
}

// unix(7): unread descriptors count against the user who sent them, whoever is to read them.
TEST_F(KeeperDeath, IsNotWhatAUserWithTooManyUnreadDescriptorsGets) {
  if (::getuid() != 0) GTEST_SKIP() << "root is needed to become another user";
  Forked service([&] {
    const auto keeper = Spawn();
    constexpr rlim_t kFew = 30;
    rlimit limit = {};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = kFew;
    EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
    constexpr uid_t kNobodyElse = 4299;
    EXPECT_EQ(::setresuid(kNobodyElse, kNobodyElse, kNobodyElse), 0);
    int ends[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    const std::byte byte = {};
    EXPECT_TRUE(SendPacket(ends[0], {&byte, 1}, std::vector<int>(kFew + 1, STDERR_FILENO)).ok());
    const absl::Status refused = keeper->Keep(1, STDERR_FILENO);
    EXPECT_TRUE(absl::IsResourceExhausted(refused)) << refused;
    ::close(ends[1]);
    EXPECT_TRUE(keeper->Keep(1, STDERR_FILENO).ok());
    EXPECT_EQ(Kept(*keeper), 1u);
  });
  service.ExpectToSucceed();
}

}  // namespace
}  // namespace hlbuf
