// SPDX-License-Identifier: Apache-2.0
#include "daemon/journal/journal_source.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "absl/strings/match.h"
#include "tests/support/child.h"

namespace hlbuf {
namespace {

class JournalSource : public testing::Test {
 protected:
  std::string Path(const std::string& name) const { return directory_.path() + "/" + name; }
  std::string WhyNot(const std::string& path, std::uint64_t bytes_max = kJournalBytesMax) const {
    const auto opened = OpenJournal(path, bytes_max);
    EXPECT_FALSE(opened.ok());
    return std::string(opened.status().message());
  }

  const TemporaryDirectory directory_;
};

TEST_F(JournalSource, CopiesWhatAFileHas) {
  std::ofstream(Path("journal")) << "text";
  const auto file = OpenJournal(Path("journal"));
  ASSERT_TRUE(file.ok()) << file.status();
  const auto copy = CopyJournal(*file);
  ASSERT_TRUE(copy.ok()) << copy.status();
  char text[8] = {};
  EXPECT_EQ(::pread(copy->file.get(), text, sizeof(text), 0), 4);
  EXPECT_STREQ(text, "text");
  std::ofstream(Path("journal")) << "next";
  EXPECT_NE(CopyJournal(*file)->hash, copy->hash);
}

TEST_F(JournalSource, OpensNothingButRegularFiles) {
  ASSERT_EQ(::mkfifo(Path("fifo").c_str(), 0600), 0);
  for (const std::string& path : {Path("fifo"), directory_.path(), std::string("/dev/null")})
    EXPECT_TRUE(absl::StrContains(WhyNot(path), path + " is no regular file")) << WhyNot(path);
  EXPECT_EQ(WhyNot(Path("none")), Path("none") + ": No such file or directory");
}

TEST_F(JournalSource, OpensNothingThatIsTooLarge) {
  std::ofstream(Path("huge")) << "12345";
  EXPECT_TRUE(OpenJournal(Path("huge"), 5).ok());
  EXPECT_TRUE(absl::StrContains(WhyNot(Path("huge"), 4), "has 5 bytes")) << WhyNot(Path("huge"), 4);
  std::filesystem::resize_file(Path("huge"), kJournalBytesMax + 1);
  WhyNot(Path("huge"));
}

TEST_F(JournalSource, FindsTheMemfdOfAProcessOrElseItsFile) {
  std::ofstream(Path("journal")) << "";
  const UniqueFd file(::open(Path("journal").c_str(), O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(*FindJournalOf(::getpid()),
            "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(file.get()));
  const UniqueFd other(::memfd_create("hl-bufd-journal-copy", MFD_CLOEXEC));
  const UniqueFd memfd(::memfd_create("hl-bufd-journal", MFD_CLOEXEC));
  const auto found = FindJournalOf(::getpid());
  EXPECT_TRUE(absl::EndsWith(*found, "/fd/" + std::to_string(memfd.get()))) << *found;
  EXPECT_TRUE(OpenJournal(*found).ok());
}

TEST_F(JournalSource, SaysThatAProcessHasNone) {
  EXPECT_TRUE(absl::StrContains(FindJournalOf(::getpid()).status().message(), "has no journal"));
  EXPECT_TRUE(absl::StrContains(FindJournalOf(4, directory_.path()).status().message(),
                                "there is no process 4"));
}

}  // namespace
}  // namespace hlbuf
