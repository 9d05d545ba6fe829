// SPDX-License-Identifier: Apache-2.0
// hl-bufd-keeper: see --help below, and "The keeper" in daemon/DESIGN.md.
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstring>

#include "daemon/keeper/keeper_server.h"

namespace {

constexpr const char* kHelp =
    "usage: hl-bufd-keeper [--any]     hl-bufd starts it, one for each device; not for people\n"
    "\n"
    "Opens an accelerator for hl-bufd, passes it on, and keeps a copy of it and of every buffer\n"
    "exported from it until hl-bufd tells it to drop one. It is the process that the driver kills\n"
    "at a hard reset. Descriptor 3 is its connection (SOCK_SEQPACKET); it ends with that, and\n"
    "ignores SIGTERM, SIGINT, SIGHUP and SIGPIPE. What it keeps: ls -l /proc/PID/fd\n"
    "\n"
    "  --any      opens other files than character devices too, for tests\n"
    "  --help     this text\n"
    "  --version  the version\n"
    "\n"
    "Exit status: 0 the connection ended, 1 a malformed message, 2 bad usage, 3 a message\n"
    "             too long, or a descriptor lost for want of a free one (RLIMIT_NOFILE)\n";

// systemd sends SIGTERM to whole groups; what is kept has to outlive that.
void IgnoreSignals() {
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGPIPE}) std::signal(signal, SIG_IGN);
}

bool IsConnection(int fd) {
  int type = 0;
  socklen_t size = sizeof(type);
  return ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_SEQPACKET;
}

// Somebody else's pipe, kept open here, would never end for its reader. The standard descriptors
// stay in use, so that nothing that is kept gets their numbers.
void LeaveWhatWasInherited() {
  ::fcntl(HLBUF_KEEPER_CHANNEL, F_SETFD, FD_CLOEXEC);
  ::close_range(HLBUF_KEEPER_CHANNEL + 1, ~0U, 0);
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

}  // namespace

int main(int argc, char** argv) {
  IgnoreSignals();
  hlbuf::Opens opens = hlbuf::Opens::kCharacterDevices;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--help") == 0) return Print(kHelp);
    if (std::strcmp(argv[i], "--version") == 0) return Print(HLBUF_VERSION "\n");
    if (std::strcmp(argv[i], "--any") != 0) return BadUsage("no such option");
    opens = hlbuf::Opens::kAnything;
  }
  if (!IsConnection(HLBUF_KEEPER_CHANNEL)) return BadUsage("descriptor 3 is no connection");
  LeaveWhatWasInherited();
  RaiseDescriptorLimit();
  ::prctl(PR_SET_NAME, "hl-keeper");
  return hlbuf::KeeperServer(HLBUF_KEEPER_CHANNEL, opens).Run();
}
