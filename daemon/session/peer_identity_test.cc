// SPDX-License-Identifier: Apache-2.0
// Peers of every kind, as this kernel shows them.
#include "daemon/session/peer_identity.h"

#include <fcntl.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

#include "daemon/session/listen_at.h"
#include "tests/support/forked.h"
#include "tests/support/raw_client.h"

namespace hlbuf {
namespace {

constexpr uid_t kUid = 12'345;
constexpr gid_t kGid = 23'456;

// A socket that anybody may connect to.
class Door {
 public:
  Door() {
    char directory[] = "/tmp/hlbuf-peer-XXXXXX";
    directory_ = ::mkdtemp(directory);
    std::filesystem::permissions(directory_, std::filesystem::perms::all);
    listener_ = *ListenAt(path(), SOCK_SEQPACKET, 0666, std::nullopt);
  }
  ~Door() { std::filesystem::remove_all(directory_); }
  std::string path() const { return directory_ + "/s"; }
  UniqueFd Accept() const {
    pollfd p = {.fd = listener_.socket.get(), .events = POLLIN, .revents = 0};
    EXPECT_EQ(::poll(&p, 1, RawClient::kDeadlineMs), 1);
    return UniqueFd(::accept4(listener_.socket.get(), nullptr, nullptr, SOCK_CLOEXEC));
  }

 private:
  std::string directory_;
  ListeningSocket listener_;
};

bool HasExited(const UniqueFd& pidfd, int ms) {
  pollfd p = {.fd = pidfd.get(), .events = POLLIN, .revents = 0};
  return ::poll(&p, 1, ms) == 1;
}

void Become(uid_t uid, gid_t gid, const std::vector<gid_t>& groups) {
  ASSERT_EQ(::setgroups(groups.size(), groups.data()), 0);
  ASSERT_EQ(::setresgid(gid, gid, gid), 0);
  ASSERT_EQ(::setresuid(uid, uid, uid), 0);
}

// Connects as somebody else, and stays until it is killed.
class Stranger {
 public:
  Stranger(const Door& door, std::vector<gid_t> groups)
      : process_([&] {
          Become(kUid, kGid, groups);
          const RawClient client = RawClient::Connect(door.path());
          ::pause();
        }) {}
  pid_t pid() const { return process_.pid(); }
  void Kill() { process_.Kill(); }

 private:
  Forked process_;
};

bool MayBecomeAnother() { return ::geteuid() == 0; }
#define NEEDS_ROOT() \
  if (!MayBecomeAnother()) GTEST_SKIP() << "only root can become another user"

TEST(PeerIdentity, IsThatOfTheProcessThatConnected) {
  const Door door;
  const RawClient client = RawClient::Connect(door.path());
  const UniqueFd socket = door.Accept();
  const absl::StatusOr<PeerIdentity> identity = IdentifyPeer(socket.get());
  ASSERT_TRUE(identity.ok()) << identity.status();
  EXPECT_EQ(identity->peer.uid, ::geteuid());
  EXPECT_EQ(identity->peer.gid, ::getegid());
  EXPECT_EQ(identity->peer.pid, ::getpid());
  EXPECT_TRUE(identity->peer.known());
  EXPECT_FALSE(HasExited(identity->pidfd, 0));
  EXPECT_EQ(::fcntl(identity->pidfd.get(), F_GETFD), FD_CLOEXEC);
}

// This process from now on: getsockopt() knows no SO_PEERPIDFD.
void BecomeOldKernel() {
  constexpr std::uint32_t kPeerPidfd = 77;
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getsockopt, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[2])),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kPeerPidfd, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOPROTOOPT),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog filter = {.len = std::size(program), .filter = program};
  ASSERT_EQ(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
  ASSERT_EQ(::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter), 0);
}

// A number may have been given away between connect() and pidfd_open().
TEST(PeerIdentity, IsVouchedForByTheKernelAlone) {
  const Door door;
  const RawClient client = RawClient::Connect(door.path());
  const UniqueFd socket = door.Accept();
  EXPECT_TRUE(IdentifyPeer(socket.get())->vouched) << "Linux before 6.5?";
  Forked old_kernel([&] {
    BecomeOldKernel();
    const absl::StatusOr<PeerIdentity> identity = IdentifyPeer(socket.get());
    ASSERT_TRUE(identity.ok()) << identity.status();
    EXPECT_TRUE(identity->pidfd);
    EXPECT_FALSE(identity->vouched);
  });
  old_kernel.ExpectToSucceed();
}

