// SPDX-License-Identifier: Apache-2.0
#include "daemon/device/keeper_connection.h"

#include <poll.h>

#include <cstring>
#include <vector>

#include "absl/strings/str_cat.h"
#include "daemon/base/status_macros.h"
#include "daemon/device/error_text.h"

namespace hlbuf {
namespace {

constexpr short kGone = POLLHUP | POLLERR | POLLNVAL;

absl::Status Closed() { return absl::UnavailableError("the keeper's end is closed"); }

absl::Span<const std::byte> BytesOf(const hlbuf_keeper_message& message) {
  return {reinterpret_cast<const std::byte*>(&message), sizeof(message)};
}

}  // namespace

absl::Status KeeperConnection::Tell(hlbuf_keeper_message message, int fd, Deadline deadline) {
  message.version = HLBUF_KEEPER_VERSION;
  message.cookie = ++last_cookie_;
  return Send(BytesOf(message), fd, deadline);
}

absl::StatusOr<KeeperAnswer> KeeperConnection::Ask(hlbuf_keeper_message message,
                                                   absl::Span<const std::byte> following,
                                                   hlbuf_keeper_verb answer, Deadline deadline) {
  message.version = HLBUF_KEEPER_VERSION;
  message.cookie = ++last_cookie_;
  std::vector<std::byte> packet(sizeof(message) + following.size());
  std::memcpy(packet.data(), &message, sizeof(message));
  if (!following.empty())
    std::memcpy(packet.data() + sizeof(message), following.data(), following.size());
  RETURN_IF_ERROR(Send(packet, -1, deadline));
  ASSIGN_OR_RETURN(KeeperAnswer got, Receive(message.cookie, deadline));
  if (got.message.verb == HLBUF_KEEPER_REFUSED)
    return CallFailed(absl::StrCat("the keeper, which speaks version ", got.message.version,
                                   ", refused verb ", message.verb),
                      got.message.error);
  if (got.message.verb != static_cast<std::uint32_t>(answer))
    return absl::DataLossError(absl::StrCat("the keeper answered verb ", got.message.verb));
  return got;
}

absl::Status KeeperConnection::Send(absl::Span<const std::byte> packet, int fd, Deadline deadline) {
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
    KeeperAnswer answer;
    if (packet_.bytes().size() != sizeof(answer.message) || fds.size() > 1)
      return absl::DataLossError("the keeper's answer is malformed");
    std::memcpy(&answer.message, packet_.bytes().data(), sizeof(answer.message));
    if (answer.message.cookie != cookie) continue;
    if (!fds.empty()) answer.fd = std::move(fds.front());
    return answer;
  }
}

}  // namespace hlbuf
