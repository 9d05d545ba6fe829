// SPDX-License-Identifier: Apache-2.0
#include "daemon/listen_tcp.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace hlbuf {
namespace {

constexpr int kBacklog = 64;

const char* Advice(int error) {
  switch (error) {
    case EAFNOSUPPORT:
      return "; the unit of this service allows no network: add the drop-in control-tcp.conf, and "
             "restart";
    case EADDRNOTAVAIL:
      return "; this machine has no such address, or the unit of this service gives it a network "
             "of "
             "its own (PrivateNetwork=), which the drop-in control-tcp.conf does not";
    case EADDRINUSE:
      return "; somebody listens there already: choose another port";
    case EACCES:
      return "; ports below 1024 take a capability that this service does not have: choose a "
             "higher "
             "one";
    default:
      return "";
  }
}

absl::Status Refusal(const InetAddress& address, int error) {
  return absl::UnavailableError(
      absl::StrCat("cannot listen at ", address.Text(), ": ", std::strerror(error), Advice(error)));
}

}  // namespace

absl::StatusOr<UniqueFd> ListenTcp(const InetAddress& address) {
  UniqueFd listener(::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int on = 1;
  // A restart does not wait for connections of the process before.
  if (!listener || ::setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
      ::bind(listener.get(), address.get(), address.size()) != 0 ||
      ::listen(listener.get(), kBacklog) != 0)
    return Refusal(address, errno);
  return listener;
}

}  // namespace hlbuf
