// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/floor.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>
#include <utility>

#include "tests/bench/die.h"

namespace hlbuf::bench {
namespace {

UniqueFd NewSocket() {
  UniqueFd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!socket) DieErrno("socket");
  return socket;
}

sockaddr_un Address(const std::string& path) {
  sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = {}};
  if (path.size() >= sizeof(address.sun_path)) Die(path + " is too long for a socket");
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

UniqueFd Listen(const std::string& path) {
  UniqueFd socket = NewSocket();
  const sockaddr_un address = Address(path);
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
      ::listen(socket.get(), SOMAXCONN) != 0)
    DieErrno(path);
  return socket;
}

}  // namespace

Floor::Floor(const Paths& paths, std::size_t descriptors)
    : socket_path_(paths.Fresh(".sock")),
      listener_(Listen(socket_path_)),
      server_({.arguments = {paths.floor, std::to_string(descriptors)},
               .environment = {},
               .descriptor = listener_.get(),
               .log = paths.Fresh(".log")}) {}

FloorSession::FloorSession(const Floor& floor) : FloorSession(floor.socket_path()) {}

FloorSession::FloorSession(const std::string& path) : socket_(NewSocket()) {
  const sockaddr_un address = Address(path);
  if (::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0)
    DieErrno(path);
}

void FloorSession::Send(const FloorMessage& message) {
  if (::send(socket_.get(), &message, sizeof(message), MSG_NOSIGNAL) < 0) DieErrno("send");
}

void FloorSession::Receive() {
  FloorMessage message;
  iovec iov = {.iov_base = &message, .iov_len = sizeof(message)};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(HLBUF_WIRE_BATCH_MAX * sizeof(int))> control;
  msghdr header = {};
  header.msg_iov = &iov;
  header.msg_iovlen = 1;
  header.msg_control = control.data();
  header.msg_controllen = control.size();
  if (::recvmsg(socket_.get(), &header, MSG_CMSG_CLOEXEC) <= 0) DieErrno("recvmsg of the floor");
  const cmsghdr* c = CMSG_FIRSTHDR(&header);
  fd_count_ = c == nullptr ? 0 : (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
  if (c != nullptr) std::memcpy(fds_.data(), CMSG_DATA(c), fd_count_ * sizeof(int));
}

}  // namespace hlbuf::bench
