// SPDX-License-Identifier: Apache-2.0
// An upgrade writes the header of a journal anew, and may be killed at each instruction of that.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstddef>
#include <cstring>
#include <set>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "daemon/persist/journal.h"

namespace hlbuf {
namespace {

constexpr BootId kThisBoot = {1, 2, 3};
constexpr std::size_t kBytes = journal::kHeaderBytes + 2 * journal::kSlotBytes;
constexpr int kNotAllowed = 77;

UniqueFd FileOf(const std::string& bytes) {
  UniqueFd file(::memfd_create("journal", MFD_CLOEXEC));
  EXPECT_EQ(::write(file.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  return file;
}

UniqueFd Copy(const UniqueFd& file) { return UniqueFd(::fcntl(file.get(), F_DUPFD_CLOEXEC, 0)); }

std::string BytesOf(int file) {
  std::string bytes(kBytes, '\0');
  EXPECT_EQ(::pread(file, bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
  return bytes;
}

// As short as it can be: there are fewer instructions to look at.
std::string JournalOf(absl::string_view version) {
  const std::array<std::uint8_t, 3> content = {'t', 'e', 'n'};
  UniqueFd file(::memfd_create("journal", MFD_CLOEXEC));
  const auto journal = *Journal::Create(std::move(file), kThisBoot, version);
  EXPECT_TRUE(journal->Put({1, 10}, content).ok());
  return BytesOf(journal->fd());
}

// Which version a process finds that adopts what is there; and it finds the record.
std::string VersionFound(const std::string& bytes) {
  const auto looked = Journal::View(FileOf(bytes));
  if (!looked.ok()) return std::string(looked.status().message());
  const auto adopted = Journal::Adopt(FileOf(bytes), kThisBoot, "next");
  if (!adopted.ok()) return std::string(adopted.status().message());
  EXPECT_EQ((*adopted)->Find({1, 10}).size(), 3U);
  EXPECT_EQ((*adopted)->written_by(), "next");
  return (*looked)->written_by();
}

// Does `work` in a process that stops before each instruction, for `look`. False: this machine does
// not allow that.
bool StepThrough(absl::FunctionRef<void()> work, absl::FunctionRef<void()> look) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) ::_exit(kNotAllowed);
    ::raise(SIGSTOP);
    work();
    ::_exit(0);
  }
  int status = 0;
  while (::waitpid(child, &status, 0) == child && WIFSTOPPED(status)) {
    look();
    if (::ptrace(PTRACE_SINGLESTEP, child, nullptr, nullptr) != 0) ::kill(child, SIGKILL);
  }
  EXPECT_TRUE(WIFEXITED(status)) << status;
  const int exited = WEXITSTATUS(status);
  EXPECT_TRUE(exited == 0 || exited == kNotAllowed) << "the work failed, with status " << exited;
  return exited != kNotAllowed;
}

// What there is, one after the other, while a process of `version` adopts `bytes`.
std::vector<std::string> StatesOf(absl::string_view version, const std::string& bytes) {
  const UniqueFd file = FileOf(bytes);
  std::vector<std::string> states;
  void* const seen = ::mmap(nullptr, kBytes, PROT_READ, MAP_SHARED, file.get(), 0);
  EXPECT_NE(seen, MAP_FAILED);
  const bool allowed = StepThrough(
      [&] {
        if (!Journal::Adopt(Copy(file), kThisBoot, version).ok()) ::_exit(1);
      },
      [&] {
        if (states.empty() || std::memcmp(states.back().data(), seen, kBytes) != 0)
          states.emplace_back(static_cast<const char*>(seen), kBytes);
      });
  ::munmap(seen, kBytes);
  return allowed ? states : std::vector<std::string>();
}

// With those between them: one instruction may store many bytes, and be interrupted.
std::vector<std::string> AllBetween(const std::vector<std::string>& states) {
  std::vector<std::string> all(states.begin(), states.begin() + 1);
  for (const std::string& next : states)
    for (std::size_t at = 0; at < kBytes; ++at) {
      if (all.back()[at] == next[at]) continue;
      all.push_back(all.back());
      all.back()[at] = next[at];
    }
  return all;
}

TEST(JournalHeader, IsReadWhereverItsWriterWasKilled) {
  const std::vector<std::string> states = StatesOf("2", JournalOf("1"));
  if (states.empty()) GTEST_SKIP() << "no process can be traced here";
  std::set<std::string> versions;
  for (const std::string& bytes : AllBetween(states)) versions.insert(VersionFound(bytes));
  EXPECT_EQ(versions, (std::set<std::string>{"1", "2"}));
}

// Killed while it changed the header: the copy is what counts.
std::string Torn() {
  std::string bytes = JournalOf("2");
  bytes.replace(journal::kHeaderCopyAt, sizeof(journal::Header), bytes, 0, sizeof(journal::Header));
  constexpr std::size_t kTorn = offsetof(journal::Header, written_by);
  bytes.replace(0, kTorn, JournalOf("1"), 0, kTorn);
  return bytes;
}

TEST(JournalHeader, IsReadWhereverTheNextWriterWasKilledAsWell) {
  EXPECT_EQ(VersionFound(Torn()), "2");
  const std::vector<std::string> states = StatesOf("3", Torn());
  if (states.empty()) GTEST_SKIP() << "no process can be traced here";
  std::set<std::string> versions;
  for (const std::string& bytes : AllBetween(states)) versions.insert(VersionFound(bytes));
  EXPECT_EQ(versions, (std::set<std::string>{"2", "3"}));
}

TEST(JournalHeader, IsLeftAloneByTheVersionThatWroteIt) {
  const std::string bytes = JournalOf("1");
  const UniqueFd file = FileOf(bytes);
  EXPECT_TRUE(Journal::Adopt(Copy(file), kThisBoot, "1").ok());
  EXPECT_EQ(BytesOf(file.get()), bytes);
}

TEST(JournalHeader, HasNoCopyOnceItIsWritten) {
  const UniqueFd file = FileOf(JournalOf("1"));
  EXPECT_TRUE(Journal::Adopt(Copy(file), kThisBoot, "2").ok());
  EXPECT_EQ(BytesOf(file.get()), JournalOf("2"));
}

TEST(JournalHeader, IsNoneOfAJournalThatWasGivenUp) {
  for (const std::string& bytes : {JournalOf("1"), Torn()}) {
    const UniqueFd file = FileOf(bytes);
    (*Journal::Adopt(Copy(file), kThisBoot, "3"))->GiveUp();
    EXPECT_TRUE(absl::IsDataLoss(Journal::Adopt(Copy(file), kThisBoot, "3").status()));
  }
}

}  // namespace
}  // namespace hlbuf
