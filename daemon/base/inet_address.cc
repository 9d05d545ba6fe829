// SPDX-License-Identifier: Apache-2.0
#include "daemon/base/inet_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace hlbuf {
namespace {

constexpr std::size_t kNetworkBytes = 8;  // of an IPv6 address

const sockaddr_in& As4(const sockaddr_storage& address) {
  return reinterpret_cast<const sockaddr_in&>(address);
}
const sockaddr_in6& As6(const sockaddr_storage& address) {
  return reinterpret_cast<const sockaddr_in6&>(address);
}

std::string HostText(int family, const void* host) {
  char text[INET6_ADDRSTRLEN] = {};
  // The family is known and there is room for the longest.
  static_cast<void>(::inet_ntop(family, host, text, sizeof(text)));
  return text;
}

// Digits alone, and no more than 65535.
std::optional<std::uint16_t> ParsePort(absl::string_view text) {
  std::uint32_t port = 0;
  const bool digits =
      std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
  if (!digits || !absl::SimpleAtoi(text, &port) || port > UINT16_MAX) return std::nullopt;
  return static_cast<std::uint16_t>(port);
}

}  // namespace

std::optional<InetAddress> InetAddress::Parse(absl::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == absl::string_view::npos) return std::nullopt;
  const std::optional<std::uint16_t> port = ParsePort(text.substr(colon + 1));
  absl::string_view host = text.substr(0, colon);
  if (!port.has_value()) return std::nullopt;
  InetAddress parsed;
  if (absl::ConsumePrefix(&host, "[") && absl::ConsumeSuffix(&host, "]")) {
    sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons(*port)};
    if (::inet_pton(AF_INET6, std::string(host).c_str(), &address.sin6_addr) != 1)
      return std::nullopt;
    std::memcpy(&parsed.address_, &address, parsed.size_ = sizeof(address));
    return parsed;
  }
  sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(*port)};
  if (::inet_pton(AF_INET, std::string(host).c_str(), &address.sin_addr) != 1) return std::nullopt;
  std::memcpy(&parsed.address_, &address, parsed.size_ = sizeof(address));
  return parsed;
}

std::optional<InetAddress> InetAddress::Named(int socket, int (*name)(int, sockaddr*, socklen_t*)) {
  InetAddress named;
  named.size_ = sizeof(named.address_);
  if (name(socket, reinterpret_cast<sockaddr*>(&named.address_), &named.size_) != 0 ||
      (named.family() != AF_INET && named.family() != AF_INET6))
    return std::nullopt;
  return named;
}

std::optional<InetAddress> InetAddress::Of(int socket) { return Named(socket, ::getsockname); }
std::optional<InetAddress> InetAddress::OfPeer(int socket) { return Named(socket, ::getpeername); }

std::uint16_t InetAddress::port() const {
  return ntohs(family() == AF_INET6 ? As6(address_).sin6_port : As4(address_).sin_port);
}

std::string InetAddress::Text() const {
  if (family() == AF_INET)
    return absl::StrCat(HostText(AF_INET, &As4(address_).sin_addr), ":", port());
  return absl::StrCat("[", HostText(AF_INET6, &As6(address_).sin6_addr), "]:", port());
}

std::string InetAddress::Network() const {
  if (family() == AF_INET) return HostText(AF_INET, &As4(address_).sin_addr);
  in6_addr host = As6(address_).sin6_addr;
  // What a socket of both protocols shows of IPv4.
  if (IN6_IS_ADDR_V4MAPPED(&host)) return HostText(AF_INET, &host.s6_addr[12]);
  std::fill(std::begin(host.s6_addr) + kNetworkBytes, std::end(host.s6_addr), std::uint8_t{0});
  return absl::StrCat(HostText(AF_INET6, &host), "/64");
}

}  // namespace hlbuf
