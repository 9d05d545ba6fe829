// SPDX-License-Identifier: Apache-2.0
#include "daemon/base/inet_address.h"

#include <gtest/gtest.h>

#include "proto/wire/unique_fd.h"

namespace hlbuf {
namespace {

std::string NetworkOf(absl::string_view text) {
  const std::optional<InetAddress> address = InetAddress::Parse(text);
  return address.has_value() ? address->Network() : "none";
}

TEST(InetAddress, IsReadAndWrittenTheSameWay) {
  for (const char* text : {"127.0.0.1:9443", "0.0.0.0:0", "[::1]:9443", "[2001:db8::7]:65535"}) {
    const std::optional<InetAddress> address = InetAddress::Parse(text);
    ASSERT_TRUE(address.has_value()) << text;
    EXPECT_EQ(address->Text(), text);
  }
  EXPECT_EQ(InetAddress::Parse("[::1]:9443")->port(), 9443);
  EXPECT_EQ(InetAddress::Parse("[::1]:9443")->family(), AF_INET6);
}

TEST(InetAddress, IsNoNameAndNothingWithoutAPort) {
  for (const char* text : {"", ":", ":9443", "localhost:9443", "127.0.0.1", "127.0.0.1:",
                           "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:+1", "127.0.0.1: 1",
                           "127.1:1", "::1:9443", "[::1]", "[::1:1", "[127.0.0.1]:1", "[::1%lo]:1"})
    EXPECT_FALSE(InetAddress::Parse(text).has_value()) << text;
}

TEST(InetAddress, CountsTheWholeOfAMachinesAddressesAsOne) {
  EXPECT_EQ(NetworkOf("192.0.2.7:1"), NetworkOf("192.0.2.7:2"));
  EXPECT_NE(NetworkOf("192.0.2.7:1"), NetworkOf("192.0.2.8:1"));
  EXPECT_EQ(NetworkOf("[2001:db8::7]:1"), NetworkOf("[2001:db8::ffff:ffff]:2"));
  EXPECT_EQ(NetworkOf("[2001:db8::7]:1"), "2001:db8::/64");
  EXPECT_NE(NetworkOf("[2001:db8::7]:1"), NetworkOf("[2001:db8:0:1::7]:1"));
}

TEST(InetAddress, IsTheSameThroughASocketOfBothProtocols) {
  EXPECT_EQ(NetworkOf("[::ffff:192.0.2.7]:1"), "192.0.2.7");
}

TEST(InetAddress, IsNotThereForASocketOfAnotherKind) {
  const UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT_FALSE(InetAddress::Of(socket.get()).has_value());
  EXPECT_FALSE(InetAddress::OfPeer(socket.get()).has_value());
}

}  // namespace
}  // namespace hlbuf
