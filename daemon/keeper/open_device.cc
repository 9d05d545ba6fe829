// SPDX-License-Identifier: Apache-2.0
#include "daemon/keeper/open_device.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

namespace hlbuf {
namespace {

bool IsTaken(const std::string& path) {
  return path.starts_with('/') && path.find('\0') == std::string::npos &&
         (path + '/').find("/../") == std::string::npos;
}

bool IsCharacterDevice(int fd) {
  struct stat status = {};
  return ::fstat(fd, &status) == 0 && S_ISCHR(status.st_mode);
}

UniqueFd Refuse(int error) {
  errno = error;
  return UniqueFd();
}

}  // namespace

UniqueFd OpenDevice(const std::string& path, Opens opens) {
  if (!IsTaken(path)) return Refuse(EINVAL);
  // Whoever leads a session gets the terminal that it opens.
  UniqueFd device(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOCTTY));
  if (!device) return device;
  if (opens == Opens::kCharacterDevices && !IsCharacterDevice(device.get())) {
    device.Reset();
    return Refuse(ENOTTY);
  }
  return device;
}

}  // namespace hlbuf
