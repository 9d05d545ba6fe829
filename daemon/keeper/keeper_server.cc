// SPDX-License-Identifier: Apache-2.0
#include "daemon/keeper/keeper_server.h"

#include <poll.h>
#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <optional>
#include <span>
#include <utility>

namespace hlbuf {
namespace {

// The standard ones, the connection, the socket for the next one, and one for an unknown verb, or
// for that next one, to bring along.
constexpr std::uint32_t kOwnDescriptors = HLBUF_KEEPER_NEXT + 2;

// Until the socket is ready for `events`, or has hung up: the next call on it tells.
void WaitFor(int socket, short events) {
  pollfd p = {.fd = socket, .events = events, .revents = 0};
  static_cast<void>(::poll(&p, 1, -1));  // interrupted: the next call says "not yet"
}

}  // namespace

hlbuf_keeper_exit KeeperServer::Run(int socket) {
  socket_ = socket;
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
      return Drop(request);
    case HLBUF_KEEPER_DROP_ALL:
      copies_.clear();
      return Answer(request, HLBUF_KEEPER_DROPPED);
    case HLBUF_KEEPER_COUNT:
      return Answer(request, HLBUF_KEEPER_COUNTED);
    case HLBUF_KEEPER_FETCH:
      return Fetch(request);
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
  const absl::Status sent = Send(request, HLBUF_KEEPER_OPENED, 0, {.ids = {}, .fds = {fd}});
  if (!absl::IsResourceExhausted(sent)) return sent.ok();
  copies_.erase(kept);
  return Send(request, HLBUF_KEEPER_OPENED, ETOOMANYREFS).ok();
}

bool KeeperServer::Drop(const KeeperRequest& request) {
  for (const std::uint64_t id : request.ids) copies_.erase(id);
  if ((request.message.flags & HLBUF_KEEPER_UNANSWERED) != 0) return true;
  return Answer(request, HLBUF_KEEPER_DROPPED);
}

// Nothing changes their order between two of these (std::unordered_multimap).
bool KeeperServer::Fetch(const KeeperRequest& request) {
  Load load;
  std::uint64_t left_out = request.message.id;
  for (const auto& [id, fd] : copies_) {
    if (load.fds.size() == HLBUF_KEEPER_FETCH_MAX) break;
    if (left_out > 0) {
      --left_out;
      continue;
    }
    load.ids.push_back(id);
    load.fds.push_back(fd.get());
  }
  const absl::Status sent = Send(request, HLBUF_KEEPER_FETCHED, 0, load);
  if (!absl::IsResourceExhausted(sent)) return sent.ok();
  return Send(request, HLBUF_KEEPER_FETCHED, ETOOMANYREFS).ok();
}

bool KeeperServer::Refuse(const KeeperRequest& request, int error) {
  packet_.fds().clear();
  return Send(request, HLBUF_KEEPER_REFUSED, error).ok();
}

bool KeeperServer::Answer(const KeeperRequest& request, hlbuf_keeper_verb verb) {
  return Send(request, verb, 0).ok();
}

absl::Status KeeperServer::Send(const KeeperRequest& request, hlbuf_keeper_verb verb, int error,
                                const Load& load) {
  const hlbuf_keeper_message answer = {.version = HLBUF_KEEPER_VERSION,
                                       .verb = static_cast<std::uint32_t>(verb),
                                       .cookie = request.message.cookie,
                                       .items = static_cast<std::uint32_t>(load.ids.size()),
                                       .error = error,
                                       .kept = static_cast<std::uint32_t>(copies_.size()),
                                       .room = Room()};
  std::vector<std::byte> packet(sizeof(answer) + load.ids.size() * sizeof(load.ids[0]));
  std::memcpy(packet.data(), &answer, sizeof(answer));
  if (!load.ids.empty())
    std::memcpy(packet.data() + sizeof(answer), load.ids.data(), packet.size() - sizeof(answer));
  while (true) {
    const absl::Status sent = SendPacket(socket_, packet, load.fds);
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
