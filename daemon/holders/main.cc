// SPDX-License-Identifier: Apache-2.0
// hl-bufd-holders: see --help below, and "Holders" in daemon/DESIGN.md.
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include "daemon/holders/answer.h"
#include "daemon/holders/holders_wire.h"
#include "daemon/holders/proc_scan.h"
#include "daemon/holders/question.h"

namespace {

constexpr const char* kBufinfo = "/sys/kernel/debug/dma_buf/bufinfo";

constexpr const char* kHelp =
    "usage: hl-bufd-holders            hl-bufd and hl-bufctl ask it; people ask hl-bufctl holders\n"
    "\n"
    "Says who has which dma-buf or memfd: processes by /proc/PID/fd and /proc/PID/maps, drivers "
    "by\n"
    "/sys/kernel/debug/dma_buf/bufinfo. Reads one question from standard input, a socket or a "
    "pipe,\n"
    "writes one answer to standard output, and ends. Changes nothing. To see all, it has to be "
    "root,\n"
    "or have CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH; the answer says what could not be read.\n"
    "daemon/holders/holders_wire.h has both formats. By hand:\n"
    "\n"
    "  printf 'hl-bufd-holders 1\\ndmabuf 4711\\nend\\n' | hl-bufd-holders\n"
    "\n"
    "  --help     this text\n"
    "  --version  the version\n"
    "\n"
    "Exit status: 0 answered, 1 what was read is no question, 2 bad usage, 3 failed, or\n"
    "did not end in 15 seconds\n";
static_assert(HLBUF_HOLDERS_SECONDS_MAX == 15);

using Clock = std::chrono::steady_clock;

int Complain(hlbuf_holders_exit status, const char* what) {
  std::fprintf(stderr, "hl-bufd-holders: %s\n", what);
  return status;
}

// Until the question's last line or the end of file; of what is longer than a question may be, up
// to a chunk more, which is none then.
std::string ReadQuestion() {
  std::string text;
  std::array<char, 65'536> chunk;
  while (text.size() <= HLBUF_HOLDERS_QUESTION_BYTES_MAX && !text.ends_with("\nend\n")) {
    const ssize_t n = ::read(STDIN_FILENO, chunk.data(), chunk.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) {
      pollfd p = {.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
      static_cast<void>(::poll(&p, 1, -1));
      continue;
    }
    if (n <= 0) break;
    text.append(chunk.data(), static_cast<std::size_t>(n));
  }
  return text;
}

bool WriteAnswer(const std::string& text) {
  for (std::size_t written = 0; written < text.size();) {
    const ssize_t n = ::write(STDOUT_FILENO, text.data() + written, text.size() - written);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) {
      pollfd p = {.fd = STDOUT_FILENO, .events = POLLOUT, .revents = 0};
      static_cast<void>(::poll(&p, 1, -1));
      continue;
    }
    if (n < 0) return false;
    written += static_cast<std::size_t>(n);
  }
  return true;
}

// 0: a pipe, or another family.
pid_t Asker() {
  ucred peer = {};
  socklen_t size = sizeof(peer);
  return ::getsockopt(STDIN_FILENO, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 ? peer.pid : 0;
}

int Answer() {
  const auto files = hlbuf::ParseQuestion(ReadQuestion());
  if (!files.has_value())
    return Complain(
        HLBUF_HOLDERS_EXIT_NO_QUESTION,
        "what was read is no question; people ask hl-bufctl holders, and --help shows how "
        "to ask by hand");
  hlbuf::ProcScan scan(*files, Clock::now() + std::chrono::milliseconds(HLBUF_HOLDERS_SCAN_MS_MAX));
  if (!scan.LookAtProcesses())
    return Complain(HLBUF_HOLDERS_EXIT_FAILED, "/proc cannot be read; is it mounted?");
  scan.LookAtBufinfo(kBufinfo);
  hlbuf::HoldersAnswer answer = std::move(scan).Take();
  answer.scope.asker = Asker();
  if (!WriteAnswer(hlbuf::FormatAnswer(std::move(answer))))
    return Complain(HLBUF_HOLDERS_EXIT_FAILED, "nobody takes the answer");
  return HLBUF_HOLDERS_EXIT_ANSWERED;
}

int Print(const char* text) {
  return std::fputs(text, stdout) < 0 ? HLBUF_HOLDERS_EXIT_FAILED : HLBUF_HOLDERS_EXIT_ANSWERED;
}

// Of a signal: only what may be called in one.
void OnTimeIsOver(int) {
  constexpr std::string_view kWhy =
      "hl-bufd-holders: time is over: nobody asked, or nobody took the answer\n";
  static_cast<void>(!::write(STDERR_FILENO, kWhy.data(), kWhy.size()));
  ::_exit(HLBUF_HOLDERS_EXIT_FAILED);
}

// Whatever it waits for: an asker that says nothing, or that does not read. Whoever started this
// program may have had the signal ignored or blocked.
void EndInTime() {
  struct sigaction action = {};
  action.sa_handler = OnTimeIsOver;
  ::sigaction(SIGALRM, &action, nullptr);
  sigset_t alarm;
  ::sigemptyset(&alarm);
  ::sigaddset(&alarm, SIGALRM);
  ::sigprocmask(SIG_UNBLOCK, &alarm, nullptr);
  ::alarm(HLBUF_HOLDERS_SECONDS_MAX);
}

}  // namespace

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--help") == 0) return Print(kHelp);
    if (std::strcmp(argv[i], "--version") == 0) return Print(HLBUF_VERSION "\n");
    std::fprintf(stderr, "hl-bufd-holders: no such option: %s\n\n%s", argv[i], kHelp);
    return HLBUF_HOLDERS_EXIT_BAD_USAGE;
  }
  std::signal(SIGPIPE, SIG_IGN);
  EndInTime();
  return Answer();
}