TEST(PeerIdentity, TellsTheProcessFromALaterOneOfItsPid) {
  Door door;
  const RawClient client = RawClient::Connect(door.path());
  const RawClient again = RawClient::Connect(door.path());
  const absl::StatusOr<PeerIdentity> first = IdentifyPeer(door.Accept().get());
  const absl::StatusOr<PeerIdentity> second = IdentifyPeer(door.Accept().get());
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_NE(first->peer.start_ticks, 0U);
  EXPECT_EQ(first->peer.start_ticks, second->peer.start_ticks);
  EXPECT_EQ(first->peer.pidfd_inode, second->peer.pidfd_inode);
  const UniqueFd of_init(static_cast<int>(::syscall(SYS_pidfd_open, 1, 0)));
  ASSERT_TRUE(of_init);
  struct stat its = {};
  ASSERT_EQ(::fstat(of_init.get(), &its), 0);
  if (first->peer.pidfd_inode != 0) {
    EXPECT_NE(first->peer.pidfd_inode, its.st_ino);
  }
}

// The 22nd field, whatever the process calls itself.
TEST(PeerIdentity, ReadsWhenTheProcessBegan) {
  const std::string behind = " S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20 21\n";
  EXPECT_EQ(ParseStartTicks("77 (job)" + behind), 4711U);
  EXPECT_EQ(ParseStartTicks("77 (a) S 9 (b c) 1 )" + behind), 4711U);
  for (const char* text : {"", "77", "77 (job", "77 (job)", "77 (job) S 1 2 3"})
    EXPECT_EQ(ParseStartTicks(text), 0U) << text;
}

