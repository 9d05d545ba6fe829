// SPDX-License-Identifier: Apache-2.0
#include "daemon/control/control_connections.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/strip.h"
#include "daemon/base/status_macros.h"
#include "daemon/core/error.h"

namespace hlbuf {
namespace {

// 0 when the number is free.
ino_t InodeOf(int number) {
  struct stat file = {};
  return ::fstat(number, &file) == 0 ? file.st_ino : 0;
}

}  // namespace

FdWindow FdWindow::UpperHalf() {
  constexpr rlim_t kEndMax = 131'072;
  rlimit limit = {};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) limit.rlim_cur = 1024;
  const auto end = static_cast<int>(std::min(limit.rlim_cur, kEndMax));
  return {.begin = end / 2, .end = end};
}

absl::StatusOr<UniqueFd> ControlConnections::Number(int socket) {
  UniqueFd fd(::fcntl(socket, F_DUPFD_CLOEXEC, next_));
  if (!fd || fd.get() >= window_.end) fd.Reset(::fcntl(socket, F_DUPFD_CLOEXEC, window_.begin));
  if (!fd || fd.get() >= window_.end)
    return Error(ErrorCode::kBusy, "no file descriptor is left for it; raise LimitNOFILE=");
  next_ = fd.get() + 1 < window_.end ? fd.get() + 1 : window_.begin;
  return fd;
}

absl::StatusOr<UniqueFd> ControlConnections::Admit(UniqueFd socket, Caller caller) {
  DropClosed();
  auto connection = std::make_unique<Connection>();
  ASSIGN_OR_RETURN(connection->slot, quota_.Take(caller));
  ASSIGN_OR_RETURN(UniqueFd fd, Number(socket.get()));
  connection->caller = std::move(caller);
  connection->hold = std::move(socket);
  ASSIGN_OR_RETURN(connection->watch,
                   loop_.AddIo(connection->hold.get(), EPOLLHUP,
                               [this, number = fd.get(), which = connection.get()](std::uint32_t) {
                                 OnHangUp(number, which);
                               }));
  connections_.insert_or_assign(fd.get(), std::move(connection));
  return fd;
}

void ControlConnections::SetRoles(absl::FunctionRef<Role(const Peer&)> role_of) {
  for (auto& [number, connection] : connections_)
    connection->caller.role = role_of(connection->caller.peer);
}

const Caller* ControlConnections::Find(absl::string_view grpc_peer) const {
  int number = -1;
  if (!absl::ConsumePrefix(&grpc_peer, "fd:") || !absl::SimpleAtoi(grpc_peer, &number))
    return nullptr;
  const auto it = connections_.find(number);
  return it == connections_.end() ? nullptr : &it->second->caller;
}

void ControlConnections::OnHangUp(int number, const Connection* which) {
  const auto it = connections_.find(number);
  if (it == connections_.end() || it->second.get() != which) return;  // told once more
  std::unique_ptr<Connection> connection = std::move(it->second);
  connections_.erase(it);
  ended_.push_back({.number = number,
                    .inode = InodeOf(connection->hold.get()),
                    .slot = std::move(connection->slot)});
  // Not now: this is its watch's own task.
  loop_.Post([connection = std::move(connection)] {});
  DropClosed();
}

// A number that has become another file's was closed before.
void ControlConnections::DropClosed() {
  std::erase_if(ended_, [](const Ended& ended) { return InodeOf(ended.number) != ended.inode; });
}

}  // namespace hlbuf
