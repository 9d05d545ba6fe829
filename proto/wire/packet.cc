// SPDX-License-Identifier: Apache-2.0
#include "proto/wire/packet.h"

#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>

#include <cerrno>
#include <cstring>

namespace hlbuf {
namespace {

// cmsg_len decides, never the expected count: padding can bring one descriptor more than was asked
// for.
void AdoptDescriptors(msghdr& header, std::vector<UniqueFd>& into) {
  for (cmsghdr* c = CMSG_FIRSTHDR(&header); c != nullptr; c = CMSG_NXTHDR(&header, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
      into.emplace_back(fd);
    }
  }
}

// An empty packet and end of file both return 0 (unix(7)); only end of file hangs up.
bool HungUp(int socket) {
  pollfd p = {.fd = socket, .events = POLLRDHUP, .revents = 0};
  return ::poll(&p, 1, 0) > 0 && (p.revents & (POLLHUP | POLLRDHUP)) != 0;
}

}  // namespace

absl::Status ReceivePacket(int socket, PacketBuffer& into) {
  into.fds_.clear();
  into.size_ = 0;
  iovec iov = {.iov_base = into.bytes_.data(), .iov_len = into.bytes_.size()};
  msghdr header = {};
  header.msg_iov = &iov;
  header.msg_iovlen = 1;
  header.msg_control = into.control_.data();
  header.msg_controllen = into.control_.size();

  const ssize_t n = ::recvmsg(socket, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (n < 0) {
    if (errno == EAGAIN || errno == EINTR) return absl::UnavailableError("no packet");
    return absl::ErrnoToStatus(errno, "recvmsg");
  }
  AdoptDescriptors(header, into.fds_);
  if ((header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
    into.fds_.clear();
    return absl::DataLossError((header.msg_flags & MSG_TRUNC) != 0
                                   ? "packet longer than a frame may be"
                                   : "list of descriptors cut short");
  }
  if (n == 0 && into.fds_.empty() && HungUp(socket)) return absl::OutOfRangeError("end of file");
  into.size_ = static_cast<std::size_t>(n);
  return absl::OkStatus();
}

void DiscardReceived(int socket) {
  // An empty packet returns 0 like the end of file does; but only a packet has a sender.
  const int on = 1;
  static_cast<void>(::setsockopt(socket, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)));
  for (;;) {
    std::byte byte;
    iovec iov = {.iov_base = &byte, .iov_len = 1};
    // Room for its sender alone: what has no room is closed by the kernel.
    alignas(cmsghdr) std::byte control[CMSG_SPACE(sizeof(ucred))];
    msghdr header = {};
    header.msg_iov = &iov;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = sizeof(control);
    const ssize_t n = ::recvmsg(socket, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n < 0 && errno == ECONNRESET) continue;  // comes once, in front of what can still be read
    if (n < 0 || (n == 0 && header.msg_controllen == 0)) return;
  }
}

absl::Status SendPacket(int socket, absl::Span<const std::byte> bytes, absl::Span<const int> fds) {
  iovec iov = {.iov_base = const_cast<std::byte*>(bytes.data()), .iov_len = bytes.size()};
  msghdr header = {};
  header.msg_iov = &iov;
  header.msg_iovlen = 1;
  alignas(cmsghdr) std::byte control[CMSG_SPACE(HLBUF_WIRE_BATCH_MAX * sizeof(int))];
  if (fds.size() > HLBUF_WIRE_BATCH_MAX)
    return absl::InvalidArgumentError("more descriptors than a packet takes");
  if (!fds.empty()) {
    header.msg_control = control;
    header.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
    cmsghdr* c = CMSG_FIRSTHDR(&header);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
    std::memcpy(CMSG_DATA(c), fds.data(), fds.size() * sizeof(int));
  }
  if (::sendmsg(socket, &header, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) return absl::OkStatus();
  switch (errno) {
    case EAGAIN:
    case EINTR:
      return absl::UnavailableError("the peer's queue is full");
    case ENOBUFS:
    case ENOMEM:
      return absl::AbortedError("the kernel has no memory for a packet");
    case ETOOMANYREFS:
      return absl::ResourceExhaustedError("too many descriptors in flight");
    case EPIPE:
    case ECONNRESET:
      return absl::OutOfRangeError("the peer reads no more");
    case EMSGSIZE:
      return absl::InvalidArgumentError("a packet is longer than the send buffer of its socket");
    default:
      return absl::ErrnoToStatus(errno, "sendmsg");
  }
}

bool PeerTookEverything(int socket) {
  // A packet counts with the kernel's bookkeeping for it, hundreds of bytes at least. One that was
  // taken keeps a single byte for a moment, in which the wake-up for it can arrive already: whoever
  // wanted to see 0 would then wait for a wake-up that never comes.
  constexpr int kSmallestPacketBytes = 256;
  int unread = 0;
  return ::ioctl(socket, SIOCOUTQ, &unread) == 0 && unread < kSmallestPacketBytes;
}

}  // namespace hlbuf
