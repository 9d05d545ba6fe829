// SPDX-License-Identifier: Apache-2.0
#include "client/ctl/connection.h"

#include <fcntl.h>
#include <grpcpp/create_channel_posix.h>
#include <grpcpp/grpcpp.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "client/ctl/console.h"

namespace hlbuf::ctl {
namespace {

const char* Advice(int error) {
  switch (error) {
    case ENOENT:
      return "; is hl-bufd running, and is this its control socket?";
    case ECONNREFUSED:
      return "; hl-bufd has left its socket behind: it is not running";
    case EACCES:
      return "; you may not use this socket";
    case EAGAIN:
      return "; hl-bufd takes no connections";
    default:
      return "";
  }
}

absl::Status Refusal(const std::string& path, int error) {
  return absl::UnavailableError(
      absl::StrCat("cannot connect to ", path, ": ", std::strerror(error), Advice(error)));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Stub>> Connect(const std::string& path) {
  sockaddr_un address = {.sun_family = AF_UNIX};
  if (path.empty() || path.size() >= sizeof(address.sun_path))
    return Refusal(path, path.empty() ? ENOENT : ENAMETOOLONG);
  path.copy(address.sun_path, path.size());
  const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (socket < 0) return Refusal(path, errno);
  absl::Cleanup close = [socket] { ::close(socket); };
  // A full backlog makes connect() wait: not for ever.
  const timeval patience = absl::ToTimeval(kPatience);
  if (::setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) != 0 ||
      ::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
      ::fcntl(socket, F_SETFL, O_NONBLOCK) != 0)
    return Refusal(path, errno);
  std::move(close).Cancel();
  return v1::Control::NewStub(grpc::CreateInsecureChannelFromFd("hl-bufd", socket));
}

absl::StatusOr<std::unique_ptr<Stub>> Connect(const Invocation& invocation) {
  return invocation.server.address.empty() ? Connect(invocation.socket)
                                           : ConnectTls(invocation.server);
}

bool IsHere(const Invocation& invocation, const std::string& what) {
  if (invocation.server.address.empty()) return true;
  PrintError(absl::StrCat(what, " looks at the machine that it runs on: run it on the machine of ",
                          "the service, without --server"));
  return false;
}

ExitCode Unreachable(const absl::Status& status) {
  PrintError(std::string(status.message()));
  return absl::IsFailedPrecondition(status) ? ExitCode::kFailed : ExitCode::kUnreachable;
}

}  // namespace hlbuf::ctl
