// SPDX-License-Identifier: Apache-2.0
#include "daemon/listen.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>

#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "daemon/base/status_macros.h"
#include "daemon/session/socket_place.h"

namespace hlbuf {
namespace {

std::string PathOf(int socket) {
  sockaddr_un address = {};
  socklen_t bytes = sizeof(address);
  if (::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &bytes) != 0 ||
      address.sun_family != AF_UNIX || address.sun_path[0] == '\0')
    return "no path";
  return address.sun_path;  // the kernel ends it with a zero
}

absl::Status Disagreement(const WantedSocket& wanted, absl::string_view is) {
  return absl::FailedPreconditionError(absl::StrCat(
      "the service manager passed a socket \"", wanted.name, "\" that ", is, ", and ", wanted.key,
      " is ", wanted.path, "; make the socket unit and the configuration agree"));
}

absl::Status CheckAdopted(const WantedSocket& wanted, int socket) {
  if (::sd_is_socket(socket, AF_UNIX, wanted.type, /*listening=*/1) <= 0)
    return Disagreement(wanted, wanted.type == SOCK_SEQPACKET
                                    ? "is no listening unix socket of packets"
                                    : "is no listening unix socket of a stream");
  const std::string path = PathOf(socket);
  if (path != wanted.path) return Disagreement(wanted, absl::StrCat("listens at ", path));
  return CheckBoundSocket(wanted.path, wanted.mode, wanted.group);
}

absl::StatusOr<ListeningSocket> Adopt(const WantedSocket& wanted, UniqueFd socket) {
  RETURN_IF_ERROR(CheckAdopted(wanted, socket.get()));
  const int flags = ::fcntl(socket.get(), F_GETFL);
  if (flags < 0 || ::fcntl(socket.get(), F_SETFL, flags | O_NONBLOCK) != 0)
    return absl::ErrnoToStatus(errno, absl::StrCat("make ", wanted.path, " non-blocking"));
  return ListeningSocket{.socket = std::move(socket), .file = {}};
}

}  // namespace

absl::StatusOr<ListeningSocket> Listen(const WantedSocket& wanted, PassedDescriptors& passed) {
  if (std::optional<UniqueFd> socket = passed.Take(wanted.name))
    return Adopt(wanted, *std::move(socket));
  const std::filesystem::path directory = std::filesystem::path(wanted.path).parent_path();
  std::error_code error;
  // Clients pass through it, whatever the umask is; the socket's own mode says who may connect.
  const mode_t before = ::umask(0022);
  std::filesystem::create_directories(directory, error);
  ::umask(before);
  if (error)
    return absl::UnavailableError(
        absl::StrCat("create ", directory.string(), ": ", error.message()));
  RETURN_IF_ERROR(CheckSocketPlace(wanted.path));
  return ListenAt(wanted.path, wanted.type, wanted.mode, wanted.group);
}

}  // namespace hlbuf
