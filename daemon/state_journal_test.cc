// SPDX-License-Identifier: Apache-2.0
#include "daemon/state_journal.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "tests/support/broker_rig.h"

namespace hlbuf {
namespace {

// Below a tmpfs, as journals have to be.
class Directory {
 public:
  Directory() {
    std::string pattern = "/dev/shm/state_journal_test.XXXXXX";
    path_ = ::mkdtemp(pattern.data());
  }
  ~Directory() { std::filesystem::remove_all(path_); }
  std::string state() const { return path_ + "/state"; }
  std::string journal() const { return state() + "/journal"; }

 private:
  std::string path_;
};

void WriteSession(StateJournal& journal) {
  SessionRecord session;
  session.id = SessionId{7};
  session.peer = PeerOf(1000);
  journal.Write(session);
}

TEST(StateJournal, RemembersNothingUntilItIsOpen) {
  StateJournal journal;
  EXPECT_FALSE(journal.is_open());
  WriteSession(journal);
  EXPECT_TRUE(journal.Reserve(1'000'000).ok());
}

TEST(StateJournal, IsFoundByTheNextProcess) {
  const Directory directory;
  {
    StateJournal journal;
    const auto found = journal.OpenIn(directory.state());
    ASSERT_TRUE(found.ok()) << found.status();
    EXPECT_TRUE(found->kept.sessions.empty());
    EXPECT_EQ(found->set_aside, "");
    WriteSession(journal);
  }
  StateJournal next;
  const auto found = next.OpenIn(directory.state());
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->kept.sessions.size(), 1u);
  struct stat stat = {};
  ASSERT_EQ(::stat(directory.journal().c_str(), &stat), 0);
  EXPECT_EQ(stat.st_mode & 07777, 0600u);
}

TEST(StateJournal, IsForOneProcessAtATime) {
  const Directory directory;
  StateJournal journal, other;
  ASSERT_TRUE(journal.OpenIn(directory.state()).ok());
  const absl::Status refused = other.OpenIn(directory.state()).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
}

TEST(StateJournal, IsSetAsideWhenItCannotBeRead) {
  const Directory directory;
  ::mkdir(directory.state().c_str(), 0700);
  for (int n = 1; n <= 2; ++n) {
    std::ofstream(directory.journal()) << std::string(10'000, 'x');
    StateJournal journal;
    const auto found = journal.OpenIn(directory.state());
    ASSERT_TRUE(found.ok()) << found.status();
    EXPECT_TRUE(found->kept.sessions.empty());
    const std::string aside = directory.journal() + ".bad-" + std::to_string(n);
    EXPECT_NE(found->set_aside.find(aside), std::string::npos) << found->set_aside;
    EXPECT_TRUE(std::filesystem::exists(aside));
    WriteSession(journal);
  }
}

TEST(StateJournal, IsOnlyInADirectoryThatNobodyElseCanChange) {
  const Directory directory;
  ::mkdir(directory.state().c_str(), 0755);
  ::chmod(directory.state().c_str(), 0755);
  StateJournal journal;
  EXPECT_TRUE(absl::IsFailedPrecondition(journal.OpenIn(directory.state()).status()));
  ::chmod(directory.state().c_str(), 0700);
  EXPECT_TRUE(journal.OpenIn(directory.state()).ok());
}

TEST(StateJournal, IsNotReachedThroughLinks) {
  const Directory directory, other;
  ::mkdir(other.state().c_str(), 0700);
  std::filesystem::create_symlink(other.state(), directory.state());
  StateJournal journal;
  EXPECT_FALSE(journal.OpenIn(directory.state()).ok());
}

TEST(StateJournal, IsInADescriptorWhereOneIsStored) {
  UniqueFd stored;
  {
    StateJournal journal;
    ASSERT_TRUE(journal.OpenStored(UniqueFd()).ok());
    WriteSession(journal);
    stored.Reset(::fcntl(journal.fd(), F_DUPFD_CLOEXEC, 0));
  }
  StateJournal next;
  const auto found = next.OpenStored(std::move(stored));
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->kept.sessions.size(), 1u);
}

TEST(StateJournal, GivesAStoredOneBackThatItCannotRead) {
  StateJournal journal;
  UniqueFd bad(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const auto found = journal.OpenStored(std::move(bad));
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_TRUE(found->aside);
  EXPECT_NE(found->set_aside, "");
  EXPECT_TRUE(journal.is_open());
}

TEST(StateJournal, IsNotSetAsideForWantOfADescriptor) {
  UniqueFd stored;
  {
    StateJournal journal;
    ASSERT_TRUE(journal.OpenStored(UniqueFd()).ok());
    WriteSession(journal);
    stored.Reset(::fcntl(journal.fd(), F_DUPFD_CLOEXEC, 0));
  }
  UniqueFd passed(::fcntl(stored.get(), F_DUPFD_CLOEXEC, 0));
  rlimit before = {};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit none = {.rlim_cur = 1, .rlim_max = before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  StateJournal starved, next;
  const absl::Status refused = starved.OpenStored(std::move(passed)).status();
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_TRUE(absl::IsResourceExhausted(refused)) << refused;
  EXPECT_EQ(refused.message().find("copy the descriptor of the journal"), 0U) << refused;
  const auto found = next.OpenStored(std::move(stored));
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->kept.sessions.size(), 1u);
}

// A journal in a file that cannot grow, with what it says of that.
struct Bounded {
  Bounded() {
    UniqueFd file(::memfd_create("journal", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    {
      StateJournal first;
      const auto opened = first.OpenStored(UniqueFd());
      EXPECT_TRUE(opened.ok()) << opened.status();
      struct stat stat = {};
      ::fstat(first.fd(), &stat);
      EXPECT_EQ(::ftruncate(file.get(), stat.st_size), 0);
      EXPECT_EQ(::sendfile(file.get(), first.fd(), nullptr, static_cast<std::size_t>(stat.st_size)),
                stat.st_size);
    }
    EXPECT_EQ(::fcntl(file.get(), F_ADD_SEALS, F_SEAL_GROW), 0);
    const auto found = journal.OpenStored(std::move(file));
    EXPECT_TRUE(found.ok() && found->set_aside.empty()) << found->set_aside;
  }

  std::vector<std::string> told;
  StateJournal journal = StateJournal([this](const std::string& text) { told.push_back(text); });
};

TEST(StateJournal, SaysOnceThatThereIsNoRoomAndThatThereIsAgain) {
  Bounded bounded;
  EXPECT_EQ(bounded.journal.trouble(), "");
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(bounded.journal.Reserve(1'000'000).ok());
  ASSERT_EQ(bounded.told.size(), 1u);
  EXPECT_EQ(bounded.told[0].find("requests are refused: there is no memory"), 0u)
      << bounded.told[0];
  EXPECT_EQ(bounded.journal.trouble(), bounded.told[0]);
  EXPECT_TRUE(bounded.journal.keeps()) << "what there is";
  EXPECT_TRUE(bounded.journal.Reserve(1).ok());
  EXPECT_EQ(bounded.journal.trouble(), "");
}

// Writes until that fails.
void Fill(Bounded& bounded) {
  SessionRecord session;
  session.peer = PeerOf(1000);
  for (std::uint64_t id = 1; id < 10'000 && bounded.told.empty(); ++id) {
    session.id = SessionId{id};
    bounded.journal.Write(session);
  }
}

TEST(StateJournal, SaysThatAWriteHasFailedForGood) {
  Bounded bounded;
  Fill(bounded);
  ASSERT_EQ(bounded.told.size(), 1u);
  EXPECT_EQ(bounded.told[0].find("what is held cannot be written down any more: "), 0u)
      << bounded.told[0];
  EXPECT_EQ(bounded.journal.trouble(), bounded.told[0]);
  EXPECT_FALSE(bounded.journal.keeps());
  WriteSession(bounded.journal);
  EXPECT_EQ(bounded.told.size(), 1u);
}

TEST(StateJournal, RefusesNobodyWhenItIsGivenUp) {
  Bounded bounded;
  Fill(bounded);
  ASSERT_FALSE(bounded.journal.keeps());
  EXPECT_TRUE(bounded.journal.Reserve(1'000'000).ok()) << "jobs are to finish";
  EXPECT_EQ(bounded.journal.trouble(), bounded.told[0]);
  const auto bytes = [&] {
    std::string all(64'000, '\0');
    EXPECT_GT(::pread(bounded.journal.fd(), all.data(), all.size(), 0), 0);
    return all;
  };
  const std::string before = bytes();
  bounded.journal.Forget(SessionId{1});
  bounded.journal.Forget(SessionId{2});
  WriteSession(bounded.journal);
  EXPECT_EQ(bytes(), before) << "nobody will read it";
}

}  // namespace
}  // namespace hlbuf
