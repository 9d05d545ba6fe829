// SPDX-License-Identifier: Apache-2.0
#include "daemon/session/peer_signal.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

namespace hlbuf {

absl::Status SignalProcess(int pidfd, Force force) {
  const int signal = force == Force::kKill ? SIGKILL : SIGTERM;
  if (::syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0) == 0) return absl::OkStatus();
  if (errno == ESRCH) return absl::NotFoundError("its process has exited");
  if (errno == EPERM)
    return absl::PermissionDeniedError(
        "its process is another user's, and the service may not signal it; give the service "
        "CAP_KILL (its unit's drop-in enforcement.conf)");
  return absl::ErrnoToStatus(errno, "pidfd_send_signal");
}

}  // namespace hlbuf
