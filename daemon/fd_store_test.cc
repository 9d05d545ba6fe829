// SPDX-License-Identifier: Apache-2.0
#include "daemon/fd_store.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "tests/support/child.h"
#include "tests/support/descriptors.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_fd_store.h"

namespace hlbuf {
namespace {

using Names = std::vector<std::string>;

ino_t InodeOf(int fd) {
  struct stat its = {};
  EXPECT_EQ(::fstat(fd, &its), 0);
  return its.st_ino;
}

class FdStoreTest : public testing::Test {
 protected:
  // The next life of a service.
  FdStore NextLife() { return FdStore(notify, PassedDescriptors(kept.Passed()), count); }

  FakeFdStore kept{4};
  FakeClock clock;
  NotifySocket notify{clock};
  FdStore::CountStored count = [this] { return kept.Count(); };
  FdStore store{notify, PassedDescriptors(), count};
  UniqueFd journal = Memfd("journal");
  UniqueFd epochs = Memfd("epochs");
};

// Of a service manager that reads when it is told to.
class UnreadNotifySocket {
 public:
  UnreadNotifySocket() {
    const std::string path = directory_.path() + "/notify";
    sockaddr_un address = {.sun_family = AF_UNIX};
    path.copy(address.sun_path, sizeof(address.sun_path) - 1);
    EXPECT_EQ(::bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    ::setenv("NOTIFY_SOCKET", path.c_str(), 1);
  }
  ~UnreadNotifySocket() { ::unsetenv("NOTIFY_SOCKET"); }
  void ReadAll() const {
    char byte;
    while (::recv(socket_.get(), &byte, 1, 0) > 0) {
    }
  }

 private:
  TemporaryDirectory directory_;
  UniqueFd socket_{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
};

TEST_F(FdStoreTest, GivesTheNextLifeWhatWasPushedByItsName) {
  EXPECT_TRUE(store.Push("journal", journal.get()).ok());
  EXPECT_TRUE(store.Push("epochs", epochs.get()).ok());
  FdStore next = NextLife();
  EXPECT_EQ(next.Names(), (Names{"epochs", "journal"}));
  EXPECT_EQ(InodeOf(next.Take("journal")->get()), InodeOf(journal.get()));
  EXPECT_EQ(InodeOf(next.Take("epochs")->get()), InodeOf(epochs.get()));
  EXPECT_EQ(next.Take("journal"), std::nullopt) << "once";
  EXPECT_EQ(next.RemoveUntaken(), Names());
  EXPECT_EQ(kept.Names(), (Names{"epochs", "journal"})) << "what was taken stays stored";
}

TEST_F(FdStoreTest, LeavesTheDescriptorToWhoeverPushedIt) {
  EXPECT_TRUE(store.Push("journal", journal.get()).ok());
  EXPECT_GT(InodeOf(journal.get()), 0u);
}

TEST_F(FdStoreTest, RemovesAndClosesWhatTheNextLifeDoesNotKnow) {
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
  const UniqueFd peer(ends[1]);
  UniqueFd keeper(ends[0]);
  EXPECT_TRUE(store.Push("journal", journal.get()).ok());
  EXPECT_TRUE(store.Push("keeper-of-old", keeper.get()).ok());
  keeper.Reset();
  FdStore next = NextLife();
  EXPECT_TRUE(next.Take("journal").has_value());
  EXPECT_EQ(next.RemoveUntaken(), Names{"keeper-of-old"});
  EXPECT_EQ(next.Names(), Names{"journal"});
  EXPECT_EQ(kept.Names(), Names{"journal"});
  char byte;
  EXPECT_EQ(::recv(peer.get(), &byte, 1, 0), 0) << "nobody has the other end any more";
}

TEST_F(FdStoreTest, RemovesByName) {
  EXPECT_TRUE(store.Push("journal", journal.get()).ok());
  EXPECT_TRUE(store.Push("epochs", epochs.get()).ok());
  EXPECT_TRUE(store.Remove("journal").ok());
  EXPECT_EQ(kept.Names(), Names{"epochs"});
  EXPECT_TRUE(store.Remove("journal").ok()) << "it is not there";
  EXPECT_TRUE(store.Push("journal", journal.get()).ok()) << "the name is free again";
  EXPECT_EQ(kept.Names(), (Names{"journal", "epochs"}));
}

TEST_F(FdStoreTest, HasWhatHangsUpKept) {
  EXPECT_TRUE(store.Push("journal", journal.get()).ok());
  EXPECT_EQ(kept.Told(), Names{"FDSTORE=1\nFDNAME=journal\nFDPOLL=0"});
}

TEST_F(FdStoreTest, StoresOneDescriptorANameAndNoneUnderANameThatIsNone) {
  EXPECT_TRUE(store.Push("journal", journal.get()).ok());
  EXPECT_TRUE(absl::IsAlreadyExists(store.Push("journal", epochs.get())));
  for (const std::string name : {"", "a:b", "a b", "a\nREADY=1"})
    EXPECT_TRUE(absl::IsInvalidArgument(store.Push(name, epochs.get()))) << name;
  EXPECT_TRUE(absl::IsInvalidArgument(store.Push(std::string(256, 'a'), epochs.get())));
  EXPECT_TRUE(store.Push(std::string(255, 'a'), epochs.get()).ok());
  EXPECT_EQ(store.Names().size(), 2u);
}

TEST_F(FdStoreTest, IsVerifiedWhenTheManagerHasExactlyThat) {
  EXPECT_TRUE(store.Verification()().ok());
  EXPECT_TRUE(store.Push("journal", journal.get()).ok());
  EXPECT_TRUE(store.Push("epochs", epochs.get()).ok());
  EXPECT_TRUE(store.Verification()().ok());
  EXPECT_TRUE(store.Remove("epochs").ok());
  EXPECT_TRUE(store.Verification()().ok());
  EXPECT_TRUE(NextLife().Verification()().ok());
}

TEST_F(FdStoreTest, VerifiesWhatWasStoredWhenThatWasAsked) {
  const auto none = store.Verification();
  EXPECT_TRUE(store.Push("journal", journal.get()).ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(none()));
}

TEST_F(FdStoreTest, SaysThatTheManagerHadNoRoom) {
  for (const char* name : {"a", "b", "c", "d"})
    EXPECT_TRUE(store.Push(name, Memfd(name).get()).ok());
  EXPECT_TRUE(store.Verification()().ok());
  EXPECT_TRUE(store.Push("e", Memfd("e").get()).ok()) << "nothing tells it then";
  const absl::Status status = store.Verification()();
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_NE(status.message().find("keeps 4 descriptors, not 5"), std::string::npos) << status;
}

TEST_F(FdStoreTest, SaysThatAFileWasStoredUnderAnotherName) {
  EXPECT_TRUE(store.Push("journal", journal.get()).ok());
  EXPECT_TRUE(store.Push("journal-2", journal.get()).ok());
  EXPECT_TRUE(absl::IsDataLoss(store.Verification()()));
}

TEST_F(FdStoreTest, SaysThatARemovalWasLostAndRepeatsItInTheNextLife) {
  EXPECT_TRUE(store.Push("journal", journal.get()).ok());
  EXPECT_TRUE(store.Push("epochs", epochs.get()).ok());
  kept.Lose(true);
  EXPECT_TRUE(store.Remove("journal").ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(store.Verification()()));
  kept.Lose(false);
  FdStore next = NextLife();
  EXPECT_TRUE(next.Take("epochs").has_value());
  EXPECT_EQ(next.RemoveUntaken(), Names{"journal"});
  EXPECT_TRUE(next.Verification()().ok());
}

TEST_F(FdStoreTest, KeepsTheNewestOfTwoThatCameUnderOneName) {
  EXPECT_TRUE(store.Push("journal", journal.get()).ok());
  kept.Lose(true);
  EXPECT_TRUE(store.Remove("journal").ok());
  kept.Lose(false);
  const UniqueFd newer = Memfd("newer");
  EXPECT_TRUE(store.Push("journal", newer.get()).ok());
  ASSERT_EQ(kept.Names(), (Names{"journal", "journal"}));
  FdStore next = NextLife();
  EXPECT_EQ(kept.Names(), Names{"journal"});
  EXPECT_EQ(InodeOf(next.Take("journal")->get()), InodeOf(newer.get()));
  EXPECT_TRUE(next.Verification()().ok());
}

TEST_F(FdStoreTest, PassesOnWhyNobodyCouldCount) {
  // Its code would be an answer of the manager.
  FdStore blind(notify, PassedDescriptors(),
                [] { return absl::FailedPreconditionError("the bus hung up"); });
  const absl::Status status = blind.Verification()();
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_NE(status.message().find("the bus hung up"), std::string::npos) << status;
}

TEST(FdStore, KeepsANameUntilTheManagerCanBeToldToRemoveIt) {
  UnreadNotifySocket manager;
  FakeClock clock;
  NotifySocket notify(clock);
  std::uint32_t stored = 0;
  FdStore store{notify, PassedDescriptors(), [&] { return stored; }};
  const UniqueFd memfd = Memfd("memfd");
  ASSERT_TRUE(store.Push("old", memfd.get()).ok());
  while (store.Push(absl::StrCat("n", store.Names().size()), memfd.get()).ok()) {
  }
  EXPECT_TRUE(absl::IsResourceExhausted(store.Remove("old")));
  EXPECT_TRUE(absl::IsAlreadyExists(store.Push("old", memfd.get())));
  stored = static_cast<std::uint32_t>(store.Names().size());
  const auto refused_again = store.Verification();
  while (!notify.idle()) {
    manager.ReadAll();
    clock.AdvanceTo(notify.NextDeadline());
    notify.RunDeadlines();
  }
  manager.ReadAll();
  EXPECT_TRUE(absl::IsFailedPrecondition(refused_again()));
  static_cast<void>(store.Verification());
  EXPECT_EQ(store.Names().size(), stored - 1) << "it was told now";
  EXPECT_TRUE(store.Push("old", memfd.get()).ok());
}

TEST(FdStore, KeepsNothingWithoutAServiceManager) {
  ::unsetenv("NOTIFY_SOCKET");
  const FakeClock clock;
  NotifySocket notify(clock);
  FdStore store{notify, PassedDescriptors()};
  EXPECT_TRUE(absl::IsUnavailable(store.Push("journal", Memfd("journal").get())));
  EXPECT_EQ(store.Names(), Names());
  EXPECT_TRUE(store.Verification()().ok());
}

}  // namespace
}  // namespace hlbuf
