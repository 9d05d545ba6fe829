// SPDX-License-Identifier: Apache-2.0
#include "tests/support/raw_client.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>

namespace hlbuf {

namespace {

std::string AsText(const std::vector<std::uint64_t>& numbers) {
  return {reinterpret_cast<const char*>(numbers.data()), numbers.size() * sizeof(numbers[0])};
}

}  // namespace

std::vector<std::byte> HelloOfFrame(std::uint64_t cookie, std::uint64_t features) {
  const std::string name = "raw";
  return MakeFrame<hlbuf_wire_hello>({.version = HLBUF_WIRE_VERSION,
                                      .client_bytes = static_cast<std::uint32_t>(name.size()),
                                      .features = features},
                                     HLBUF_WIRE_HELLO, cookie, name);
}

std::vector<std::byte> HelloFrame(std::uint64_t cookie) { return HelloOfFrame(cookie, 0); }

std::vector<std::byte> HelloAgainFrame(std::uint64_t cookie) {
  return HelloOfFrame(cookie, HLBUF_WIRE_FEATURE_REATTACH);
}

std::vector<std::byte> ReattachFrame(std::uint64_t cookie, const ReattachAsk& ask) {
  const std::string name = "raw";
  hlbuf_wire_reattach fixed = {.version = ask.version,
                               .client_bytes = static_cast<std::uint32_t>(name.size()),
                               .features = ask.features,
                               .session_id = ask.session,
                               .lease_count = static_cast<std::uint32_t>(ask.leases.size()),
                               .cookie_count = static_cast<std::uint32_t>(ask.cookies.size()),
                               .flags = ask.more ? std::uint32_t{HLBUF_WIRE_REATTACH_MORE} : 0U};
  std::copy(std::begin(ask.secret), std::end(ask.secret), fixed.secret);
  return MakeFrame(fixed, HLBUF_WIRE_REATTACH, cookie,
                   AsText(ask.leases) + AsText(ask.cookies) + name);
}

std::vector<std::byte> AllocateFrame(std::uint64_t cookie, std::uint64_t size_bytes,
                                     const std::string& name) {
  return MakeFrame<hlbuf_wire_allocate>(
      {.size_bytes = size_bytes, .name_bytes = static_cast<std::uint16_t>(name.size())},
      HLBUF_WIRE_ALLOCATE, cookie, name);
}

std::vector<std::byte> OpenFrame(std::uint64_t cookie, const std::vector<std::uint64_t>& buffers) {
  std::string items;
  for (const std::uint64_t buffer : buffers) {
    const hlbuf_wire_open_item item = {.buffer_id = buffer};
    items.append(reinterpret_cast<const char*>(&item), sizeof(item));
  }
  return MakeFrame<hlbuf_wire_open>({.item_count = static_cast<std::uint16_t>(buffers.size()),
                                     .item_bytes = sizeof(hlbuf_wire_open_item)},
                                    HLBUF_WIRE_OPEN, cookie, items);
}

std::vector<std::byte> OpenNameFrame(std::uint64_t cookie, const std::string& name,
                                     std::uint32_t owner_uid) {
  const hlbuf_wire_open_item item = {.name_bytes = static_cast<std::uint16_t>(name.size()),
                                     .owner_uid = owner_uid};
  return MakeFrame<hlbuf_wire_open>(
      {.item_count = 1, .item_bytes = sizeof(item)}, HLBUF_WIRE_OPEN, cookie,
      std::string(reinterpret_cast<const char*>(&item), sizeof(item)) + name);
}

std::vector<std::byte> ReleaseFrame(const std::vector<std::uint64_t>& leases) {
  return MakeFrame<hlbuf_wire_release>({.lease_count = static_cast<std::uint32_t>(leases.size())},
                                       HLBUF_WIRE_RELEASE, 0, AsText(leases));
}

std::vector<std::byte> ShareFrame(std::uint64_t cookie, hlbuf_wire_opcode opcode,
                                  std::uint64_t buffer, std::uint32_t kind, std::uint32_t grantee) {
  return MakeFrame<hlbuf_wire_share>(
      {.buffer_id = buffer, .grantee_kind = kind, .grantee = grantee}, opcode, cookie);
}

std::vector<std::byte> DevicesFrame(std::uint64_t cookie) {
  return MakeFrame<hlbuf_wire_header>({}, HLBUF_WIRE_DEVICES, cookie);
}

std::vector<std::byte> PongFrame(std::uint64_t nonce) {
  return MakeFrame<hlbuf_wire_ping>({.nonce = nonce}, HLBUF_WIRE_PONG, 0);
}

RawClient RawClient::Connect(const std::string& path) {
  UniqueFd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0)
    return RawClient();
  return RawClient(std::move(socket));
}

