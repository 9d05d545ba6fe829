// SPDX-License-Identifier: Apache-2.0
#define SD_JOURNAL_SUPPRESS_LOCATION
#include "daemon/base/log.h"

#include <poll.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <climits>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace hlbuf {
namespace {

static_assert(kLineBytesMax <= PIPE_BUF);

std::atomic<LogLevel> maximum{LogLevel::kInfo};

constexpr std::array kLevels = {LogLevel::kError, LogLevel::kWarning, LogLevel::kNotice,
                                LogLevel::kInfo, LogLevel::kDebug};

bool SendToJournal(const std::vector<std::string>& fields) {
  std::vector<iovec> parts;
  for (const std::string& field : fields)
    parts.push_back({.iov_base = const_cast<char*>(field.data()), .iov_len = field.size()});
  return sd_journal_sendv(parts.data(), static_cast<int>(parts.size())) >= 0;
}

std::atomic<std::uint64_t> dropped{0};

bool HasRoom(int fd) {
  pollfd p = {.fd = fd, .events = POLLOUT, .revents = 0};
  return poll(&p, 1, 0) > 0;
}

// One write, so that lines of several threads and processes do not mix.
void WriteLine(LogTarget target, LogLevel level, absl::string_view text) {
  if (!HasRoom(STDERR_FILENO)) {
    dropped.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  std::string lines;
  if (const std::uint64_t count = dropped.exchange(0, std::memory_order_relaxed); count > 0)
    lines = Terminated(LogLine(target, LogLevel::kWarning,
                               absl::StrCat(count, " lines before were dropped: nobody read them")),
                       kLineBytesMax);
  lines += Terminated(LogLine(target, level, text), kLineBytesMax - lines.size());
  // Nobody is left to tell when this fails.
  (void)!write(STDERR_FILENO, lines.data(), lines.size());
}

}  // namespace

absl::string_view LogLevelText(LogLevel level) {
  switch (level) {
    case LogLevel::kError:
      return "error";
    case LogLevel::kWarning:
      return "warning";
    case LogLevel::kNotice:
      return "notice";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kDebug:
      return "debug";
  }
  return "unknown";
}

std::optional<LogLevel> ParseLogLevel(absl::string_view text) {
  for (const LogLevel level : kLevels)
    if (LogLevelText(level) == text) return level;
  return std::nullopt;
}

void SetLogLevel(LogLevel level) { maximum.store(level, std::memory_order_relaxed); }

void Log(LogLevel level, absl::string_view text, absl::Span<const LogField> fields) {
  if (level > maximum.load(std::memory_order_relaxed)) return;
  static const LogTarget target = ChooseLogTarget(STDERR_FILENO, std::getenv("JOURNAL_STREAM"));
  if (target == LogTarget::kJournal && SendToJournal(JournalFields(level, text, fields))) return;
  // The journal's stream is read by lines, and understands priorities.
  WriteLine(target == LogTarget::kJournal ? LogTarget::kPrefixed : target, level, text);
}

LogTarget ChooseLogTarget(int stderr_fd, const char* journal_stream) {
  struct stat file = {};
  if (fstat(stderr_fd, &file) != 0) return LogTarget::kPlain;
  if (journal_stream != nullptr && absl::StrCat(file.st_dev, ":", file.st_ino) == journal_stream)
    return LogTarget::kJournal;
  return isatty(stderr_fd) || S_ISREG(file.st_mode) ? LogTarget::kPlain : LogTarget::kPrefixed;
}

std::string EscapeForLog(absl::string_view text) {
  std::string escaped;
  escaped.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const auto next = static_cast<unsigned char>(i + 1 < text.size() ? text[i + 1] : 0);
    if (byte == '\n')
      escaped += "\\n";
    else if (byte == '\t')
      escaped += "\\t";
    else if (byte < 0x20 || byte == 0x7f)
      absl::StrAppendFormat(&escaped, "\\x%02x", byte);
    else if (byte == 0xc2 && next >= 0x80 && next < 0xa0)  // U+0080 to U+009F: controls as well
      absl::StrAppendFormat(&escaped, "\\x%02x", static_cast<unsigned char>(text[++i]));
    else
      escaped.push_back(text[i]);
  }
  return escaped;
}

std::string LogLine(LogTarget target, LogLevel level, absl::string_view text) {
  if (target == LogTarget::kPlain)
    return absl::StrCat(LogLevelText(level), ": ", EscapeForLog(text));
  return absl::StrCat("<", static_cast<int>(level), ">", EscapeForLog(text));
}

std::string Terminated(std::string line, std::size_t bytes_max) {
  constexpr absl::string_view kCut = "...";
  if (line.size() >= bytes_max) {
    std::size_t end = bytes_max - 1 - kCut.size();
    while (end > 0 && (static_cast<unsigned char>(line[end]) & 0xc0) == 0x80) --end;
    line.resize(end);
    absl::StrAppend(&line, kCut);
  }
  line.push_back('\n');
  return line;
}

std::vector<std::string> JournalFields(LogLevel level, absl::string_view text,
                                       absl::Span<const LogField> fields) {
  std::vector<std::string> entries = {absl::StrCat("MESSAGE=", EscapeForLog(text)),
                                      absl::StrCat("PRIORITY=", static_cast<int>(level))};
  for (const LogField& field : fields)
    entries.push_back(absl::StrCat(field.name, "=", EscapeForLog(field.value)));
  return entries;
}

}  // namespace hlbuf
