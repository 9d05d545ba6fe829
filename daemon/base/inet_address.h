// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_BASE_INET_ADDRESS_H_
#define HLBUF_DAEMON_BASE_INET_ADDRESS_H_

#include <sys/socket.h>

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace hlbuf {

// An address of an internet protocol and a port. Names are nobody's here: to look one up may take a
// network, and for ever.
class InetAddress {
 public:
  // "192.0.2.7:9443", or "[2001:db8::7]:9443". nullopt: something else.
  static std::optional<InetAddress> Parse(absl::string_view text);
  // Of a socket, and of the other end of one. nullopt: it has none.
  static std::optional<InetAddress> Of(int socket);
  static std::optional<InetAddress> OfPeer(int socket);

  // As for Parse().
  std::string Text() const;
  // Without the port, and of IPv6 the first 64 bits, which is what one machine may have for itself:
  // "192.0.2.7", "2001:db8::/64".
  std::string Network() const;

  int family() const { return address_.ss_family; }
  std::uint16_t port() const;
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&address_); }
  socklen_t size() const { return size_; }

  friend bool operator==(const InetAddress& a, const InetAddress& b) {
    return a.Text() == b.Text();
  }

 private:
  InetAddress() = default;
  static std::optional<InetAddress> Named(int socket, int (*name)(int, sockaddr*, socklen_t*));

  sockaddr_storage address_ = {};
  socklen_t size_ = 0;
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_BASE_INET_ADDRESS_H_