RawClient RawClient::Greeted(const std::string& path) {
  RawClient client = Connect(path);
  EXPECT_TRUE(client) << path << ": " << std::strerror(errno);
  const std::optional<Packet> welcome = client.Ask(HelloFrame());
  EXPECT_TRUE(welcome.has_value() && welcome->opcode() == HLBUF_WIRE_WELCOME);
  return client;
}

int RawClient::Send(std::vector<std::byte> frame, const std::vector<int>& fds, int flags) {
  iovec iov = {.iov_base = frame.data(), .iov_len = frame.size()};
  msghdr header = {};
  header.msg_iov = &iov;
  header.msg_iovlen = 1;
  std::vector<std::byte> control(CMSG_SPACE(fds.size() * sizeof(int)));
  if (!fds.empty()) {
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    cmsghdr* c = CMSG_FIRSTHDR(&header);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
    std::memcpy(CMSG_DATA(c), fds.data(), fds.size() * sizeof(int));
  }
  return ::sendmsg(socket_.get(), &header, MSG_NOSIGNAL | flags) < 0 ? errno : 0;
}

bool RawClient::Readable(int ms) const {
  pollfd p = {.fd = socket_.get(), .events = POLLIN, .revents = 0};
  return ::poll(&p, 1, ms) > 0;
}

std::optional<Packet> RawClient::Receive() {
  if (!Readable(kDeadlineMs)) {
    ADD_FAILURE() << "nothing arrived in time";
    return std::nullopt;
  }
  Packet packet;
  packet.bytes.resize(HLBUF_WIRE_FRAME_BYTES_MAX + 1);
  alignas(cmsghdr) std::byte control[CMSG_SPACE(HLBUF_WIRE_BATCH_MAX * sizeof(int))];
  iovec iov = {.iov_base = packet.bytes.data(), .iov_len = packet.bytes.size()};
  msghdr header = {};
  header.msg_iov = &iov;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof(control);
  ssize_t n = ::recvmsg(socket_.get(), &header, MSG_CMSG_CLOEXEC);
  // It comes once, in front of what can still be read.
  if (n < 0 && errno == ECONNRESET) n = ::recvmsg(socket_.get(), &header, MSG_CMSG_CLOEXEC);
  for (cmsghdr* c = n >= 0 ? CMSG_FIRSTHDR(&header) : nullptr; c != nullptr;
       c = CMSG_NXTHDR(&header, c)) {
    const std::size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
      packet.fds.emplace_back(fd);
    }
  }
  if (n <= 0) return std::nullopt;
  packet.bytes.resize(static_cast<std::size_t>(n));
  return packet;
}

std::optional<Packet> RawClient::ReceiveAnswer() {
  for (;;) {
    std::optional<Packet> packet = Receive();
    if (!packet.has_value() || packet->cookie() != 0) return packet;
  }
}

std::optional<Packet> RawClient::Ask(const std::vector<std::byte>& frame) {
  if (Send(frame) != 0) return std::nullopt;
  return ReceiveAnswer();
}

std::uint16_t RawClient::DrainToEnd() {
  std::uint16_t last = 0;
  while (const std::optional<Packet> packet = Receive()) last = packet->opcode();
  return last;
}

}  // namespace hlbuf
