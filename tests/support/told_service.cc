// SPDX-License-Identifier: Apache-2.0
// usage: told_service STEP...
//
// A service of Type=notify that does what its arguments say, and then waits to be killed.
//   memfd NAME TEXT      stores a memfd with TEXT as NAME
//   again NAME           stores the last one once more, as NAME
//   pipe NAME POLL       stores the reading end of a pipe whose writer is gone, with FDPOLL=POLL
//   remove NAME
//   barrier              waits until the manager has read everything
//   say LINE             LINE of sd_notify(3)
//   show                 prints what it was passed: names, and what memfds contain
//   exit STATUS
#include <poll.h>
#include <sys/mman.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "proto/wire/unique_fd.h"

namespace hlbuf {
namespace {

constexpr std::uint64_t kPatienceMicros = 10'000'000;

void Store(const std::string& name, int fd, const std::string& more = "") {
  const std::string lines = "FDSTORE=1\nFDNAME=" + name + more;
  ::sd_pid_notify_with_fds(0, 0, lines.c_str(), &fd, 1);
}

void Show() {
  char** names = nullptr;
  const int count = ::sd_listen_fds_with_names(0, &names);
  for (int i = 0; i < count; ++i) {
    char text[64] = {};
    static_cast<void>(::pread(SD_LISTEN_FDS_START + i, text, sizeof(text) - 1, 0));
    std::printf("%s=%s\n", names[i], text);
  }
  std::fflush(stdout);
}

int Run(int argc, char** argv) {
  UniqueFd last;
  int at = 1;
  const auto next = [&] { return std::string(at < argc ? argv[at++] : ""); };
  while (at < argc) {
    const std::string step = next();
    if (step == "memfd") {
      const std::string name = next(), text = next();
      last = UniqueFd(::memfd_create(name.c_str(), MFD_CLOEXEC));
      if (::write(last.get(), text.data(), text.size()) < 0) return 1;
      Store(name, last.get());
    } else if (step == "again") {
      Store(next(), last.get());
    } else if (step == "pipe") {
      int ends[2];
      if (::pipe(ends) != 0) return 1;
      const UniqueFd reader(ends[0]);
      ::close(ends[1]);
      const std::string name = next();
      Store(name, reader.get(), "\nFDPOLL=" + next());
    } else if (step == "remove") {
      ::sd_notify(0, ("FDSTOREREMOVE=1\nFDNAME=" + next()).c_str());
    } else if (step == "barrier") {
      if (::sd_notify_barrier(0, kPatienceMicros) <= 0) return 1;
    } else if (step == "say") {
      ::sd_notify(0, next().c_str());
    } else if (step == "show") {
      Show();
    } else if (step == "exit") {
      return static_cast<int>(std::strtol(next().c_str(), nullptr, 10));
    }
  }
  ::poll(nullptr, 0, -1);
  return 0;
}

}  // namespace
}  // namespace hlbuf

int main(int argc, char** argv) { return hlbuf::Run(argc, argv); }
