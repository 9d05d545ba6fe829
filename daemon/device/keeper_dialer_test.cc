// SPDX-License-Identifier: Apache-2.0
// Keepers that are come to again, by what is another process as far as they can see.
#include "daemon/device/keeper_dialer.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <map>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "tests/support/descriptors.h"
#include "tests/support/forked.h"
#include "tests/support/spawned_keeper.h"

namespace hlbuf {
namespace {

const std::string kName = KeeperName("card/0");

TEST(KeeperName, HasNothingThatADirectoryOrAStoreDoesNotTakeAndTellsDevicesApart) {
  EXPECT_EQ(KeeperName("gaudi0"), "keeper-gaudi0");
  EXPECT_EQ(KeeperName("a/b_c"), "keeper-a_-b__c");
  EXPECT_NE(KeeperName("a/b"), KeeperName("a_-b"));
}

class SpawnedKeepersTest : public SpawnedKeeperTest {
 protected:
  SpawnedKeepers Keepers(const std::string& directory) {
    return SpawnedKeepers(Program(), directory,
                          [this](const std::string& text) { warnings_.push_back(text); });
  }
  std::string Directory() const { return directory_.path() + "/keepers"; }
  std::string Path() const { return Directory() + "/" + kName; }
  static std::unique_ptr<Keeper> Dial(KeeperDialer& keepers) {
    auto keeper = keepers.Dial(kName, {});
    EXPECT_TRUE(keeper.ok()) << keeper.status();
    return keeper.ok() ? *std::move(keeper) : nullptr;
  }
  static std::unique_ptr<Keeper> Redial(KeeperDialer& keepers) {
    auto keeper = keepers.Redial(kName, {});
    EXPECT_TRUE(keeper.ok()) << keeper.status();
    return keeper.ok() ? *std::move(keeper) : nullptr;
  }
  void ExpectNobodyAt(KeeperDialer& keepers) {
    EXPECT_TRUE(absl::IsUnavailable(keepers.Redial(kName, {}).status()));
  }
  std::vector<std::string> warnings_;
};

TEST_F(SpawnedKeepersTest, AreThereForOneProcessAfterTheOther) {
  SpawnedKeepers keepers = Keepers(Directory());
  auto keeper = Dial(keepers);
  ASSERT_TRUE(keeper->Keep(7, Memfd("kept").get()).ok());
  for (int i = 0; i < 3; ++i) {
    keeper->Leave();
    keeper = Redial(keepers);
    const auto copies = keeper->Fetch();
    ASSERT_TRUE(copies.ok()) << copies.status();
    ASSERT_EQ(copies->size(), 1u);
    EXPECT_EQ(copies->front().id, 7u);
  }
  EXPECT_TRUE(warnings_.empty());
}

TEST_F(SpawnedKeepersTest, SurviveTheServiceWithWhatItHadSentThem) {
  SpawnedKeepers keepers = Keepers(Directory());
  Gate kept;
  Forked service([&] {
    const auto keeper = Dial(keepers);
    for (std::uint64_t id = 1; id <= 40; ++id)
      EXPECT_TRUE(keeper->Keep(id, Memfd("kept").get()).ok());
    kept.Open();
    ::pause();
  });
  ASSERT_TRUE(kept.Pass());
  service.Kill();
  EXPECT_EQ(Kept(*Redial(keepers)), 40u);
}

TEST_F(SpawnedKeepersTest, EndWithTheServiceIfTheyKeepNothing) {
  SpawnedKeepers keepers = Keepers(Directory());
  const auto keeper = Dial(keepers);
  keeper->Leave();
  EXPECT_NE(Comes(keeper->pidfd(), POLLIN), 0);
  ExpectNobodyAt(keepers);
}

TEST_F(SpawnedKeepersTest, EndWhenTheyAreToldToWhateverTheyKeep) {
  SpawnedKeepers keepers = Keepers(Directory());
  const auto keeper = Dial(keepers);
  ASSERT_TRUE(keeper->Keep(7, STDERR_FILENO).ok());
  EXPECT_EQ(keeper->End(), "ended with status 0");
  keepers.Forget(kName);
  EXPECT_FALSE(std::filesystem::exists(Path()));
  ExpectNobodyAt(keepers);
}

TEST_F(SpawnedKeepersTest, EndForTheNextProcessToo) {
  SpawnedKeepers keepers = Keepers(Directory());
  const auto keeper = Dial(keepers);
  ASSERT_TRUE(keeper->Keep(7, STDERR_FILENO).ok());
  keeper->Leave();
  EXPECT_EQ(Redial(keepers)->End(), "has ended");
  EXPECT_NE(Comes(keeper->pidfd(), POLLIN), 0);
}

TEST_F(SpawnedKeepersTest, LeaveAPathBehindWhenTheyAreKilledThatIsInNobodysWay) {
  SpawnedKeepers keepers = Keepers(Directory());
  const auto killed = Dial(keepers);
  ASSERT_EQ(::kill(killed->pid(), SIGKILL), 0);
  ASSERT_NE(Comes(killed->pidfd(), POLLIN), 0);
  EXPECT_TRUE(std::filesystem::exists(Path()));
  ExpectNobodyAt(keepers);
  EXPECT_NE(Dial(keepers), nullptr);
}

TEST_F(SpawnedKeepersTest, WaitAsLongAsTheyWereToldAndNoLonger) {
  UniqueFd listener(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = {}};
  ASSERT_EQ(
      ::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(sa_family_t)), 0);
  ASSERT_EQ(::listen(listener.get(), 1), 0);
  const auto keeper =
      *Keeper::Spawn(Program(), {}, {.listener = std::move(listener), .seconds = 1});
  ASSERT_TRUE(keeper->Keep(7, STDERR_FILENO).ok());
  keeper->Leave();
  EXPECT_NE(Comes(keeper->pidfd(), POLLIN), 0);
}

TEST_F(SpawnedKeepersTest, AreReachedByTheirOwnUserOnly) {
  if (::getuid() != 0) GTEST_SKIP() << "root is needed to become another user";
  SpawnedKeepers keepers = Keepers(Directory());
  const auto keeper = Dial(keepers);
  ASSERT_TRUE(keeper->Keep(7, Memfd("kept").get()).ok());
  struct stat status = {};
  ASSERT_EQ(::stat(Directory().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777u, 0700u);
  ASSERT_EQ(::stat(Path().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0077u, 0u);
  // Even where they let others through.
  ASSERT_EQ(::chmod(Directory().c_str(), 0755), 0);
  ASSERT_EQ(::chmod(Path().c_str(), 0666), 0);
  keeper->Leave();
  Forked other([&] {
    constexpr uid_t kNobodyElse = 4299;
    EXPECT_EQ(::setresuid(kNobodyElse, kNobodyElse, kNobodyElse), 0);
    const UniqueFd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = {}};
    std::memcpy(address.sun_path, Path().data(), Path().size());
    EXPECT_EQ(::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)),
              0);
    EXPECT_NE(Comes(socket.get(), 0) & POLLHUP, 0) << "it is closed unread";
    ExpectNobodyAt(keepers);
  });
  other.ExpectToSucceed();
  EXPECT_EQ(Kept(*Redial(keepers)), 1u);
}

