// SPDX-License-Identifier: Apache-2.0
#include "daemon/device/keeper_dialer.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "daemon/base/status_macros.h"
#include "daemon/device/error_text.h"

namespace hlbuf {
namespace {

std::optional<sockaddr_un> AddressOf(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) return std::nullopt;
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

absl::Status TooLong(const std::string& path) {
  return absl::InvalidArgumentError(
      absl::StrCat(path, ": a socket's path has ", sizeof(sockaddr_un::sun_path) - 1,
                   " bytes at most; take a shorter directory, or a shorter name of the device"));
}

const sockaddr* Generic(const sockaddr_un& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

// UNAVAILABLE: nobody is there.
absl::StatusOr<UniqueFd> Connect(const std::string& path) {
  const std::optional<sockaddr_un> address = AddressOf(path);
  if (!address) return TooLong(path);
  UniqueFd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return CallFailed("socket()", errno);
  if (::connect(socket.get(), Generic(*address), sizeof(*address)) == 0) return socket;
  if (errno == ENOENT || errno == ECONNREFUSED)
    return absl::UnavailableError(absl::StrCat(path, ": nobody is there"));
  return CallFailed(absl::StrCat("connect() to ", path), errno);
}

// Whose process listens there is whose keeper takes the connection.
bool IsOfThisUser(int socket) {
  ucred peer = {};
  socklen_t size = sizeof(peer);
  return ::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
         peer.uid == ::geteuid();
}

// Likewise; whoever it is gets all memory of the device.
bool IsOfThisUserOrRoot(int socket) {
  ucred peer = {};
  socklen_t size = sizeof(peer);
  return ::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
         (peer.uid == ::geteuid() || peer.uid == 0);
}

// What other users may change would let them take the place of a keeper.
absl::Status Prepare(const std::string& directory) {
  constexpr mode_t kOthers = 022;
  if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST)
    return CallFailed(absl::StrCat("mkdir() of ", directory), errno);
  struct stat status = {};
  if (::stat(directory.c_str(), &status) != 0)
    return CallFailed(absl::StrCat("stat() of ", directory), errno);
  if (status.st_uid == ::geteuid() && (status.st_mode & kOthers) == 0) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat(directory, " is another user's, or others may write to it"));
}

absl::StatusOr<UniqueFd> Listen(const std::string& path) {
  constexpr int kBacklog = 4;
  const std::optional<sockaddr_un> address = AddressOf(path);
  if (!address) return TooLong(path);
  UniqueFd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return CallFailed("socket()", errno);
  // bind() takes the mode from here, less the umask, which is not one thread's own.
  ::fchmod(socket.get(), 0600);
  ::unlink(path.c_str());
  if (::bind(socket.get(), Generic(*address), sizeof(*address)) != 0 ||
      ::listen(socket.get(), kBacklog) != 0)
    return CallFailed(absl::StrCat("bind() to ", path), errno);
  return socket;
}

}  // namespace

std::string KeeperName(absl::string_view device) {
  return absl::StrCat("keeper-", absl::StrReplaceAll(device, {{"_", "__"}, {"/", "_-"}}));
}

absl::StatusOr<std::unique_ptr<Keeper>> SpawnedKeepers::Dial(const std::string& name,
                                                             KeeperLimits limits) {
  KeeperProcess::Wait wait{.listener = {}, .seconds = kWaitSeconds};
  if (outlives()) {
    absl::Status prepared = Prepare(directory_);
    if (prepared.ok()) {
      absl::StatusOr<UniqueFd> listener = Listen(PathOf(name));
      prepared = listener.status();
      if (listener.ok()) wait.listener = *std::move(listener);
    }
    if (!prepared.ok())
      warn_(absl::StrCat("what is allocated does not survive the end of this service: ",
                         prepared.message()));
  }
  return Keeper::Spawn(program_, limits, wait);
}

absl::StatusOr<std::unique_ptr<Keeper>> SpawnedKeepers::Redial(const std::string& name,
                                                               KeeperLimits limits) {
  if (!outlives()) return absl::UnavailableError("keepers end with the process that began them");
  ASSIGN_OR_RETURN(UniqueFd connection, Connect(PathOf(name)));
  if (!IsOfThisUser(connection.get()))
    return absl::UnavailableError(absl::StrCat(PathOf(name), ": another user listens there"));
  return Keeper::Adopt(std::move(connection), limits);
}

void SpawnedKeepers::Forget(const std::string& name) {
  if (outlives()) ::unlink(PathOf(name).c_str());
}

absl::StatusOr<UniqueFd> ConnectedKeepers::ConnectionFor(const std::string& name) {
  {
    const std::lock_guard<std::mutex> locked(mutex_);
    if (auto late = late_.extract(name); !late.empty()) return std::move(late.mapped());
  }
  absl::StatusOr<UniqueFd> connected = Connect(socket_);
  if (absl::IsUnavailable(connected.status()))
    return absl::UnavailableError(
        absl::StrCat(connected.status().message(),
                     "; `systemctl start hl-bufd-keeper.socket`, or hl-bufd.target"));
  if (!connected.ok()) return connected.status();
  if (!IsOfThisUserOrRoot(connected->get()))
    return absl::UnavailableError(absl::StrCat(socket_, ": another user listens there"));
  return connected;
}

absl::StatusOr<std::unique_ptr<Keeper>> ConnectedKeepers::Dial(const std::string& name,
                                                               KeeperLimits limits) {
  ASSIGN_OR_RETURN(UniqueFd connection, ConnectionFor(name));
  UniqueFd copy(::fcntl(connection.get(), F_DUPFD_CLOEXEC, 0));
  if (!copy) return CallFailed("fcntl(F_DUPFD_CLOEXEC)", errno);
  absl::StatusOr<std::unique_ptr<Keeper>> keeper = Keeper::Meet(std::move(connection), limits);
  if (keeper.ok()) {
    store_.Put(name, std::move(copy));
  } else if (absl::IsDeadlineExceeded(keeper.status())) {
    const std::lock_guard<std::mutex> locked(mutex_);
    late_.insert_or_assign(name, std::move(copy));
  }
  return keeper;
}

absl::StatusOr<std::unique_ptr<Keeper>> ConnectedKeepers::Redial(const std::string& name,
                                                                 KeeperLimits limits) {
  UniqueFd connection = store_.Take(name);
  if (!connection)
    return absl::UnavailableError("no connection to a keeper was left by an earlier process");
  return Keeper::Adopt(std::move(connection), limits);
}

}  // namespace hlbuf
