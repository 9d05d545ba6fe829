// SPDX-License-Identifier: Apache-2.0
// hl-bufd-keeper: see --help below, and "The keeper" in daemon/DESIGN.md.
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstring>

#include "daemon/keeper/keeper_server.h"
#include "daemon/keeper/next_connection.h"

namespace {

constexpr int kSecondsMax = 3600;

constexpr const char* kHelp =
    "usage: hl-bufd-keeper [OPTION]...    hl-bufd or its socket unit starts one for each device;\n"
    "                                     not for people\n"
    "\n"
    "Keeps a copy of every buffer of a device until hl-bufd tells it to drop one, and gives them\n"
    "back to the next hl-bufd after a crash or a restart. It opens accelerators, too, and passes\n"
    "them on: the driver kills whoever opened one at a hard reset. Descriptor 3 is its connection\n"
    "(SOCK_SEQPACKET); without --wait it ends with that. It ignores SIGTERM, SIGINT, SIGHUP and\n"
    "SIGPIPE. What it keeps: ls -l /proc/PID/fd\n"
    "\n"
    "  --any           opens other files than character devices too, for tests\n"
    "  --wait SECONDS  when its connection ends and it keeps anything, waits so long for the next\n"
    "                  hl-bufd, of its own user, which connects to descriptor 4, and goes on\n"
    "  --help          this text\n"
    "  --version       the version\n"
    "\n"
    "Exit status: 0 the connection ended, 1 a malformed message, 2 bad usage, 3 a message\n"
    "             too long, or a descriptor lost for want of a free one (RLIMIT_NOFILE)\n";

// systemd sends SIGTERM to whole groups; what is kept has to outlive that.
void IgnoreSignals() {
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGPIPE}) std::signal(signal, SIG_IGN);
}

int SocketOption(int fd, int option) {
  int value = -1;
  socklen_t size = sizeof(value);
  return ::getsockopt(fd, SOL_SOCKET, option, &value, &size) == 0 ? value : -1;
}

bool IsConnection(int fd) {
  return SocketOption(fd, SO_TYPE) == SOCK_SEQPACKET && SocketOption(fd, SO_ACCEPTCONN) == 0;
}
bool Listens(int fd) {
  return SocketOption(fd, SO_TYPE) == SOCK_SEQPACKET && SocketOption(fd, SO_ACCEPTCONN) == 1;
}

// Somebody else's pipe, kept open here, would never end for its reader. The standard descriptors
// stay in use, so that nothing that is kept gets their numbers.
void LeaveWhatWasInherited(int last_of_ours) {
  for (int fd = HLBUF_KEEPER_CHANNEL; fd <= last_of_ours; ++fd) ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  ::close_range(static_cast<unsigned>(last_of_ours) + 1, ~0U, 0);
  ::close_range(STDIN_FILENO, STDERR_FILENO, 0);
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd)
    static_cast<void>(::open("/dev/null", O_RDWR | O_CLOEXEC));
}

void RaiseDescriptorLimit() {
  rlimit limit = {};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

int BadUsage(const char* what) {
  std::fprintf(stderr, "hl-bufd-keeper: %s\n\n%s", what, kHelp);
  return HLBUF_KEEPER_EXIT_BAD_USAGE;
}

int Print(const char* text) { return std::fputs(text, stdout) < 0 ? 1 : 0; }

// 0: not a number of seconds that anybody waits.
int Seconds(const char* text) {
  int seconds = 0;
  const auto [end, error] = std::from_chars(text, text + std::strlen(text), seconds);
  return error == std::errc() && *end == '\0' && seconds > 0 && seconds <= kSecondsMax ? seconds
                                                                                       : 0;
}

// `wait_seconds`: for the connection after each; 0: there is none.
int Serve(hlbuf::Opens opens, int wait_seconds) {
  hlbuf::KeeperServer server(opens);
  hlbuf::UniqueFd connection(HLBUF_KEEPER_CHANNEL);
  while (true) {
    const hlbuf_keeper_exit exit = server.Run(connection.get());
    connection.Reset();
    if (exit != HLBUF_KEEPER_EXIT_CONNECTION_ENDED || wait_seconds == 0 || !server.KeepsAnything())
      return exit;
    connection = hlbuf::AcceptNext(HLBUF_KEEPER_NEXT, wait_seconds);
    if (!connection) return exit;
  }
}

}  // namespace

int main(int argc, char** argv) {
  IgnoreSignals();
  hlbuf::Opens opens = hlbuf::Opens::kCharacterDevices;
  int wait_seconds = 0;
  for (int i = 1; i < argc; ++i) {
    const char* const option = argv[i];
    if (std::strcmp(option, "--help") == 0) return Print(kHelp);
    if (std::strcmp(option, "--version") == 0) return Print(HLBUF_VERSION "\n");
    if (std::strcmp(option, "--wait") == 0) {
      wait_seconds = i + 1 < argc ? Seconds(argv[++i]) : 0;
      if (wait_seconds == 0) return BadUsage("--wait takes seconds, an hour at most");
    } else if (std::strcmp(option, "--any") == 0) {
      opens = hlbuf::Opens::kAnything;
    } else {
      return BadUsage("no such option");
    }
  }
  if (!IsConnection(HLBUF_KEEPER_CHANNEL)) return BadUsage("descriptor 3 is no connection");
  if (wait_seconds > 0 && !Listens(HLBUF_KEEPER_NEXT))
    return BadUsage("descriptor 4 is no listening socket");
  LeaveWhatWasInherited(wait_seconds > 0 ? HLBUF_KEEPER_NEXT : HLBUF_KEEPER_CHANNEL);
  RaiseDescriptorLimit();
  ::prctl(PR_SET_NAME, "hl-keeper");
  return Serve(opens, wait_seconds);
}
