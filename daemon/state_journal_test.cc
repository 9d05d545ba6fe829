// SPDX-License-Identifier: Apache-2.0
#include "daemon/state_journal.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
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

}  // namespace
}  // namespace hlbuf
