// SPDX-License-Identifier: Apache-2.0
#include "daemon/device/keeper_connection.h"

#include <poll.h>

#include <chrono>
#include <cstring>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "daemon/base/status_macros.h"
#include "daemon/device/error_text.h"

namespace hlbuf {
namespace {

constexpr short kGone = POLLHUP | POLLERR | POLLNVAL;

absl::Status Closed() { return absl::UnavailableError("the keeper's end is closed"); }

// Nobody sends a message in a nanosecond, so what an earlier process of this boot used is below;
// and a connection does not outlive a boot.
std::uint64_t FirstCookie() {
  return static_cast<std::uint64_t>(
      std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count());
}

// What `packet` is, if it is a whole answer.
std::optional<KeeperAnswer> Parse(absl::Span<const std::byte> packet, std::vector<UniqueFd> fds) {
  KeeperAnswer answer;
  if (packet.size() < sizeof(answer.message)) return std::nullopt;
  std::memcpy(&answer.message, packet.data(), sizeof(answer.message));
  packet.remove_prefix(sizeof(answer.message));
  if (answer.message.verb != HLBUF_KEEPER_FETCHED) {
    if (!packet.empty() || fds.size() > 1) return std::nullopt;
    if (!fds.empty()) answer.fd = std::move(fds.front());
    return answer;
  }
  constexpr std::size_t kIdBytes = sizeof(std::uint64_t);
  if (answer.message.items != fds.size() || packet.size() != fds.size() * kIdBytes)
    return std::nullopt;
  for (UniqueFd& fd : fds) {
    KeptCopy& copy = answer.copies.emplace_back();
    std::memcpy(&copy.id, packet.data(), kIdBytes);
    copy.fd = std::move(fd);
    packet.remove_prefix(kIdBytes);
  }
  return answer;
}

}  // namespace

KeeperConnection::KeeperConnection(UniqueFd socket)
    : socket_(std::move(socket)), last_cookie_(FirstCookie()) {}

absl::Status KeeperConnection::Tell(hlbuf_keeper_message message,
                                    absl::Span<const std::byte> following, int fd,
                                    Deadline deadline) {
  return Send(message, following, fd, deadline);
}

absl::StatusOr<KeeperAnswer> KeeperConnection::Ask(hlbuf_keeper_message message,
                                                   absl::Span<const std::byte> following,
                                                   hlbuf_keeper_verb answer, Deadline deadline) {
  RETURN_IF_ERROR(Send(message, following, -1, deadline));
  ASSIGN_OR_RETURN(KeeperAnswer got, Receive(message.cookie, deadline));
  if (got.message.verb == HLBUF_KEEPER_REFUSED)
    return WithErrno(CallFailed(absl::StrCat("the keeper, which speaks version ",
                                             got.message.version, ", refused verb ", message.verb),
                                got.message.error),
                     got.message.error);
  if (got.message.verb != static_cast<std::uint32_t>(answer))
    return absl::DataLossError(absl::StrCat("the keeper answered verb ", got.message.verb));
  return got;
}

absl::Status KeeperConnection::Send(hlbuf_keeper_message& message,
                                    absl::Span<const std::byte> following, int fd,
                                    Deadline deadline) {
  message.version = HLBUF_KEEPER_VERSION;
  message.cookie = ++last_cookie_;
  std::vector<std::byte> packet(sizeof(message) + following.size());
  std::memcpy(packet.data(), &message, sizeof(message));
  if (!following.empty())
    std::memcpy(packet.data() + sizeof(message), following.data(), following.size());
  const absl::Span<const int> fds(&fd, fd >= 0 ? 1 : 0);
  while (true) {
    const absl::Status sent = SendPacket(socket_.get(), packet, fds);
    if (sent.ok()) return sent;
    if (!absl::IsUnavailable(sent))
      return (Await(socket_.get(), 0, Deadline(absl::ZeroDuration())) & kGone) != 0 ? Closed()
                                                                                    : sent;
    const short came = Await(socket_.get(), POLLOUT, deadline);
    if ((came & kGone) != 0) return Closed();
    if (came == 0) return absl::DeadlineExceededError("the keeper does not read");
  }
}

absl::StatusOr<KeeperAnswer> KeeperConnection::Receive(std::uint64_t cookie, Deadline deadline) {
  while (true) {
    const absl::Status received = ReceivePacket(socket_.get(), packet_);
    std::vector<UniqueFd> fds = std::move(packet_.fds());
    if (absl::IsUnavailable(received)) {
      if (Await(socket_.get(), POLLIN, deadline) == 0)
        return absl::DeadlineExceededError("the keeper does not answer");
      continue;
    }
    if (absl::IsDataLoss(received)) return received;
    // ECONNRESET, too: it died before it had read everything.
    if (!received.ok()) return Closed();
    std::optional<KeeperAnswer> answer = Parse(packet_.bytes(), std::move(fds));
    if (!answer.has_value()) return absl::DataLossError("the keeper's answer is malformed");
    if (answer->message.cookie == cookie) return *std::move(answer);
  }
}

}  // namespace hlbuf
