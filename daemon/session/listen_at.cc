// SPDX-License-Identifier: Apache-2.0
#include "daemon/session/listen_at.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"

namespace hlbuf {
namespace {

constexpr int kBacklog = 1024;  // the kernel caps it at net.core.somaxconn

absl::Status Failed(absl::string_view what, const std::string& path) {
  return absl::ErrnoToStatus(errno, absl::StrCat(what, " ", path));
}

// Removes only what nobody listens at: another daemon is not pushed aside.
absl::Status RemoveStale(const std::string& path, const sockaddr_un& address, int type) {
  struct stat at = {};
  if (::lstat(path.c_str(), &at) != 0)
    return errno == ENOENT ? absl::OkStatus() : Failed("look at", path);
  if (!S_ISSOCK(at.st_mode))
    return absl::FailedPreconditionError(
        absl::StrCat(path, " is there and is no socket; remove it"));
  const UniqueFd probe(::socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!probe) return absl::ErrnoToStatus(errno, "socket");
  const int connected =
      ::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  // EAGAIN: its backlog is full. EPROTOTYPE: it is a socket of another type.
  if (connected == 0 || errno == EAGAIN || errno == EPROTOTYPE)
    return absl::AlreadyExistsError(
        absl::StrCat("another process listens at ", path, "; stop it first"));
  if (errno == EACCES)
    return absl::PermissionDeniedError(absl::StrCat(
        "cannot tell whether anybody listens at ", path, ": it is a socket of uid ", at.st_uid,
        ", and uid ", ::geteuid(), " may not connect to it; remove it if no hl-bufd runs there"));
  if (errno != ECONNREFUSED) return Failed("see whether anybody listens at", path);
  if (::unlink(path.c_str()) != 0) return Failed("remove the old", path);
  return absl::OkStatus();
}

}  // namespace

SocketFile::SocketFile(std::string path) : path_(std::move(path)) {
  struct stat at = {};
  if (::lstat(path_.c_str(), &at) != 0) path_.clear();
  device_ = at.st_dev;
  inode_ = at.st_ino;
}

SocketFile& SocketFile::operator=(SocketFile&& other) noexcept {
  if (this == &other) return *this;
  Remove();
  path_ = std::exchange(other.path_, {});
  device_ = other.device_;
  inode_ = other.inode_;
  return *this;
}

void SocketFile::Remove() {
  const std::string path = std::exchange(path_, {});
  struct stat at = {};
  if (path.empty() || ::lstat(path.c_str(), &at) != 0) return;
  if (at.st_dev == device_ && at.st_ino == inode_) ::unlink(path.c_str());
}

absl::StatusOr<ListeningSocket> ListenAt(const std::string& path, int type, mode_t mode,
                                         std::optional<gid_t> group) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  // An empty one would be a name of the abstract namespace, which has no owner and no mode.
  if (path.empty() || path.find('\0') != std::string::npos)
    return absl::InvalidArgumentError("a socket's path is empty or contains a NUL byte");
  if (path.size() >= sizeof(address.sun_path))
    return absl::InvalidArgumentError(absl::StrCat(
        path, " is longer than the ", sizeof(address.sun_path) - 1, " bytes of a socket's path"));
  std::memcpy(address.sun_path, path.data(), path.size());
  if (absl::Status removed = RemoveStale(path, address, type); !removed.ok()) return removed;

  UniqueFd socket(::socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return absl::ErrnoToStatus(errno, "socket");
  const mode_t before =
      ::umask(0777);  // nobody may connect until mode and group are what they should be
  const int bound =
      ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  ::umask(before);
  if (bound != 0) return Failed("bind", path);
  SocketFile file(path);
  if (group.has_value() && ::chown(path.c_str(), static_cast<uid_t>(-1), *group) != 0)
    return Failed("change the group of", path);
  if (::chmod(path.c_str(), mode) != 0) return Failed("change the mode of", path);
  if (::listen(socket.get(), kBacklog) != 0) return Failed("listen at", path);
  return ListeningSocket{.socket = std::move(socket), .file = std::move(file)};
}

}  // namespace hlbuf
