// SPDX-License-Identifier: Apache-2.0
// A client that speaks the wire itself, and so can say anything. Blocking, with deadlines; throws
// nothing, reports failures to GoogleTest.
#ifndef HLBUF_TESTS_SUPPORT_RAW_CLIENT_H_
#define HLBUF_TESTS_SUPPORT_RAW_CLIENT_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "proto/hlbuf_wire.h"
#include "proto/wire/unique_fd.h"

namespace hlbuf {

// One packet as it arrived.
struct Packet {
  std::vector<std::byte> bytes;
  std::vector<UniqueFd> fds;

  std::uint16_t opcode() const { return header().opcode; }
  std::uint64_t cookie() const { return header().cookie; }
  hlbuf_wire_header header() const { return As<hlbuf_wire_header>(); }
  template <class Fixed>
  Fixed As() const {
    Fixed fixed = {};
    std::memcpy(&fixed, bytes.data(), std::min(sizeof(fixed), bytes.size()));
    return fixed;
  }
  // Item `index` of those that follow the fixed part.
  template <class Item>
  Item ItemAt(std::size_t index) const {
    Item item = {};
    std::memcpy(&item, bytes.data() + header().fixed_bytes + index * sizeof(item), sizeof(item));
    return item;
  }
  // The text at the end of an ERROR or GOODBYE.
  std::string text() const {
    const std::size_t at = header().fixed_bytes;
    return {reinterpret_cast<const char*>(bytes.data()) + at, bytes.size() - at};
  }
};

// A frame under construction: `fixed` with its header filled in, then `trailing`.
template <class Fixed>
std::vector<std::byte> MakeFrame(Fixed fixed, hlbuf_wire_opcode opcode, std::uint64_t cookie,
                                 const std::string& trailing = "") {
  auto& header = reinterpret_cast<hlbuf_wire_header&>(fixed);
  header = {.frame_bytes = static_cast<std::uint32_t>(sizeof(fixed) + trailing.size()),
            .opcode = static_cast<std::uint16_t>(opcode),
            .fixed_bytes = sizeof(fixed),
            .cookie = cookie};
  std::vector<std::byte> frame(sizeof(fixed) + trailing.size());
  std::memcpy(frame.data(), &fixed, sizeof(fixed));
  std::memcpy(frame.data() + sizeof(fixed), trailing.data(), trailing.size());
  return frame;
}

std::vector<std::byte> HelloFrame(std::uint64_t cookie = 1);
// HELLO of a client that can reattach.
std::vector<std::byte> HelloAgainFrame(std::uint64_t cookie = 1);
// HELLO of a client that can do this.
std::vector<std::byte> HelloOfFrame(std::uint64_t cookie, std::uint64_t features);
struct ReattachAsk {
  std::uint64_t session = 0;
  std::uint8_t secret[HLBUF_WIRE_SECRET_BYTES] = {};
  std::vector<std::uint64_t> leases;
  std::vector<std::uint64_t> cookies;
  bool more = false;
  std::uint32_t version = HLBUF_WIRE_VERSION;
  std::uint64_t features = HLBUF_WIRE_FEATURE_REATTACH;
};
std::vector<std::byte> ReattachFrame(std::uint64_t cookie, const ReattachAsk& ask);
std::vector<std::byte> AllocateFrame(std::uint64_t cookie, std::uint64_t size_bytes,
                                     const std::string& name = "");
std::vector<std::byte> OpenFrame(std::uint64_t cookie, const std::vector<std::uint64_t>& buffers);
std::vector<std::byte> OpenNameFrame(std::uint64_t cookie, const std::string& name,
                                     std::uint32_t owner_uid = HLBUF_WIRE_OWNER_SELF);
std::vector<std::byte> ReleaseFrame(const std::vector<std::uint64_t>& leases);
std::vector<std::byte> ShareFrame(std::uint64_t cookie, hlbuf_wire_opcode opcode,
                                  std::uint64_t buffer, std::uint32_t kind, std::uint32_t grantee);
std::vector<std::byte> DevicesFrame(std::uint64_t cookie);
std::vector<std::byte> PongFrame(std::uint64_t nonce);

class RawClient {
 public:
  static constexpr int kDeadlineMs = 20'000;

  RawClient() = default;
  explicit RawClient(UniqueFd socket) : socket_(std::move(socket)) {}
  // Not connected: bool() is false, and errno says why.
  static RawClient Connect(const std::string& path);
  // Connected, and greeted.
  static RawClient Greeted(const std::string& path);

  explicit operator bool() const { return static_cast<bool>(socket_); }
  int fd() const { return socket_.get(); }
  void Close() { socket_.Reset(); }

  // 0, or errno of sendmsg().
  int Send(std::vector<std::byte> frame, const std::vector<int>& fds = {}, int flags = 0);
  // The next packet; nullopt at end of file (or after the deadline, which is a failure of the
  // test).
  std::optional<Packet> Receive();
  // The next packet that is not a notice.
  std::optional<Packet> ReceiveAnswer();
  // Sends, and receives the answer.
  std::optional<Packet> Ask(const std::vector<std::byte>& frame);
  // Reads until end of file; the last packet's opcode before it, 0 if there was none.
  std::uint16_t DrainToEnd();
  // Whether a packet (or end of file) arrives within `ms`.
  bool Readable(int ms) const;

 private:
  UniqueFd socket_;
};

}  // namespace hlbuf

#endif  // HLBUF_TESTS_SUPPORT_RAW_CLIENT_H_
