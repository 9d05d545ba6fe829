// SPDX-License-Identifier: Apache-2.0
// One packet of a SOCK_SEQPACKET socket: bytes and the descriptors that came with them.
#ifndef HLBUF_PROTO_WIRE_PACKET_H_
#define HLBUF_PROTO_WIRE_PACKET_H_

#include <sys/socket.h>

#include <array>
#include <cstddef>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "proto/hlbuf_wire.h"
#include "proto/wire/unique_fd.h"

namespace hlbuf {

// Room for one packet. Reused from packet to packet, so that receiving allocates and clears
// nothing.
class PacketBuffer {
 public:
  friend absl::Status ReceivePacket(int socket, PacketBuffer& into);

  // What the last ReceivePacket() brought; valid until the next. Empty bytes: the peer sent an
  // empty packet.
  absl::Span<const std::byte> bytes() const { return {bytes_.data(), size_}; }
  // Descriptors that came along, close-on-exec, closed with the next ReceivePacket() unless taken.
  std::vector<UniqueFd>& fds() { return fds_; }

 private:
  alignas(8) std::array<std::byte, HLBUF_WIRE_FRAME_BYTES_MAX> bytes_;
  alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(HLBUF_WIRE_BATCH_MAX * sizeof(int))> control_;
  std::size_t size_ = 0;
  std::vector<UniqueFd> fds_;
};

// Receives one packet without waiting. Every descriptor that arrived is adopted before anything is
// judged.
//
// Errors:
//   UNAVAILABLE   nothing is waiting
//   OUT_OF_RANGE  end of file: the peer closed, and everything it sent was read
//   DATA_LOSS     MSG_TRUNC or MSG_CTRUNC: the packet or its list of descriptors was cut short. The
//                 latter also means "no free descriptor here" or "a security module refused one";
//                 what did arrive is closed
//   others        errno of recvmsg()
absl::Status ReceivePacket(int socket, PacketBuffer& into);

// Takes what is left in the queue of a socket that was shut down, and closes the descriptors in it.
void DiscardReceived(int socket);

// Sends one packet without waiting and without SIGPIPE; all of it or nothing.
//
// Errors:
//   UNAVAILABLE         the peer's queue is full; EPOLLOUT tells when it no longer is
//   ABORTED             ENOBUFS, ENOMEM: the kernel has no memory now; nothing tells when it has
//   RESOURCE_EXHAUSTED  ETOOMANYREFS: this uid has too many descriptors in flight (unix(7))
//   OUT_OF_RANGE        EPIPE, ECONNRESET: the peer has gone, or reads no more
//   INVALID_ARGUMENT    EMSGSIZE: longer than the send buffer; or more descriptors than a packet
//                       takes
//   others              errno of sendmsg()
absl::Status SendPacket(int socket, absl::Span<const std::byte> bytes,
                        absl::Span<const int> fds = {});

// True when the peer has taken every packet sent on `socket`. The kernel's answer (SIOCOUTQ), not
// the peer's.
bool PeerTookEverything(int socket);

}  // namespace hlbuf

#endif  // HLBUF_PROTO_WIRE_PACKET_H_