TEST_F(SpawnedKeepersTest, DoNotWaitWhereOthersCouldTakeTheirPlace) {
  ASSERT_EQ(::mkdir(Directory().c_str(), 0700), 0);
  ASSERT_EQ(::chmod(Directory().c_str(), 0770), 0);
  SpawnedKeepers keepers = Keepers(Directory());
  const auto keeper = Dial(keepers);
  ASSERT_EQ(warnings_.size(), 1u);
  EXPECT_TRUE(absl::StrContains(warnings_[0], "others may write to it")) << warnings_[0];
  ASSERT_TRUE(keeper->Keep(7, STDERR_FILENO).ok()) << "it works all the same";
  keeper->Leave();
  EXPECT_NE(Comes(keeper->pidfd(), POLLIN), 0);
}

TEST_F(SpawnedKeepersTest, SayThatAPathIsTooLong) {
  SpawnedKeepers keepers = Keepers(directory_.path() + "/" + std::string(120, 'x'));
  EXPECT_NE(Dial(keepers), nullptr);
  ASSERT_EQ(warnings_.size(), 1u);
  EXPECT_TRUE(absl::StrContains(warnings_[0], "107 bytes")) << warnings_[0];
  EXPECT_EQ(keepers.Redial(kName, {}).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(SpawnedKeepersTest, EndWithTheirProcessWhereThereIsNoDirectory) {
  SpawnedKeepers keepers = Keepers("");
  EXPECT_FALSE(keepers.outlives());
  const auto keeper = Dial(keepers);
  ASSERT_TRUE(keeper->Keep(7, STDERR_FILENO).ok());
  keeper->Leave();
  EXPECT_NE(Comes(keeper->pidfd(), POLLIN), 0);
  ExpectNobodyAt(keepers);
}

class Store final : public KeeperStore {
 public:
  void Put(const std::string& name, UniqueFd connection) override {
    stored[name] = std::move(connection);
  }
  void Remove(const std::string& name) override { stored.erase(name); }
  UniqueFd Take(const std::string& name) override {
    const auto it = stored.find(name);
    return UniqueFd(it == stored.end() ? -1 : ::fcntl(it->second.get(), F_DUPFD_CLOEXEC, 0));
  }
  std::map<std::string, UniqueFd> stored;
};

// As systemd does for a socket unit with Accept=yes.
class ConnectedKeepersTest : public SpawnedKeepersTest {
 protected:
  ConnectedKeepersTest() {
    sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = {}};
    std::memcpy(address.sun_path, socket_.data(), socket_.size());
    EXPECT_EQ(::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)),
              0);
    EXPECT_EQ(::listen(listener_.get(), 1), 0);
  }
  std::unique_ptr<Keeper> DialOne() {
    std::unique_ptr<Keeper> keeper;
    std::thread service([&] { keeper = Dial(keepers_); });
    // Here and not there: a child does not outlive the thread that began it.
    const UniqueFd connection(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    child_.emplace(hlbuf::Program{.arguments = {Program()}, .channel = connection.get()});
    service.join();
    return keeper;
  }

  std::string socket_ = directory_.path() + "/keeper.sock";
  UniqueFd listener_ = UniqueFd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  std::optional<Child> child_;
  Store store_;
  ConnectedKeepers keepers_ = ConnectedKeepers(socket_, store_);
};

