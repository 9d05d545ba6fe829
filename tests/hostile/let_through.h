// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_TESTS_HOSTILE_LET_THROUGH_H_
#define HLBUF_TESTS_HOSTILE_LET_THROUGH_H_

#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "tests/support/daemon_process.h"

// Linux 6.16; not in the C library's headers of Debian 12.
#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83
#endif

namespace hlbuf {

// From now on sessions of `daemon` get the descriptors that clients send, as they do before Linux
// 6.16. 0, or errno of what kept it from happening.
inline int LetDescriptorsThrough(const DaemonProcess& daemon) {
  const UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, daemon.pid(), 0)));
  const std::string directory = "/proc/" + std::to_string(daemon.pid()) + "/fd";
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    const auto number = std::strtol(entry.path().filename().c_str(), nullptr, 10);
    const UniqueFd copy(static_cast<int>(::syscall(SYS_pidfd_getfd, process.get(), number, 0)));
    if (!copy) return errno;
    sockaddr_un address = {};
    socklen_t bytes = sizeof(address);
    int listens = 0;
    socklen_t listens_bytes = sizeof(listens);
    if (::getsockname(copy.get(), reinterpret_cast<sockaddr*>(&address), &bytes) != 0 ||
        ::getsockopt(copy.get(), SOL_SOCKET, SO_ACCEPTCONN, &listens, &listens_bytes) != 0 ||
        listens == 0 || daemon.client_socket() != address.sun_path)
      continue;
    const int on = 1;
    if (::setsockopt(copy.get(), SOL_SOCKET, SO_PASSRIGHTS, &on, sizeof(on)) == 0) return 0;
    return errno == ENOPROTOOPT ? 0 : errno;
  }
  return ENOENT;
}

}  // namespace hlbuf

#endif  // HLBUF_TESTS_HOSTILE_LET_THROUGH_H_
