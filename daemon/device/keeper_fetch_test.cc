// SPDX-License-Identifier: Apache-2.0
// What a keeper gives back, and keepers that do it wrong.
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/time/clock.h"
#include "daemon/core/error.h"
#include "daemon/device/keeper.h"
#include "proto/wire/packet.h"
#include "tests/support/descriptors.h"
#include "tests/support/spawned_keeper.h"

namespace hlbuf {
namespace {

ino_t InodeOf(int fd) {
  struct stat status = {};
  EXPECT_EQ(::fstat(fd, &status), 0);
  return status.st_ino;
}

class KeeperFetch : public SpawnedKeeperTest {
 protected:
  static std::vector<KeptCopy> Fetch(Keeper& keeper) {
    auto copies = keeper.Fetch();
    EXPECT_TRUE(copies.ok()) << copies.status();
    return copies.ok() ? *std::move(copies) : std::vector<KeptCopy>();
  }
  // The same keeper, as the next process of the service comes to it.
  static std::unique_ptr<Keeper> Again(const Keeper& keeper) {
    auto again = Keeper::Adopt(UniqueFd(::fcntl(keeper.fd(), F_DUPFD_CLOEXEC, 0)), {});
    EXPECT_TRUE(again.ok()) << again.status();
    return again.ok() ? *std::move(again) : nullptr;
  }
};

TEST_F(KeeperFetch, BringsNothingOfAKeeperThatKeepsNothing) {
  const auto keeper = Spawn();
  EXPECT_TRUE(Fetch(*keeper).empty());
}

TEST_F(KeeperFetch, BringsTheSameFilesCloseOnExecUnderTheirIds) {
  const auto keeper = Spawn();
  std::map<std::uint64_t, ino_t> files;
  for (int i = 0; i < 600; ++i) {
    const UniqueFd memfd = Memfd("kept");
    const ino_t inode = InodeOf(memfd.get());
    ASSERT_TRUE(keeper->Keep(inode, memfd.get()).ok());
    files[inode] = inode;
  }
  ASSERT_TRUE(keeper->Open("/dev/zero").ok());
  files[HLBUF_KEEPER_DEVICE_ID] =
      InodeOf(UniqueFd(::open("/dev/zero", O_RDONLY | O_CLOEXEC)).get());
  std::map<std::uint64_t, ino_t> fetched;
  for (const KeptCopy& copy : Fetch(*keeper)) {
    EXPECT_EQ(::fcntl(copy.fd.get(), F_GETFD), FD_CLOEXEC);
    fetched[copy.id] = InodeOf(copy.fd.get());
  }
  EXPECT_EQ(fetched, files);
  EXPECT_EQ(Kept(*keeper), files.size()) << "it goes on to keep them";
}

TEST_F(KeeperFetch, IsThereForTheNextProcessWithWhatTheLastOneLeft) {
  auto keeper = Spawn();
  ASSERT_TRUE(keeper->Keep(7, Memfd("left").get()).ok());
  const auto next = Again(*keeper);
  keeper->Leave();
  const std::vector<KeptCopy> copies = Fetch(*next);
  ASSERT_EQ(copies.size(), 1u);
  EXPECT_EQ(copies[0].id, 7u);
  EXPECT_TRUE(next->Drop({7}).ok());
  EXPECT_EQ(Kept(*next), 0u);
  EXPECT_EQ(next->pid(), -1);
  EXPECT_EQ(next->End(), "has ended");
}

// Unread when the last process died: an answer without, and one with descriptors.
TEST_F(KeeperFetch, PassesOverAnswersToTheLastProcessAndClosesWhatTheyBring) {
  const auto keeper = Spawn();
  for (std::uint64_t id = 1; id <= 3; ++id) ASSERT_TRUE(keeper->Keep(id, STDERR_FILENO).ok());
  for (const auto verb : {HLBUF_KEEPER_COUNT, HLBUF_KEEPER_FETCH}) {
    const hlbuf_keeper_message question = {
        .version = HLBUF_KEEPER_VERSION, .verb = static_cast<std::uint32_t>(verb), .cookie = 1};
    ASSERT_TRUE(
        SendPacket(keeper->fd(), {reinterpret_cast<const std::byte*>(&question), sizeof(question)})
            .ok());
  }
  const std::size_t before = CountDescriptors();
  const auto next = Again(*keeper);
  ASSERT_NE(next, nullptr);
  EXPECT_EQ(CountDescriptors(), before + 1) << "its connection";
  EXPECT_EQ(Fetch(*next).size(), 3u);
  EXPECT_EQ(CountDescriptors(), before + 1);
}

TEST_F(KeeperFetch, FailsWhenTheKeeperDies) {
  const auto keeper = Spawn();
  ASSERT_EQ(::kill(keeper->pid(), SIGKILL), 0);
  EXPECT_TRUE(absl::IsUnavailable(keeper->Fetch().status()));
  const absl::Status adopted =
      Keeper::Adopt(UniqueFd(::fcntl(keeper->fd(), F_DUPFD_CLOEXEC, 0)), {}).status();
  EXPECT_TRUE(absl::IsUnavailable(adopted)) << adopted;
}

// A keeper that answers as a test says; its COUNT is as it should be.
class FakeKeeper {
 public:
  struct Answer {
    hlbuf_keeper_message message;
    std::vector<std::uint64_t> ids;
    std::size_t descriptors = 0;
  };
  // What it answers to the `n`th FETCH; nullopt: nothing, and it ends.
  using Fetched = std::function<std::optional<Answer>(std::size_t n)>;