TEST_F(ConnectedKeepersTest, LiveAsLongAsTheirConnectionIsStored) {
  auto keeper = DialOne();
  ASSERT_TRUE(keeper->Keep(7, Memfd("kept").get()).ok());
  keeper->Leave();
  auto next = Redial(keepers_);
  const auto copies = next->Fetch();
  ASSERT_TRUE(copies.ok()) << copies.status();
  EXPECT_EQ(copies->size(), 1u);
  EXPECT_EQ(next->End(), "has ended");
  keepers_.Forget(kName);
  EXPECT_EQ(child_->ExitStatus(), 0);
  ExpectNobodyAt(keepers_);
}

TEST_F(ConnectedKeepersTest, AreNotThereWhenTheyDiedMeanwhile) {
  DialOne()->Leave();
  child_->Signal(SIGKILL);
  ASSERT_TRUE(child_->Wait().has_value());
  ExpectNobodyAt(keepers_);
}

TEST_F(ConnectedKeepersTest, SayWhatIsMissingWhereNobodyListens) {
  listener_.Reset();
  const absl::Status refused = keepers_.Dial(kName, {}).status();
  EXPECT_TRUE(absl::StrContains(refused.message(), "hl-bufd-keeper.socket")) << refused;
  EXPECT_TRUE(store_.stored.empty());
}

// As where PID 1 stands still: the connection is made, and nobody takes it.
TEST_F(ConnectedKeepersTest, AreNotWaitedForLongerThanForAChildAndThatOneIsTakenLater) {
  const KeeperLimits limits{.start = absl::Milliseconds(30), .drop = absl::Hours(1)};
  for (int i = 0; i < 3; ++i) {
    const absl::Status late = keepers_.Dial(kName, limits).status();
    EXPECT_TRUE(absl::IsDeadlineExceeded(late)) << late;
    EXPECT_TRUE(store_.stored.empty());
  }
  const auto keeper = DialOne();
  ASSERT_NE(keeper, nullptr);
  EXPECT_TRUE(keeper->Keep(7, STDERR_FILENO).ok());
  EXPECT_EQ(Kept(*keeper), 1u);
  EXPECT_TRUE(store_.stored.contains(kName));
  pollfd another = {.fd = listener_.get(), .events = POLLIN, .revents = 0};
  EXPECT_EQ(::poll(&another, 1, 0), 0);
}

TEST_F(ConnectedKeepersTest, AreNotTakenFromAnotherUser) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, to be two users";
  Gate listens, end;
  const Forked stranger([&] {
    ASSERT_EQ(::setuid(64'123), 0);
    ASSERT_EQ(::listen(listener_.get(), 1), 0);
    listens.Open();
    end.Pass();
  });
  ASSERT_TRUE(listens.Pass());
  const absl::Status refused = keepers_.Dial(kName, {}).status();
  EXPECT_TRUE(absl::StrContains(refused.message(), "another user")) << refused;
  end.Open();
}

}  // namespace
}  // namespace hlbuf
