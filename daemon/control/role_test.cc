// SPDX-License-Identifier: Apache-2.0
#include "daemon/control/role.h"

#include <gtest/gtest.h>

#include "daemon/core/error.h"

namespace hlbuf {
namespace {

const RoleGroups kGroups = {
    .viewer = {10}, .operators = {20, 21}, .admin = {30}, .service_uid = 800};

Peer PeerWith(uid_t uid, gid_t gid, std::vector<gid_t> groups = {}) {
  return {.uid = uid, .gid = gid, .groups = std::move(groups), .pid = 1};
}

TEST(Role, ComesWithMembershipInItsGroup) {
  EXPECT_EQ(RoleOf(PeerWith(1000, 1000), kGroups), Role::kNone);
  EXPECT_EQ(RoleOf(PeerWith(1000, 10), kGroups), Role::kViewer);
  EXPECT_EQ(RoleOf(PeerWith(1000, 1000, {7, 21}), kGroups), Role::kOperator);
  EXPECT_EQ(RoleOf(PeerWith(1000, 1000, {30}), kGroups), Role::kAdmin);
}

TEST(Role, IsTheHighestOfThoseThatThePeerHas) {
  EXPECT_EQ(RoleOf(PeerWith(1000, 10, {20, 30}), kGroups), Role::kAdmin);
  EXPECT_EQ(RoleOf(PeerWith(1000, 10, {20}), kGroups), Role::kOperator);
}

TEST(Role, OfRootAndOfTheServiceItselfIsAdmin) {
  EXPECT_EQ(RoleOf(PeerWith(0, 0), kGroups), Role::kAdmin);
  EXPECT_EQ(RoleOf(PeerWith(800, 800), kGroups), Role::kAdmin);
  EXPECT_EQ(RoleOf(PeerWith(800, 800), {}), Role::kNone);
}

TEST(Role, IsNeverFoundInsideOfAContainer) {
  for (const gid_t gid : {0, 10, 20, 30}) {
    for (const uid_t uid : {0, 800, 1000}) {
      Peer peer = PeerWith(uid, gid);
      peer.container = "c0ffee";
      EXPECT_EQ(RoleOf(peer, kGroups), Role::kNone) << "uid " << uid << ", gid " << gid;
    }
  }
}

TEST(Role, IsNotGivenToAPeerThatTheKernelDoesNotShow) {
  Peer invisible = PeerWith(0, 30);
  invisible.pid = 0;
  EXPECT_EQ(RoleOf(invisible, kGroups), Role::kNone);
  EXPECT_EQ(RoleOf(PeerWith(kNobodyUid, 30), kGroups), Role::kNone);
  EXPECT_EQ(RoleOf(PeerWith(static_cast<uid_t>(-1), 30), kGroups), Role::kNone);
}

TEST(Role, AllowsWhatALowerOneAllows) {
  const Caller caller = {.peer = PeerWith(1000, 20), .role = Role::kOperator};
  EXPECT_TRUE(Require(Role::kViewer, caller, "look").ok());
  EXPECT_TRUE(Require(Role::kOperator, caller, "revoke").ok());
  const absl::Status refused = Require(Role::kAdmin, caller, "stop it");
  EXPECT_EQ(ErrorCodeOf(refused), ErrorCode::kPermissionDenied);
  EXPECT_EQ(refused.message(),
            "uid 1000 has the role operator; to stop it takes admin, which comes with a group of "
            "[roles] in the configuration");
  const Caller remote = {.peer = {}, .role = Role::kViewer, .name = "certificate \"alice\""};
  EXPECT_EQ(Require(Role::kOperator, remote, "revoke").message(),
            "certificate \"alice\" has the role viewer; to revoke takes operator, which comes with "
            "a name in [control_tcp] in the configuration");
}

}  // namespace
}  // namespace hlbuf
