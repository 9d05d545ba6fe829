// SPDX-License-Identifier: Apache-2.0
#include "daemon/listen_tcp.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace hlbuf {
namespace {

TEST(ListenTcp, TakesAnyPortAndTellsWhich) {
  const absl::StatusOr<UniqueFd> socket = ListenTcp(*InetAddress::Parse("127.0.0.1:0"));
  ASSERT_TRUE(socket.ok()) << socket.status();
  EXPECT_NE(InetAddress::Of(socket->get())->port(), 0);
  EXPECT_NE(::fcntl(socket->get(), F_GETFL) & O_NONBLOCK, 0);
  EXPECT_NE(::fcntl(socket->get(), F_GETFD) & FD_CLOEXEC, 0);
}

TEST(ListenTcp, SaysThatThePortIsTaken) {
  const absl::StatusOr<UniqueFd> first = ListenTcp(*InetAddress::Parse("127.0.0.1:0"));
  ASSERT_TRUE(first.ok()) << first.status();
  const InetAddress taken = *InetAddress::Of(first->get());
  const absl::Status refused = ListenTcp(taken).status();
  EXPECT_EQ(refused.message(),
            absl::StrCat("cannot listen at ", taken.Text(),
                         ": Address already in use; somebody listens there already: choose another "
                         "port"));
}

TEST(ListenTcp, SaysThatTheMachineHasNoSuchAddress) {
  const absl::Status refused = ListenTcp(*InetAddress::Parse("192.0.2.7:0")).status();
  EXPECT_TRUE(absl::StrContains(refused.message(), "this machine has no such address")) << refused;
}

}  // namespace
}  // namespace hlbuf
