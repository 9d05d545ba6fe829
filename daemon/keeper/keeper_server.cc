// SPDX-License-Identifier: Apache-2.0
#include "daemon/keeper/keeper_server.h"

#include <poll.h>
#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <optional>
#include <span>
#include <utility>

namespace hlbuf {
namespace {

// The standard ones, the connection, and one for an unknown verb to bring along.
constexpr std::uint32_t kOwnDescriptors = HLBUF_KEEPER_CHANNEL + 2;

// Until the socket is ready for `events`, or has hung up: the next call on it tells.
void WaitFor(int socket, short events) {
  pollfd p = {.fd = socket, .events = events, .revents = 0};
  static_cast<void>(::poll(&p, 1, -1));  // interrupted: the next call says "not yet"
}

}  // namespace

hlbuf_keeper_exit KeeperServer::Run() {
  while (true) {
    const absl::Status received = ReceivePacket(socket_, packet_);
    if (absl::IsUnavailable(received)) {
      WaitFor(socket_, POLLIN);
      continue;
    }
    if (absl::IsDataLoss(received)) return HLBUF_KEEPER_EXIT_CUT_SHORT;
    if (!received.ok()) return HLBUF_KEEPER_EXIT_CONNECTION_ENDED;
    const std::optional<KeeperRequest> request = ParseKeeperRequest(
        std::span(packet_.bytes().data(), packet_.bytes().size()), packet_.fds().size());
    if (!request.has_value()) return HLBUF_KEEPER_EXIT_MALFORMED;
    if (!Serve(*request)) return HLBUF_KEEPER_EXIT_CONNECTION_ENDED;
  }
}

bool KeeperServer::Serve(const KeeperRequest& request) {
  if (request.message.version != HLBUF_KEEPER_VERSION) return Refuse(request, EPROTONOSUPPORT);
  switch (request.message.verb) {
    case HLBUF_KEEPER_OPEN:
      return Open(request);
    case HLBUF_KEEPER_KEEP:
      copies_.emplace(request.message.id, std::move(packet_.fds().front()));
      return true;
    case HLBUF_KEEPER_DROP:
      for (const std::uint64_t id : request.ids) copies_.erase(id);
      return Answer(request, HLBUF_KEEPER_DROPPED);
    case HLBUF_KEEPER_DROP_ALL:
      copies_.clear();
      return Answer(request, HLBUF_KEEPER_DROPPED);
    case HLBUF_KEEPER_COUNT:
      return Answer(request, HLBUF_KEEPER_COUNTED);
    default:
      return Refuse(request, EOPNOTSUPP);
  }
}

bool KeeperServer::Open(const KeeperRequest& request) {
  if (request.message.flags != 0) return Send(request, HLBUF_KEEPER_OPENED, EINVAL).ok();
  if (Room() == 0) return Send(request, HLBUF_KEEPER_OPENED, EMFILE).ok();
  UniqueFd device = OpenDevice(request.path, opens_);
  if (!device) return Send(request, HLBUF_KEEPER_OPENED, errno).ok();
  const int fd = device.get();
  const auto kept = copies_.emplace(HLBUF_KEEPER_DEVICE_ID, std::move(device));
  const absl::Status sent = Send(request, HLBUF_KEEPER_OPENED, 0, fd);
  if (!absl::IsResourceExhausted(sent)) return sent.ok();
  copies_.erase(kept);
  return Send(request, HLBUF_KEEPER_OPENED, ETOOMANYREFS).ok();
}

bool KeeperServer::Refuse(const KeeperRequest& request, int error) {
  packet_.fds().clear();
  return Send(request, HLBUF_KEEPER_REFUSED, error).ok();
}

bool KeeperServer::Answer(const KeeperRequest& request, hlbuf_keeper_verb verb) {
  return Send(request, verb, 0).ok();
}

absl::Status KeeperServer::Send(const KeeperRequest& request, hlbuf_keeper_verb verb, int error,
                                int fd) {
  const hlbuf_keeper_message answer = {.version = HLBUF_KEEPER_VERSION,
                                       .verb = static_cast<std::uint32_t>(verb),
                                       .cookie = request.message.cookie,
                                       .error = error,
                                       .kept = static_cast<std::uint32_t>(copies_.size()),
                                       .room = Room()};
  while (true) {
    const absl::Status sent =
        SendPacket(socket_, {reinterpret_cast<const std::byte*>(&answer), sizeof(answer)},
                   {&fd, fd >= 0 ? std::size_t{1} : 0});
    if (!absl::IsUnavailable(sent)) return sent;
    WaitFor(socket_, POLLOUT);
  }
}

std::uint32_t KeeperServer::Room() const {
  rlimit limit = {};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  const rlim_t taken = kOwnDescriptors + copies_.size();
  return static_cast<std::uint32_t>(
      std::min<rlim_t>(limit.rlim_cur > taken ? limit.rlim_cur - taken : 0, UINT32_MAX));
}

}  // namespace hlbuf