TEST(PeerIdentity, HasEveryGroupSorted) {
  NEEDS_ROOT();
  const Door door;
  const Stranger stranger(door, {77, 5, 4'000'000'000, 33});
  const UniqueFd socket = door.Accept();
  const absl::StatusOr<PeerIdentity> identity = IdentifyPeer(socket.get());
  ASSERT_TRUE(identity.ok()) << identity.status();
  EXPECT_EQ(identity->peer.uid, kUid);
  EXPECT_EQ(identity->peer.gid, kGid);
  EXPECT_EQ(identity->peer.pid, stranger.pid());
  EXPECT_EQ(identity->peer.groups, (std::vector<gid_t>{5, 33, 77, 4'000'000'000}));
  for (const gid_t group : {gid_t{5}, gid_t{77}, kGid}) EXPECT_TRUE(identity->peer.InGroup(group));
  EXPECT_FALSE(identity->peer.InGroup(6));
}

TEST(PeerIdentity, HasGroupsBeyondWhatMostProcessesHave) {
  NEEDS_ROOT();
  const Door door;
  std::vector<gid_t> groups(kGroupsMax);
  std::iota(groups.begin(), groups.end(), gid_t{100});
  const Stranger stranger(door, groups);
  const UniqueFd socket = door.Accept();
  const absl::StatusOr<PeerIdentity> identity = IdentifyPeer(socket.get());
  ASSERT_TRUE(identity.ok()) << identity.status();
  EXPECT_EQ(identity->peer.groups, groups);
}

TEST(PeerIdentity, IsRefusedWithMoreGroupsThanARecordHasRoomFor) {
  NEEDS_ROOT();
  const Door door;
  for (const std::size_t count : {kGroupsMax + 1, std::size_t{65'536}}) {
    std::vector<gid_t> groups(count);
    std::iota(groups.begin(), groups.end(), gid_t{100});
    const Stranger stranger(door, groups);
    const UniqueFd socket = door.Accept();
    const absl::Status refused = IdentifyPeer(socket.get()).status();
    EXPECT_TRUE(absl::IsOutOfRange(refused)) << refused;
    EXPECT_NE(refused.message().find(std::to_string(count)), std::string::npos) << refused;
  }
}

TEST(PeerIdentity, IsThatOfTheMomentOfConnecting) {
  NEEDS_ROOT();
  const Door door;
  Gate changed;
  const Forked process([&] {
    const RawClient client = RawClient::Connect(door.path());
    Become(kUid, kGid, {kGid});
    changed.Open();
    ::pause();
  });
  ASSERT_TRUE(changed.Pass());
  const UniqueFd socket = door.Accept();
  const absl::StatusOr<PeerIdentity> identity = IdentifyPeer(socket.get());
  ASSERT_TRUE(identity.ok()) << identity.status();
  EXPECT_EQ(identity->peer.uid, 0U);
  EXPECT_FALSE(identity->peer.InGroup(kGid));
}

TEST(PeerIdentity, IsNotThatOfWhoGotTheConnectionLater) {
  const Door door;
  const RawClient client = RawClient::Connect(door.path());
  const UniqueFd socket = door.Accept();
  Gate inherited;
  const Forked heir([&] {
    EXPECT_EQ(::send(client.fd(), "x", 1, MSG_NOSIGNAL), 1);
    inherited.Open();
    ::pause();
  });
  ASSERT_TRUE(inherited.Pass());
  const absl::StatusOr<PeerIdentity> identity = IdentifyPeer(socket.get());
  ASSERT_TRUE(identity.ok()) << identity.status();
  EXPECT_EQ(identity->peer.pid, ::getpid());
}

TEST(PeerIdentity, ItsPidfdTellsOfTheEnd) {
  NEEDS_ROOT();
  const Door door;
  Stranger stranger(door, {});
  const UniqueFd socket = door.Accept();
  const absl::StatusOr<PeerIdentity> identity = IdentifyPeer(socket.get());
  ASSERT_TRUE(identity.ok()) << identity.status();
  EXPECT_FALSE(HasExited(identity->pidfd, 0));
  stranger.Kill();
  EXPECT_TRUE(HasExited(identity->pidfd, RawClient::kDeadlineMs));
}

TEST(PeerIdentity, IsUnknownOfAProcessThatHasExited) {
  const Door door;
  {
    Forked process([&] { const RawClient client = RawClient::Connect(door.path()); });
    process.ExpectToSucceed();
  }
  const UniqueFd socket = door.Accept();
  const absl::Status status = IdentifyPeer(socket.get()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
  EXPECT_EQ(status.message(), "the peer has exited");
}

TEST(PeerIdentity, IsUnknownOfAProcessThatNobodyHasReapedYet) {
  const Door door;
  Forked process([&] { const RawClient client = RawClient::Connect(door.path()); });
  const UniqueFd socket = door.Accept();
  siginfo_t info = {};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(process.pid()), &info, WEXITED | WNOWAIT), 0);
  const absl::Status status = IdentifyPeer(socket.get()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
}

// A kernel or a container may forbid it.
bool MayLeaveTheNamespaces() {
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(::unshare(CLONE_NEWUSER | CLONE_NEWPID));
  int status = -1;
  return ::waitpid(pid, &status, 0) == pid && status == 0;
}

TEST(PeerIdentity, IsNobodysWhenTheProcessIsNotVisibleFromHere) {
  if (!MayLeaveTheNamespaces()) GTEST_SKIP() << "no namespaces can be made here";
  int sockets[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets), 0);
  const UniqueFd ours(sockets[0]);
  const UniqueFd theirs(sockets[1]);
  Forked outside([&] {
    ASSERT_EQ(::unshare(CLONE_NEWUSER | CLONE_NEWPID), 0);
    Forked inside([&] {
      const absl::StatusOr<PeerIdentity> identity = IdentifyPeer(ours.get());
      ASSERT_TRUE(identity.ok()) << identity.status();
      EXPECT_EQ(identity->peer.uid, kNobodyUid);
      EXPECT_EQ(identity->peer.pid, 0);
      EXPECT_FALSE(identity->pidfd);
      EXPECT_FALSE(identity->peer.known());
    });
    inside.ExpectToSucceed();
  });
  outside.ExpectToSucceed();
}

// With no descriptor left to read the control group, a container would pass for the host.
TEST(PeerIdentity, IsNotGuessedWhenTheControlGroupCannotBeRead) {
  const Door door;
  const RawClient client = RawClient::Connect(door.path());
  const UniqueFd socket = door.Accept();
  const int next = ::dup(socket.get());
  ::close(next);
  rlimit old = {};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &old), 0);
  const rlimit one_left = {.rlim_cur = static_cast<rlim_t>(next) + 1, .rlim_max = old.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &one_left), 0);
  const absl::StatusOr<PeerIdentity> identity = IdentifyPeer(socket.get());
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &old), 0);
  ASSERT_FALSE(identity.ok());
  EXPECT_NE(identity.status().message().find("cgroup"), absl::string_view::npos)
      << identity.status();
}

TEST(PeerIdentity, IsRefusedForWhatIsNoUnixSocket) {
  const UniqueFd file(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  EXPECT_FALSE(IdentifyPeer(file.get()).ok());
}

}  // namespace
}  // namespace hlbuf
