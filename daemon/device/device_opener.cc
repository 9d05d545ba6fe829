// SPDX-License-Identifier: Apache-2.0
#include "daemon/device/device_opener.h"

#include <fcntl.h>

#include <cerrno>

#include "daemon/device/error_text.h"

namespace hlbuf {

absl::StatusOr<UniqueFd> DirectOpener::Open(const std::string& path) {
  UniqueFd fd = syscalls_.Open(path, O_RDWR | O_CLOEXEC);
  if (!fd) {
    const int error = errno;
    return WithErrno(absl::ErrnoToStatus(error, path), error);
  }
  return fd;
}

}  // namespace hlbuf
