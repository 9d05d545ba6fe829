// SPDX-License-Identifier: Apache-2.0
#include "client/ctl/doctor/ask_service.h"

#include <grpcpp/grpcpp.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

#include "absl/cleanup/cleanup.h"
#include "absl/status/statusor.h"
#include "client/ctl/connection.h"
#include "client/ctl/format.h"
#include "client/ctl/rpc_error.h"

namespace hlbuf::ctl::doctor {
namespace {

constexpr int kDevicesMax = 1000;  // in one page

absl::StatusOr<pid_t> ListenerAt(const std::string& path) {
  sockaddr_un address = {.sun_family = AF_UNIX};
  if (path.size() >= sizeof(address.sun_path)) return absl::ErrnoToStatus(ENAMETOOLONG, path);
  path.copy(address.sun_path, path.size());
  const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (socket < 0) return absl::ErrnoToStatus(errno, "socket()");
  const absl::Cleanup close = [socket] { ::close(socket); };
  ucred peer = {};
  socklen_t size = sizeof(peer);
  if (::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
      ::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
    return absl::ErrnoToStatus(errno, path);
  return peer.pid;
}

absl::Status ListDevices(Stub& stub, ServiceAnswer& answer) {
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + kPatience));
  v1::ListDevicesRequest request;
  request.set_page_size(kDevicesMax);
  v1::ListDevicesResponse response;
  const grpc::Status status = stub.ListDevices(&context, request, &response);
  if (!status.ok()) return absl::UnavailableError(ErrorText(status));
  for (const v1::Device& device : response.devices())
    answer.devices.push_back({.name = device.name(),
                              .kind = device.kind(),
                              .state = StateText(device.state()),
                              .failure = device.failure()});
  return absl::OkStatus();
}

}  // namespace

ServiceAnswer AskService(const std::string& socket_path) {
  ServiceAnswer answer;
  const absl::StatusOr<pid_t> listener = ListenerAt(socket_path);
  answer.status = listener.status();
  if (absl::IsPermissionDenied(answer.status)) return answer;
  if (listener.ok()) answer.listener = *listener;
  absl::StatusOr<std::unique_ptr<Stub>> stub = Connect(socket_path);
  answer.status = stub.ok() ? ListDevices(**stub, answer) : stub.status();
  return answer;
}

}  // namespace hlbuf::ctl::doctor
