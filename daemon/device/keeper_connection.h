// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_DEVICE_KEEPER_CONNECTION_H_
#define HLBUF_DAEMON_DEVICE_KEEPER_CONNECTION_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "daemon/device/deadline.h"
#include "daemon/device/kept_copy.h"
#include "daemon/keeper/keeper_wire.h"
#include "proto/wire/packet.h"
#include "proto/wire/unique_fd.h"

namespace hlbuf {

struct KeeperAnswer {
  hlbuf_keeper_message message = {};
  UniqueFd fd;                   // OPENED
  std::vector<KeptCopy> copies;  // FETCHED
};

// Messages of keeper_wire.h over one socket, each with a deadline. Fills in version and cookie.
//
// Errors of both calls: UNAVAILABLE        the keeper's end is closed
//                       DEADLINE_EXCEEDED
//                       others             of SendPacket(), ReceivePacket()
class KeeperConnection {
 public:
  // Another process of this service may have used the socket before.
  explicit KeeperConnection(UniqueFd socket);

  int fd() const { return socket_.get(); }
  // The keeper sees its end.
  void Close() { socket_.Reset(); }

  // One that is not answered, with `following` bytes behind it. `fd` is borrowed, -1 is none; when
  // this returns OK the keeper has it, whatever becomes of this process.
  absl::Status Tell(hlbuf_keeper_message message, absl::Span<const std::byte> following, int fd,
                    Deadline deadline);
  // One that is answered `answer`. Late answers to earlier questions are passed over, those of the
  // other process too, and what they bring is closed.
  absl::StatusOr<KeeperAnswer> Ask(hlbuf_keeper_message message,
                                   absl::Span<const std::byte> following, hlbuf_keeper_verb answer,
                                   Deadline deadline);

 private:
  absl::Status Send(hlbuf_keeper_message& message, absl::Span<const std::byte> following, int fd,
                    Deadline deadline);
  absl::StatusOr<KeeperAnswer> Receive(std::uint64_t cookie, Deadline deadline);

  UniqueFd socket_;
  PacketBuffer packet_;
  std::uint64_t last_cookie_;
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_DEVICE_KEEPER_CONNECTION_H_
