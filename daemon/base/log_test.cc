// SPDX-License-Identifier: Apache-2.0
#include "daemon/base/log.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "proto/wire/unique_fd.h"

namespace hlbuf {
namespace {

struct Pipe {
  Pipe() {
    std::array<int, 2> ends = {-1, -1};
    if (pipe2(ends.data(), O_CLOEXEC) != 0) ADD_FAILURE() << "no pipe";
    out = UniqueFd(ends[0]);
    in = UniqueFd(ends[1]);
  }
  UniqueFd out, in;
};

std::string StreamOf(int fd) {
  struct stat file = {};
  EXPECT_EQ(fstat(fd, &file), 0);
  return absl::StrCat(file.st_dev, ":", file.st_ino);
}

TEST(Log, EscapesWhatATerminalWouldActOn) {
  EXPECT_EQ(EscapeForLog("two\nlines\tand \x1b[31mred\x7f"), "two\\nlines\\tand \\x1b[31mred\\x7f");
  EXPECT_EQ(EscapeForLog(absl::string_view("\0", 1)), "\\x00");
}

TEST(Log, EscapesTheControlsThatHideInUtf8) {
  EXPECT_EQ(EscapeForLog("a\xc2\x9b"
                         "1mb"),
            "a\\x9b1mb");
  EXPECT_EQ(EscapeForLog("gr\xc3\xbc\xc3\x9f"), "gr\xc3\xbc\xc3\x9f");
  EXPECT_EQ(EscapeForLog("\xc2"), "\xc2");
}

TEST(Log, SpeaksToPeopleInWords) {
  EXPECT_EQ(LogLine(LogTarget::kPlain, LogLevel::kWarning, "two\nlines"), "warning: two\\nlines");
}

TEST(Log, SpeaksToServiceManagersInPriorities) {
  EXPECT_EQ(LogLine(LogTarget::kPrefixed, LogLevel::kError, "broken"), "<3>broken");
}

TEST(Log, GivesTheJournalOneEntryForEachFieldWhateverTheValueSays) {
  const std::vector<LogField> fields = {{"HLBUFD_DEVICE", "a\nPRIORITY=0"}};
  EXPECT_EQ(
      JournalFields(LogLevel::kInfo, "text", fields),
      (std::vector<std::string>{"MESSAGE=text", "PRIORITY=6", "HLBUFD_DEVICE=a\\nPRIORITY=0"}));
}

TEST(Log, GoesToTheJournalWhenThatIsWhereStderrLeads) {
  const Pipe pipe;
  EXPECT_EQ(ChooseLogTarget(pipe.in.get(), StreamOf(pipe.in.get()).c_str()), LogTarget::kJournal);
}

TEST(Log, DoesNotTrustAJournalStreamThatIsSomebodyElses) {
  const Pipe pipe, other;
  EXPECT_EQ(ChooseLogTarget(pipe.in.get(), StreamOf(other.in.get()).c_str()), LogTarget::kPrefixed);
  EXPECT_EQ(ChooseLogTarget(pipe.in.get(), ""), LogTarget::kPrefixed);
}

TEST(Log, PrefixesLinesInAPipeAndNotInAFileOrOnATerminal) {
  const Pipe pipe;
  const UniqueFd file(memfd_create("log", MFD_CLOEXEC));
  const UniqueFd terminal(open("/dev/ptmx", O_RDWR | O_CLOEXEC | O_NOCTTY));
  ASSERT_TRUE(terminal);
  EXPECT_EQ(ChooseLogTarget(pipe.in.get(), nullptr), LogTarget::kPrefixed);
  EXPECT_EQ(ChooseLogTarget(file.get(), nullptr), LogTarget::kPlain);
  EXPECT_EQ(ChooseLogTarget(terminal.get(), nullptr), LogTarget::kPlain);
  EXPECT_EQ(ChooseLogTarget(-1, nullptr), LogTarget::kPlain);
}

TEST(Log, ReadsBackTheNamesOfItsLevels) {
  for (const LogLevel level :
       {LogLevel::kError, LogLevel::kWarning, LogLevel::kNotice, LogLevel::kInfo, LogLevel::kDebug})
    EXPECT_EQ(ParseLogLevel(LogLevelText(level)), level);
  EXPECT_EQ(ParseLogLevel("verbose"), std::nullopt);
  EXPECT_EQ(ParseLogLevel(""), std::nullopt);
}

// What arrives on stderr while `task` runs.
template <class Task>
std::string StderrOf(Task task) {
  testing::internal::CaptureStderr();
  task();
  return testing::internal::GetCapturedStderr();
}

TEST(Log, DropsWhatIsLessUrgentThanItsLevel) {
  const std::string lines = StderrOf([] {
    Log(LogLevel::kDebug, "not yet");
    SetLogLevel(LogLevel::kDebug);
    Log(LogLevel::kDebug, "now");
    SetLogLevel(LogLevel::kError);
    Log(LogLevel::kWarning, "no longer");
    Log(LogLevel::kError, "always");
    SetLogLevel(LogLevel::kInfo);
  });
  EXPECT_EQ(lines, "debug: now\nerror: always\n");
}

TEST(Log, CutsALineOffBetweenTwoCharacters) {
  EXPECT_EQ(Terminated("short", 10), "short\n");
  EXPECT_EQ(Terminated("0123456789", 10), "012345...\n");
  EXPECT_EQ(Terminated("01234\xc3\xbc"
                       "789",
                       10),
            "01234...\n");
}

// stderr leads to `pipe` while this lives.
class StderrInto {
 public:
  explicit StderrInto(const Pipe& pipe) : before_(dup(STDERR_FILENO)) {
    EXPECT_EQ(dup2(pipe.in.get(), STDERR_FILENO), STDERR_FILENO);
  }
  ~StderrInto() { dup2(before_.get(), STDERR_FILENO); }

 private:
  UniqueFd before_;
};

std::string Drain(const Pipe& pipe) {
  std::string text(1 << 20, '\0');
  const ssize_t n = read(pipe.out.get(), text.data(), text.size());
  text.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
  return text;
}

TEST(Log, WaitsForNobodyWhoDoesNotReadAndSaysLaterWhatWasDropped) {
  const Pipe pipe;
  std::string filled, later;
  {
    const StderrInto into(pipe);
    const int bytes = fcntl(pipe.in.get(), F_GETPIPE_SZ);
    const std::string longest(kLineBytesMax, 'x');
    const int fit = bytes / static_cast<int>(kLineBytesMax);
    for (int i = 0; i < fit + 7; ++i) Log(LogLevel::kError, longest);
    filled = Drain(pipe);
    Log(LogLevel::kError, "read again");
    Log(LogLevel::kError, "and again");
    later = Drain(pipe);
  }
  EXPECT_EQ(filled.size() % kLineBytesMax, 0u);
  EXPECT_TRUE(absl::StrContains(later, "7 lines before were dropped: nobody read them\n")) << later;
  EXPECT_TRUE(absl::StrContains(later, "read again\n")) << later;
  EXPECT_TRUE(absl::EndsWith(later, "and again\n")) << later;
}

}  // namespace
}  // namespace hlbuf