  explicit FakeKeeper(Fetched fetched) : fetched_(std::move(fetched)) {
    int ends[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    theirs_.Reset(ends[0]);
    ours_.Reset(ends[1]);
    thread_ = std::thread([this] { Serve(); });
  }
  ~FakeKeeper() {
    ::shutdown(theirs_.get(), SHUT_RDWR);
    thread_.join();
  }
  std::unique_ptr<Keeper> Adopt(KeeperLimits limits = {}) {
    auto keeper = Keeper::Adopt(std::move(ours_), limits);
    EXPECT_TRUE(keeper.ok()) << keeper.status();
    return keeper.ok() ? *std::move(keeper) : nullptr;
  }

  static Answer WithIds(std::vector<std::uint64_t> ids, std::uint32_t kept) {
    const std::size_t count = ids.size();
    return {.message = {.verb = HLBUF_KEEPER_FETCHED,
                        .items = static_cast<std::uint32_t>(count),
                        .kept = kept},
            .ids = std::move(ids),
            .descriptors = count};
  }

 private:
  void Serve() {
    PacketBuffer packet;
    std::size_t fetches = 0;
    while (true) {
      pollfd p = {.fd = theirs_.get(), .events = POLLIN, .revents = 0};
      if (::poll(&p, 1, kPatienceMs) != 1 || !ReceivePacket(theirs_.get(), packet).ok()) return;
      hlbuf_keeper_message question = {};
      std::memcpy(&question, packet.bytes().data(), sizeof(question));
      std::optional<Answer> answer = Answer{.message = {.verb = question.verb | 0x80, .room = 9}};
      if (question.verb == HLBUF_KEEPER_FETCH) answer = fetched_(fetches++);
      if (!answer.has_value()) return ::shutdown(theirs_.get(), SHUT_RDWR), void();
      answer->message.version = HLBUF_KEEPER_VERSION;
      answer->message.cookie = question.cookie;
      std::vector<std::byte> bytes(sizeof(question) + answer->ids.size() * 8);
      std::memcpy(bytes.data(), &answer->message, sizeof(question));
      if (!answer->ids.empty())
        std::memcpy(bytes.data() + sizeof(question), answer->ids.data(), answer->ids.size() * 8);
      EXPECT_TRUE(
          SendPacket(theirs_.get(), bytes, std::vector<int>(answer->descriptors, STDERR_FILENO))
              .ok());
    }
  }

  const Fetched fetched_;
  UniqueFd theirs_;
  UniqueFd ours_;
  std::thread thread_;
};

TEST(KeeperThatMisbehaves, IsNotBelievedAndLeavesNoDescriptorBehind) {
  using Answer = FakeKeeper::Answer;
  const std::size_t before = CountDescriptors();
  const std::pair<const char*, FakeKeeper::Fetched> cases[] = {
      {"ids without descriptors",
       [](std::size_t) {
         Answer answer = FakeKeeper::WithIds({1, 2}, 2);
         answer.descriptors = 1;
         return std::optional(answer);
       }},
      {"descriptors without ids",
       [](std::size_t) {
         Answer answer = FakeKeeper::WithIds({1}, 1);
         answer.descriptors = 5;
         return std::optional(answer);
       }},
      {"more items than there are",
       [](std::size_t) {
         Answer answer = FakeKeeper::WithIds({1}, 1);
         answer.message.items = 0x20000001;
         return std::optional(answer);
       }},
      {"without end", [](std::size_t n) { return std::optional(FakeKeeper::WithIds({n}, 3)); }},
      {"fewer than it says", [](std::size_t) { return std::optional(FakeKeeper::WithIds({}, 3)); }},
      {"another verb",
       [](std::size_t) {
         Answer answer = FakeKeeper::WithIds({}, 0);
         answer.message.verb = HLBUF_KEEPER_OPENED;
         answer.descriptors = 1;
         return std::optional(answer);
       }},
  };
  for (const auto& [what, fetched] : cases) {
    FakeKeeper fake(fetched);
    const auto keeper = fake.Adopt();
    const absl::Status status = keeper->Fetch().status();
    EXPECT_TRUE(absl::IsDataLoss(status)) << what << ": " << status;
    keeper->Leave();
  }
  EXPECT_EQ(CountDescriptors(), before);
}

TEST(KeeperThatIsOlder, SaysThatItGivesNothingBack) {
  FakeKeeper fake([](std::size_t) {
    return std::optional(FakeKeeper::Answer{
        .message = {.verb = HLBUF_KEEPER_REFUSED, .error = EOPNOTSUPP}, .ids = {}});
  });
  const auto keeper = fake.Adopt();
  const absl::Status status = keeper->Fetch().status();
  EXPECT_TRUE(absl::IsUnimplemented(status)) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "earlier version")) << status;
}

TEST(KeeperOfABusyUser, IsAskedAgainUntilItsQueuesTakeMore) {
  FakeKeeper fake([](std::size_t n) {
    if (n == 2) return std::optional(FakeKeeper::WithIds({1}, 1));
    if (n == 3) return std::optional(FakeKeeper::WithIds({}, 1));
    return std::optional(FakeKeeper::Answer{
        .message = {.verb = HLBUF_KEEPER_FETCHED, .error = ETOOMANYREFS}, .ids = {}});
  });
  const auto keeper = fake.Adopt();
  const auto copies = keeper->Fetch();
  ASSERT_TRUE(copies.ok()) << copies.status();
  EXPECT_EQ(copies->size(), 1u);
}

TEST(KeeperOfABusyUser, FailsInTheEndWhereTheyNeverDo) {
  FakeKeeper fake([](std::size_t) {
    return std::optional(FakeKeeper::Answer{
        .message = {.verb = HLBUF_KEEPER_FETCHED, .error = ETOOMANYREFS}, .ids = {}});
  });
  const auto keeper = fake.Adopt({.fetch = absl::Milliseconds(30)});
  EXPECT_TRUE(absl::IsResourceExhausted(keeper->Fetch().status()));
}

TEST(KeeperThatDiesMidway, GivesNothing) {
  FakeKeeper fake([](std::size_t n) {
    return n == 0 ? std::optional(FakeKeeper::WithIds({1}, 2)) : std::nullopt;
  });
  const auto keeper = fake.Adopt();
  EXPECT_TRUE(absl::IsUnavailable(keeper->Fetch().status()));
}

}  // namespace
}  // namespace hlbuf
