// SPDX-License-Identifier: Apache-2.0
#include "daemon/device/keeper_opener.h"

#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/support/descriptors.h"
#include "tests/support/spawned_keeper.h"

namespace hlbuf {
namespace {

class KeeperOpenerTest : public SpawnedKeeperTest {
 protected:
  SpawnedKeepers keepers_ = SpawnedKeepers(Program());
  KeeperOpener opener_ = KeeperOpener("device", keepers_);
};

TEST_F(KeeperOpenerTest, OpensByAProcessThatIsNotThisOne) {
  const absl::StatusOr<UniqueFd> fd = opener_.Open("/dev/zero");
  ASSERT_TRUE(fd.ok()) << fd.status();
  EXPECT_NE(opener_.keeper()->pid(), ::getpid());
}

TEST_F(KeeperOpenerTest, KeepsACopyUntilItIsDropped) {
  ASSERT_TRUE(opener_.Open("/dev/zero").ok());
  ASSERT_TRUE(opener_.Keep(7, Memfd("kept").get()).ok());
  EXPECT_TRUE(opener_.Drop({7}).ok());
  EXPECT_EQ(CountMemfds(opener_.keeper()->pid(), "kept"), 0u);
}

TEST_F(KeeperOpenerTest, EndsTheKeeperWithTheDevice) {
  ASSERT_TRUE(opener_.Open("/dev/zero").ok());
  const pid_t pid = opener_.keeper()->pid();
  EXPECT_TRUE(opener_.Drop({DeviceOpener::kDevice}).ok());
  EXPECT_EQ(opener_.keeper(), nullptr);
  EXPECT_NE(::kill(pid, 0), 0) << "it is reaped";
}

TEST_F(KeeperOpenerTest, HasNoKeeperOfADeviceThatCannotBeOpened) {
  EXPECT_FALSE(opener_.Open("/dev/no-such-device").ok());
  EXPECT_EQ(opener_.keeper(), nullptr);
}

// As the driver does, and as a stray kill does.
TEST_F(KeeperOpenerTest, GoesOnWhenItsKeeperIsKilledAndOpensByANewOne) {
  ASSERT_TRUE(opener_.Open("/dev/zero").ok());
  const pid_t first = opener_.keeper()->pid();
  ASSERT_EQ(::kill(first, SIGKILL), 0);
  EXPECT_NE(Comes(opener_.keeper()->pidfd(), POLLIN), 0);
  EXPECT_TRUE(opener_.Keep(7, Memfd("kept").get()).ok());
  EXPECT_TRUE(opener_.Drop({7}).ok());
  ASSERT_TRUE(opener_.Open("/dev/zero").ok());
  EXPECT_NE(opener_.keeper()->pid(), first);
}

TEST_F(KeeperOpenerTest, HasNotDiedAsLongAsItHasNoKeeperOrItRuns) {
  EXPECT_FALSE(opener_.Died());
  EXPECT_EQ(opener_.death_fd(), -1);
  ASSERT_TRUE(opener_.Open("/dev/zero").ok());
  EXPECT_FALSE(opener_.Died());
  EXPECT_GE(opener_.death_fd(), 0);
}

TEST_F(KeeperOpenerTest, SaysThatItsKeeperDiedAndOfWhat) {
  ASSERT_TRUE(opener_.Open("/dev/zero").ok());
  const pid_t pid = opener_.keeper()->pid();
  ASSERT_EQ(::kill(pid, SIGKILL), 0);
  EXPECT_NE(Comes(opener_.death_fd(), 0) & POLLHUP, 0);
  EXPECT_TRUE(opener_.Died());
  EXPECT_EQ(opener_.End(), absl::StrCat("process ", pid, " killed by SIGKILL"));
  EXPECT_FALSE(opener_.Died());
  EXPECT_EQ(opener_.keeper(), nullptr);
}

TEST_F(KeeperOpenerTest, GoesOnWithAKeeperThatHasNothingOpenAndTakesCopies) {
  ASSERT_TRUE(opener_.Open("/dev/zero").ok());
  ASSERT_EQ(::kill(opener_.keeper()->pid(), SIGKILL), 0);
  ASSERT_NE(Comes(opener_.death_fd(), 0), 0);
  opener_.End();
  ASSERT_TRUE(opener_.Begin().ok());
  const auto open = DescriptorsOf(opener_.keeper()->pid());
  EXPECT_TRUE(std::none_of(open.begin(), open.end(),
                           [](const auto& entry) { return entry.second == "/dev/zero"; }));
  ASSERT_TRUE(opener_.Keep(7, Memfd("kept").get()).ok());
  ASSERT_TRUE(opener_.Drop({8}).ok());
  EXPECT_EQ(CountMemfds(opener_.keeper()->pid(), "kept"), 1u);
}

TEST_F(KeeperOpenerTest, SaysWhyThereIsNoSuccessor) {
  SpawnedKeepers none("/no/such/keeper");
  KeeperOpener opener("device", none);
  EXPECT_TRUE(absl::StrContains(opener.Begin().message(), "/no/such/keeper"));
  EXPECT_EQ(opener.keeper(), nullptr);
}

TEST_F(KeeperOpenerTest, FindsNothingWhereNoEarlierProcessHadAKeeper) {
  EXPECT_TRUE(absl::IsNotFound(opener_.Resume().status()));
}

TEST_F(KeeperOpenerTest, EndsItsKeeperWhereNoNextProcessCouldFindIt) {
  std::optional<KeeperOpener> opener(std::in_place, "device", keepers_);
  ASSERT_TRUE(opener->Begin().ok());
  ASSERT_TRUE(opener->Keep(7, STDERR_FILENO).ok());
  const pid_t pid = opener->keeper()->pid();
  opener.reset();
  EXPECT_NE(::kill(pid, 0), 0) << "it is reaped";
}

class KeeperOpenerWithADirectory : public SpawnedKeeperTest {
 protected:
  SpawnedKeepers keepers_ = SpawnedKeepers(Program(), directory_.path() + "/keepers");
  std::optional<KeeperOpener> opener_ = std::make_optional<KeeperOpener>("device", keepers_);
  // As the next process has it.
  void Restart() { opener_.emplace("device", keepers_); }
};

TEST_F(KeeperOpenerWithADirectory, GetsBackWhatTheLastOneHadTheDeviceToo) {
  ASSERT_TRUE(opener_->Open("/dev/zero").ok());
  ASSERT_TRUE(opener_->Keep(7, Memfd("kept").get()).ok());
  Restart();
  const auto copies = opener_->Resume();
  ASSERT_TRUE(copies.ok()) << copies.status();
  ASSERT_EQ(copies->size(), 2u);
  EXPECT_EQ(std::min(copies->at(0).id, copies->at(1).id), DeviceOpener::kDevice);
  EXPECT_FALSE(opener_->Died());
  EXPECT_TRUE(opener_->Drop({7}).ok());
  EXPECT_EQ(opener_->Resume()->size(), 1u) << "asked again";
}

TEST_F(KeeperOpenerWithADirectory, EndsTheLastOnesKeeperWithTheDevice) {
  ASSERT_TRUE(opener_->Open("/dev/zero").ok());
  ASSERT_TRUE(opener_->Keep(7, STDERR_FILENO).ok());
  Restart();
  ASSERT_TRUE(opener_->Resume().ok());
  EXPECT_TRUE(opener_->Drop({DeviceOpener::kDevice}).ok());
  EXPECT_EQ(opener_->keeper(), nullptr);
  Restart();
  EXPECT_TRUE(absl::IsNotFound(opener_->Resume().status()));
}

TEST_F(KeeperOpenerWithADirectory, FindsNothingWhereTheKeeperDiedMeanwhile) {
  ASSERT_TRUE(opener_->Begin().ok());
  ASSERT_TRUE(opener_->Keep(7, STDERR_FILENO).ok());
  const UniqueFd pidfd(::fcntl(opener_->keeper()->pidfd(), F_DUPFD_CLOEXEC, 0));
  ASSERT_EQ(::kill(opener_->keeper()->pid(), SIGKILL), 0);
  Restart();
  ASSERT_NE(Comes(pidfd.get(), POLLIN), 0);
  EXPECT_TRUE(absl::IsNotFound(opener_->Resume().status()));
  EXPECT_TRUE(opener_->Begin().ok());
}

// Held in its end by a tracer, as by a driver that does not let it go.
TEST_F(KeeperOpenerTest, WarnsOfAKeeperThatDoesNotEnd) {
  std::vector<std::string> warnings;
  KeeperOpener opener("device", keepers_,
                      {.end = absl::Milliseconds(20), .killed = absl::Milliseconds(20)},
                      [&](const std::string& text) { warnings.push_back(text); });
  ASSERT_TRUE(opener.Open("/dev/zero").ok());
  const pid_t pid = opener.keeper()->pid();
  ASSERT_EQ(::ptrace(PTRACE_SEIZE, pid, nullptr, PTRACE_O_TRACEEXIT), 0);
  EXPECT_EQ(opener.End(), absl::StrCat("process ", pid, " does not end"));
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_TRUE(absl::StartsWith(warnings[0], absl::StrCat("hl-bufd-keeper, process ", pid)));
  int status = 0;
  ASSERT_EQ(::waitpid(pid, &status, 0), pid);
  ASSERT_TRUE(WIFSTOPPED(status));
  ASSERT_EQ(::ptrace(PTRACE_DETACH, pid, nullptr, nullptr), 0);
  ASSERT_EQ(::waitpid(pid, &status, 0), pid);
}

}  // namespace
}  // namespace hlbuf
