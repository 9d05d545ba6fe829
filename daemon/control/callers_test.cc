// SPDX-License-Identifier: Apache-2.0
#include "daemon/control/callers.h"

#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "daemon/control/visibility.h"
#include "daemon/core/error.h"

namespace hlbuf {
namespace {

struct CallersTest : testing::Test {
  std::unique_ptr<EventLoop> loop = *EventLoop::Create();
  ControlConnections connections{*loop, {.begin = 500, .end = 600}, {.uid = 1, .all = 1}};
  Callers callers{connections};
  const Asker alice = {.grpc_peer = "ipv4:192.0.2.7:40000",
                       .certificate = Certificate{.common_name = "alice"}};
};

TEST_F(CallersTest, NameTheCertificateAndWhereItIsUsed) {
  callers.SetCertificateRoles({.operators = {"alice"}});
  const absl::StatusOr<Caller> caller = callers.Find(alice);
  ASSERT_TRUE(caller.ok()) << caller.status();
  EXPECT_EQ(caller->role, Role::kOperator);
  EXPECT_EQ(CallerText(*caller), "certificate \"alice\" at 192.0.2.7:40000");
  EXPECT_EQ(CallerText(*callers.Find(
                {.grpc_peer = "ipv6:%5B2001:db8::7%5D:40000", .certificate = alice.certificate})),
            "certificate \"alice\" at [2001:db8::7]:40000");
}

TEST_F(CallersTest, AreNobodyWithoutACertificate) {
  callers.SetCertificateRoles({});
  for (const char* peer : {"ipv4:192.0.2.7:40000", "fd:500", "unix:", ""})
    EXPECT_TRUE(absl::IsUnauthenticated(
        callers.Find({.grpc_peer = peer, .certificate = std::nullopt}).status()))
        << peer;
}

TEST_F(CallersTest, AreRefusedWithoutARole) {
  EXPECT_EQ(ErrorCodeOf(callers.Find(alice).status()), ErrorCode::kPermissionDenied)
      << "nothing was configured";
  callers.SetCertificateRoles({.viewer = {"bob"}});
  const absl::Status refused = callers.Find(alice).status();
  EXPECT_EQ(ErrorCodeOf(refused), ErrorCode::kPermissionDenied);
  EXPECT_TRUE(absl::StrContains(refused.message(), "certificate \"alice\" has no role here"));
}

TEST_F(CallersTest, HaveNoDomainOverTcp) {
  callers.SetCertificateRoles({});
  Caller caller = *callers.Find(alice);
  EXPECT_FALSE(caller.peer.known());
  EXPECT_TRUE(MaySeeDevices(caller));
  // Whoever is nobody to this kernel, too.
  const Event nobodys = {.kind = EventKind::kRequestRefused, .domain = caller.peer.domain()};
  EXPECT_TRUE(MaySee(caller, nobodys));
  caller.role = Role::kNone;
  EXPECT_FALSE(MaySee(caller, nobodys));
  EXPECT_FALSE(MaySeeDevices(caller));
}

}  // namespace
}  // namespace hlbuf
