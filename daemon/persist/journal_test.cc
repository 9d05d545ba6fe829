// SPDX-License-Identifier: Apache-2.0
#include "daemon/persist/journal.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstddef>
#include <map>
#include <random>
#include <string>

namespace hlbuf {
namespace {

constexpr BootId kThisBoot = {1, 2, 3};
constexpr BootId kOtherBoot = {3, 2, 1};

UniqueFd Memory() { return UniqueFd(::memfd_create("journal", MFD_CLOEXEC)); }
UniqueFd Copy(const Journal& journal) {
  return UniqueFd(::fcntl(journal.fd(), F_DUPFD_CLOEXEC, 0));
}

absl::Span<const std::uint8_t> Bytes(const std::string& text) {
  return absl::MakeSpan(reinterpret_cast<const std::uint8_t*>(text.data()), text.size());
}

using Texts = std::map<std::uint64_t, std::string>;

Texts Read(const Journal& journal) {
  Texts texts;
  for (const Journal::Record& record : journal.Records())
    texts[record.key.key] = std::string(record.content.begin(), record.content.end());
  return texts;
}

std::unique_ptr<Journal> Fresh() {
  auto journal = Journal::Create(Memory(), kThisBoot, "1.2.3");
  EXPECT_TRUE(journal.ok()) << journal.status();
  return *std::move(journal);
}

std::unique_ptr<Journal> Next(const Journal& journal) {
  auto next = Journal::Adopt(Copy(journal), kThisBoot, "1.2.4");
  EXPECT_TRUE(next.ok()) << next.status();
  return *std::move(next);
}

TEST(Journal, IsEmptyWhenItIsNew) {
  const auto journal = Fresh();
  EXPECT_EQ(Read(*journal), Texts());
  EXPECT_EQ(Read(*Next(*journal)), Texts());
}

TEST(Journal, TellsTheNextProcessWhatWasWritten) {
  const auto journal = Fresh();
  ASSERT_TRUE(journal->Put({1, 10}, Bytes("ten")).ok());
  ASSERT_TRUE(journal->Put({1, 20}, Bytes("")).ok());
  EXPECT_EQ(Read(*Next(*journal)), (Texts{{10, "ten"}, {20, ""}}));
}

TEST(Journal, TellsTheLastOfWhatWasWrittenUnderOneKey) {
  const auto journal = Fresh();
  for (const char* text : {"first", "second", "third"})
    ASSERT_TRUE(journal->Put({1, 10}, Bytes(text)).ok());
  EXPECT_EQ(Read(*journal), (Texts{{10, "third"}}));
  EXPECT_EQ(Read(*Next(*journal)), (Texts{{10, "third"}}));
}

TEST(Journal, KeepsKindsApart) {
  const auto journal = Fresh();
  ASSERT_TRUE(journal->Put({1, 10}, Bytes("buffer")).ok());
  ASSERT_TRUE(journal->Put({2, 10}, Bytes("lease")).ok());
  EXPECT_EQ(Next(*journal)->size(), 2U);
}

TEST(Journal, ForgetsWhatWasErased) {
  const auto journal = Fresh();
  ASSERT_TRUE(journal->Put({1, 10}, Bytes("ten")).ok());
  journal->Erase({1, 10});
  journal->Erase({1, 11});
  EXPECT_EQ(Read(*Next(*journal)), Texts());
}

TEST(Journal, TellsInTheOrderOfWriting) {
  const auto journal = Fresh();
  for (const std::uint64_t key : {30, 10, 20, 10})
    ASSERT_TRUE(journal->Put({1, key}, Bytes("x")).ok());
  const auto next = Next(*journal);
  std::vector<std::uint64_t> keys;
  for (const Journal::Record& record : next->Records()) keys.push_back(record.key.key);
  EXPECT_EQ(keys, (std::vector<std::uint64_t>{30, 20, 10}));
}

TEST(Journal, GrowsAndUsesAgainWhatWasErased) {
  const auto journal = Fresh();
  const std::size_t first = journal->capacity();
  for (std::uint64_t key = 0; key < first + 10; ++key)
    ASSERT_TRUE(journal->Put({1, key}, Bytes("x")).ok());
  const std::size_t grown = journal->capacity();
  EXPECT_GT(grown, first);
  for (std::uint64_t round = 0; round < 10 * grown; ++round) {
    journal->Erase({1, round});
    ASSERT_TRUE(journal->Put({1, round + first + 10}, Bytes("y")).ok());
  }
  EXPECT_EQ(journal->capacity(), grown);
  EXPECT_EQ(Next(*journal)->size(), first + 10);
}

TEST(Journal, RefusesARecordThatIsTooLong) {
  const auto journal = Fresh();
  const std::string most(journal::kContentBytesMax, 'x');
  EXPECT_TRUE(journal->Put({1, 1}, Bytes(most)).ok());
  EXPECT_EQ(journal->Put({1, 2}, Bytes(most + "x")).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Read(*journal), (Texts{{1, most}}));
}

TEST(Journal, StaysAsItWasWhenItCannotGrow) {
  UniqueFd file(::memfd_create("journal", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  const int fd = file.get();
  const auto journal = *Journal::Create(std::move(file), kThisBoot, "");
  ASSERT_EQ(::fcntl(fd, F_ADD_SEALS, F_SEAL_GROW), 0);
  const std::size_t capacity = journal->capacity();
  for (std::uint64_t key = 0; key < capacity; ++key)
    ASSERT_TRUE(journal->Put({1, key}, Bytes("x")).ok());
  EXPECT_EQ(journal->Put({1, capacity}, Bytes("x")).code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(Next(*journal)->size(), capacity);
  journal->Erase({1, 0});
  EXPECT_TRUE(journal->Put({1, capacity}, Bytes("x")).ok());
}

TEST(Journal, IsNotTakenFromAnotherBoot) {
  const auto journal = Fresh();
  const auto next = Journal::Adopt(Copy(*journal), kOtherBoot, "1.2.4");
  EXPECT_EQ(next.status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST(Journal, IsNotTakenFromALaterVersionThatSaysSo) {
  const auto journal = Fresh();
  journal::Header header = {};
  ASSERT_EQ(::pread(journal->fd(), &header, sizeof(header), 0), ssize_t{sizeof(header)});
  header.incompatible |= 1;
  header.hash = journal::HashOf(header);
  ASSERT_EQ(::pwrite(journal->fd(), &header, sizeof(header), 0), ssize_t{sizeof(header)});
  const absl::Status refused = Journal::Adopt(Copy(*journal), kThisBoot, "").status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(refused.message().find("1.2.3"), absl::string_view::npos) << refused;
}

TEST(Journal, IsTakenFromALaterVersionThatOnlyAdded) {
  const auto journal = Fresh();
  ASSERT_TRUE(journal->Put({1, 10}, Bytes("ten")).ok());
  journal::Header header = {};
  ASSERT_EQ(::pread(journal->fd(), &header, sizeof(header), 0), ssize_t{sizeof(header)});
  header.compatible |= 1;
  header.hash = journal::HashOf(header);
  ASSERT_EQ(::pwrite(journal->fd(), &header, sizeof(header), 0), ssize_t{sizeof(header)});
  EXPECT_EQ(Read(*Next(*journal)), (Texts{{10, "ten"}}));
}

TEST(Journal, IsNoFileOfAnotherKind) {
  for (const std::string& text : {std::string(), std::string("hello"), std::string(9000, 'x')}) {
    UniqueFd file = Memory();
    ASSERT_EQ(::write(file.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
    EXPECT_EQ(Journal::Adopt(std::move(file), kThisBoot, "").status().code(),
              absl::StatusCode::kDataLoss);
  }
}

// Whatever byte is changed: either the header is refused, or all other records are there and the
// one that was hit is whole or gone.
TEST(Journal, NeverTellsWhatWasNotWrittenWhateverByteIsDamaged) {
  const auto journal = Fresh();
  Texts all;
  for (std::uint64_t key = 1; key <= 3; ++key) {
    all[key] = "text " + std::to_string(key);
    ASSERT_TRUE(journal->Put({1, key}, Bytes(all[key])).ok());
  }
  const std::size_t bytes = journal::kHeaderBytes + 4 * journal::kSlotBytes;
  for (std::size_t at = 0; at < bytes; ++at) {
    UniqueFd damaged = Memory();
    std::string content(bytes, '\0');
    ASSERT_EQ(::pread(journal->fd(), content.data(), bytes, 0), static_cast<ssize_t>(bytes));
    content[at] = static_cast<char>(content[at] ^ 0x5a);
    ASSERT_EQ(::write(damaged.get(), content.data(), bytes), static_cast<ssize_t>(bytes));
    const auto next = Journal::Adopt(std::move(damaged), kThisBoot, "");
    if (!next.ok()) {
      EXPECT_LT(at, sizeof(journal::Header));
      continue;
    }
    std::size_t missing = all.size();
    for (const auto& [key, text] : Read(**next)) {
      ASSERT_TRUE(all.contains(key)) << at;
      EXPECT_EQ(all[key], text) << at;
      --missing;
    }
    EXPECT_LE(missing, 1U) << at;
  }
}

// Who finds the damage may be killed before he has set the journal aside.
TEST(Journal, IsFoundDamagedByEveryProcessThatReadsIt) {
  const auto journal = Fresh();
  for (std::uint64_t key = 1; key <= 3; ++key)
    ASSERT_TRUE(journal->Put({1, key}, Bytes("text")).ok());
  constexpr off_t kInTheSecond =
      journal::kHeaderBytes + journal::kSlotBytes + offsetof(journal::Slot, content);
  ASSERT_EQ(::pwrite(journal->fd(), "T", 1, kInTheSecond), 1);
  for (int process = 1; process <= 3; ++process) {
    const auto next = Next(*journal);
    EXPECT_EQ(next->damaged(), 1U) << process;
    EXPECT_TRUE(next->Find({1, 2}).empty()) << process;
    ASSERT_TRUE(next->Put({1, 7}, Bytes("other")).ok()) << process;
  }
  EXPECT_EQ((*Journal::View(Copy(*journal)))->damaged(), 1U);
}

// Writes and erases for ever, and says so now and then.
[[noreturn]] void WriteUntilKilled(const Journal& journal, int progress, unsigned seed) {
  const auto mine = Next(journal);
  std::minstd_rand random(seed);
  for (std::uint64_t n = 1;; ++n) {
    const std::uint64_t key = random() % 64;
    const std::string text(random() % 400, static_cast<char>('a' + key % 26));
    if (n % 5 == 0)
      mine->Erase({1, key});
    else
      (void)mine->Put({1, key}, Bytes(std::to_string(key) + ":" + text));
    if (n % 97 == 0 && ::write(progress, "", 1) != 1) ::_exit(1);
  }
}

// Each record is as it was before or after.
TEST(Journal, IsWholeWhenItsWriterIsKilled) {
  const auto journal = Fresh();
  for (unsigned round = 1; round <= 50; ++round) {
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    const UniqueFd told(ends[0]);
    const UniqueFd tells(ends[1]);
    const pid_t writer = ::fork();
    if (writer == 0) WriteUntilKilled(*journal, tells.get(), round);
    std::string bytes(round, '\0');
    ASSERT_GT(::read(told.get(), bytes.data(), bytes.size()), 0);
    ASSERT_EQ(::kill(writer, SIGKILL), 0);
    ASSERT_EQ(::waitpid(writer, nullptr, 0), writer);
    const auto next = Next(*journal);
    EXPECT_LE(next->damaged(), 1U);
    for (const auto& [key, text] : Read(*next)) {
      const std::string head = std::to_string(key) + ":";
      ASSERT_EQ(text.substr(0, head.size()), head);
      EXPECT_EQ(text.find_first_not_of(static_cast<char>('a' + key % 26), head.size()),
                std::string::npos);
    }
  }
}

}  // namespace
}  // namespace hlbuf
