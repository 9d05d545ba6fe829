// SPDX-License-Identifier: Apache-2.0
// What the daemon tells its administrator. Programs log; libraries below them return a Status.
#ifndef HLBUF_DAEMON_BASE_LOG_H_
#define HLBUF_DAEMON_BASE_LOG_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace hlbuf {

// Numbers are those of syslog(3).
enum class LogLevel : std::uint8_t {
  kError = 3,
  kWarning = 4,
  kNotice = 5,
  kInfo = 6,
  kDebug = 7,
};
// "error", "warning", ...: the value in the configuration and the word in lines.
absl::string_view LogLevelText(LogLevel level);
std::optional<LogLevel> ParseLogLevel(absl::string_view text);

// A typed part of a message, for whoever searches the journal: `journalctl HLBUFD_DEVICE=...`.
// Names are upper case, begin with HLBUFD_ and are at most 64 bytes; or MESSAGE_ID.
struct LogField {
  absl::string_view name;
  std::string value;
};

// One message, to the journal when it is what stderr leads to (then with its fields), else one line
// on stderr, cut off at kLineBytesMax. Any thread.
//
// Nobody waits for the reader of a pipe: while it is full lines are dropped, and the next one that
// finds room says how many. (Where several write to one pipe, another's line can take that room.)
void Log(LogLevel level, absl::string_view text, absl::Span<const LogField> fields = {});

// Messages less urgent than `level` are dropped from now on; kInfo at first. Any thread.
void SetLogLevel(LogLevel level);

// What Log() is made of.

// PIPE_BUF: a pipe that poll() calls writable takes as much at once, and unmixed with others'
// lines.
inline constexpr std::size_t kLineBytesMax = 4096;

enum class LogTarget : std::uint8_t {
  kJournal,   // with fields
  kPrefixed,  // "<4>text": for a reader that understands priorities, as service managers do
  kPlain,     // "warning: text": for people, on terminals and in files
};
// `journal_stream` is $JOURNAL_STREAM, device and inode of the journal's end of a service's stderr;
// null: not set. A service that redirects its stderr inherits the variable all the same.
LogTarget ChooseLogTarget(int stderr_fd, const char* journal_stream);

// `text` without anything that a terminal or a reader of lines would act on: control characters
// become \n, \t or \xNN. UTF-8 is left as it is.
std::string EscapeForLog(absl::string_view text);
std::string LogLine(LogTarget target, LogLevel level, absl::string_view text);
// `line` with its newline, in at most `bytes_max` bytes; a character of UTF-8 is left whole.
std::string Terminated(std::string line, std::size_t bytes_max);
// NAME=value each, as the journal takes them.
std::vector<std::string> JournalFields(LogLevel level, absl::string_view text,
                                       absl::Span<const LogField> fields);

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_BASE_LOG_H_
