// SPDX-License-Identifier: Apache-2.0
#include "daemon/device/keeper.h"

#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <numeric>
#include <regex>
#include <vector>

#include "absl/strings/match.h"
#include "daemon/core/error.h"
#include "daemon/device/error_text.h"
#include "tests/support/descriptors.h"
#include "tests/support/spawned_keeper.h"

namespace hlbuf {
namespace {

using KeeperTest = SpawnedKeeperTest;

// A line of /proc/PID/status, which is hexadecimal.
std::uint64_t SignalsOf(pid_t pid, const std::string& which) {
  const std::string status = ReadAll("/proc/" + std::to_string(pid) + "/status");
  std::smatch match;
  EXPECT_TRUE(std::regex_search(status, match, std::regex(which + ":\\s*([0-9a-f]+)"))) << status;
  return std::stoull(match[1], nullptr, 16);
}

TEST_F(KeeperTest, KeepsWhatThisProcessHasClosed) {
  const auto keeper = Spawn();
  ASSERT_TRUE(keeper->Keep(1, Memfd("kept").get()).ok());
  EXPECT_EQ(Kept(*keeper), 1u);
  EXPECT_EQ(CountMemfds(keeper->pid(), "kept"), 1u);
  EXPECT_EQ(CountMemfds(::getpid(), "kept"), 0u);
}

TEST_F(KeeperTest, HasClosedItsCopiesWhenDropReturns) {
  const auto keeper = Spawn();
  const UniqueFd memfd = Memfd("dropped");
  for (const std::uint64_t id : {1, 2, 3}) ASSERT_TRUE(keeper->Keep(id, memfd.get()).ok());
  ASSERT_TRUE(keeper->Drop({1, 3}).ok());
  EXPECT_EQ(CountMemfds(keeper->pid(), "dropped"), 1u);
  ASSERT_TRUE(keeper->Drop({2}).ok());
  EXPECT_EQ(CountMemfds(keeper->pid(), "dropped"), 0u);
}

TEST_F(KeeperTest, TakesNoOffenceAtIdsThatItDoesNotKeep) {
  const auto keeper = Spawn();
  ASSERT_TRUE(keeper->Keep(1, STDERR_FILENO).ok());
  EXPECT_TRUE(keeper->Drop({7, 8, 7}).ok());
  EXPECT_TRUE(keeper->Drop({}).ok());
  EXPECT_EQ(Kept(*keeper), 1u);
}

TEST_F(KeeperTest, DropsMoreThanOneMessageNames) {
  const auto keeper = Spawn();
  std::vector<std::uint64_t> ids(2 * HLBUF_KEEPER_IDS_MAX + 5);
  std::iota(ids.begin(), ids.end(), 1);
  for (const std::uint64_t id : ids) ASSERT_TRUE(keeper->Keep(id, STDERR_FILENO).ok());
  EXPECT_EQ(Kept(*keeper), ids.size());
  ids.pop_back();
  ASSERT_TRUE(keeper->Drop(ids).ok());
  EXPECT_EQ(Kept(*keeper), 1u);
}

TEST_F(KeeperTest, OpensADeviceAndKeepsItUntilItDropsAll) {
  const auto keeper = Spawn();
  const absl::StatusOr<UniqueFd> device = keeper->Open("/dev/zero");
  ASSERT_TRUE(device.ok()) << device.status();
  EXPECT_EQ(::fcntl(device->get(), F_GETFD), FD_CLOEXEC);
  char byte = 1;
  EXPECT_EQ(::read(device->get(), &byte, 1), 1);
  ASSERT_TRUE(keeper->Keep(1, Memfd("all").get()).ok());
  EXPECT_EQ(Kept(*keeper), 2u);
  ASSERT_TRUE(keeper->DropAll().ok());
  EXPECT_EQ(DescriptorsOf(keeper->pid()).size(), 4u) << "its own";
}

TEST_F(KeeperTest, DropsTheDeviceByItsOwnId) {
  const auto keeper = Spawn();
  ASSERT_TRUE(keeper->Open("/dev/zero").ok());
  ASSERT_TRUE(keeper->Drop({HLBUF_KEEPER_DEVICE_ID}).ok());
  EXPECT_EQ(Kept(*keeper), 0u);
}

TEST_F(KeeperTest, SaysWhyADeviceWasNotOpened) {
  const auto keeper = Spawn();
  const absl::Status missing = keeper->Open("/dev/no-such-device").status();
  EXPECT_EQ(ErrorCodeOf(missing), ErrorCode::kDeviceUnavailable);
  EXPECT_EQ(ErrnoOf(missing), ENOENT);
  const absl::Status file = keeper->Open(Script("")).status();
  EXPECT_TRUE(absl::StrContains(file.message(), "is no character device")) << file;
  for (const std::string& path :
       {std::string("zero"), std::string("/dev/../dev/zero"), "/" + std::string(300, 'x')})
    EXPECT_EQ(keeper->Open(path).status().code(), absl::StatusCode::kInvalidArgument) << path;
  EXPECT_EQ(Kept(*keeper), 0u);
}

TEST_F(KeeperTest, RefusesToKeepNothing) {
  const auto keeper = Spawn();
  EXPECT_EQ(keeper->Keep(1, -1).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_FALSE(keeper->Keep(1, 1'000'000).ok()) << "no such descriptor";
  EXPECT_EQ(Kept(*keeper), 0u);
}

TEST_F(KeeperTest, KeepsTwentyThousandOrAsManyAsItsHardLimitAllows) {
  constexpr std::uint32_t kMany = 20'000;
  const auto keeper = Spawn();
  const std::uint32_t expected = std::min(kMany, keeper->Count()->room);
  std::uint32_t kept = 0;
  absl::Status status;
  while (kept < kMany && (status = keeper->Keep(kept + 1, STDERR_FILENO)).ok()) ++kept;
  EXPECT_EQ(kept, expected);
  EXPECT_EQ(Kept(*keeper), expected);
  EXPECT_TRUE(kept == kMany || absl::IsResourceExhausted(status)) << status;
}

TEST_F(KeeperTest, SaysThatThereIsNoRoomAndHasSomeAfterADrop) {
  const auto keeper = Spawn(KeeperAfter("ulimit -n 20"));
  std::uint64_t id = 0;
  absl::Status status;
  while (status.ok()) status = keeper->Keep(++id, STDERR_FILENO);
  EXPECT_EQ(ErrorCodeOf(status), ErrorCode::kQuotaExceeded);
  EXPECT_TRUE(absl::StrContains(status.message(), "LimitNOFILE=")) << status;
  EXPECT_EQ(ErrnoOf(keeper->Open("/dev/zero").status()), EMFILE);
  ASSERT_TRUE(keeper->Drop({1}).ok());
  EXPECT_TRUE(keeper->Keep(1, STDERR_FILENO).ok());
  EXPECT_EQ(Kept(*keeper), id - 1);
}

TEST_F(KeeperTest, LeavesNoDescriptorAndNoProcessBehind) {
  const std::size_t before = CountDescriptors();
  pid_t pid = -1;
  {
    const auto keeper = Spawn();
    pid = keeper->pid();
    ASSERT_TRUE(keeper->Open("/dev/zero").ok());
    ASSERT_TRUE(keeper->Keep(1, STDERR_FILENO).ok());
    ASSERT_TRUE(keeper->Drop({1}).ok());
    EXPECT_EQ(CountDescriptors(), before + 2) << "the connection and the pidfd";
  }
  EXPECT_EQ(CountDescriptors(), before);
  EXPECT_EQ(::waitpid(pid, nullptr, WNOHANG), -1);
  EXPECT_EQ(errno, ECHILD);
}

TEST_F(KeeperTest, InheritsNothingButItsConnection) {
  const UniqueFd inheritable(::fcntl(Memfd("inheritable").get(), F_DUPFD, 50));
  const std::string list = directory_.path() + "/list";
  const auto keeper =
      Spawn(KeeperAfter("exec 2>/dev/null; ls -l /proc/$$/fd >" + list + "; env >>" + list));
  const std::string seen = ReadAll(list);
  EXPECT_TRUE(absl::StrContains(seen, "3 -> socket:")) << seen;
  EXPECT_FALSE(absl::StrContains(seen, "memfd:")) << seen;
  EXPECT_FALSE(absl::StrContains(seen, "HLBUF_BUILD_DIR")) << seen;
}

TEST_F(KeeperTest, StartsInASessionOfItsOwnWithSignalsAsTheyWereAtBirth) {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  const auto old = std::signal(SIGUSR1, SIG_IGN);
  const auto keeper = Spawn();
  std::signal(SIGUSR1, old);
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  EXPECT_EQ(::getsid(keeper->pid()), keeper->pid());
  EXPECT_EQ(SignalsOf(keeper->pid(), "SigBlk"), 0u);
  std::uint64_t ignored = 0;
  for (const int signal : {SIGHUP, SIGINT, SIGPIPE, SIGTERM})
    ignored |= std::uint64_t{1} << (signal - 1);
  // glibc ignores its internal ones, 32 and 33, in what it spawns.
  EXPECT_EQ(SignalsOf(keeper->pid(), "SigIgn") & 0x7fffffff, ignored);
}

TEST_F(KeeperTest, IsLookedForBesideTheProgramThatRuns) {
  EXPECT_EQ(DefaultKeeperPath(), BuiltPath("daemon/device/hl-bufd-keeper"));
}

TEST_F(KeeperTest, SaysWhichProgramCannotBeStarted) {
  const std::size_t before = CountDescriptors();
  const absl::Status missing = Keeper::Spawn("/no/keeper", {}).status();
  EXPECT_TRUE(absl::StrContains(missing.message(), "cannot start /no/keeper: no such file"))
      << missing;
  const absl::Status other = Keeper::Spawn(Script("exit 5"), {}).status();
  EXPECT_TRUE(absl::IsUnavailable(other)) << other;
  EXPECT_TRUE(absl::StrContains(other.message(), "/script: ")) << other;
  EXPECT_EQ(CountDescriptors(), before);
}

TEST_F(KeeperTest, EndsAProgramThatDoesNotAnswer) {
  const std::string program = Script("mkfifo $0.fifo; read line <$0.fifo");
  const absl::Status silent =
      Keeper::Spawn(program, {.start = absl::Milliseconds(20), .end = absl::Milliseconds(20)})
          .status();
  EXPECT_TRUE(absl::IsDeadlineExceeded(silent)) << silent;
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1) << "it was killed and reaped";
}

}  // namespace
}  // namespace hlbuf
