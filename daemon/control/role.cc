// SPDX-License-Identifier: Apache-2.0
#include "daemon/control/role.h"

#include <algorithm>
#include <array>
#include <string>

#include "absl/strings/str_cat.h"
#include "daemon/core/error.h"

namespace hlbuf {
namespace {

bool IsMember(const Peer& peer, const std::vector<gid_t>& groups) {
  return std::any_of(groups.begin(), groups.end(),
                     [&peer](gid_t group) { return peer.InGroup(group); });
}

}  // namespace

absl::string_view RoleText(Role role) {
  static constexpr std::array<absl::string_view, 4> kNames = {"none", "viewer", "operator",
                                                              "admin"};
  return kNames[static_cast<std::size_t>(role)];
}

Role RoleOf(const Peer& peer, const RoleGroups& groups) {
  if (!peer.known() || !peer.container.empty()) return Role::kNone;
  if (peer.uid == 0 || peer.uid == groups.service_uid || IsMember(peer, groups.admin))
    return Role::kAdmin;
  if (IsMember(peer, groups.operators)) return Role::kOperator;
  return IsMember(peer, groups.viewer) ? Role::kViewer : Role::kNone;
}

std::string CallerText(const Caller& caller) {
  if (caller.is_remote()) return absl::StrCat(caller.name, " at ", caller.from);
  return absl::StrCat(caller.peer.domain().Text(), ", pid ", caller.peer.pid);
}

absl::Status Require(Role needed, const Caller& caller, absl::string_view what) {
  if (caller.role >= needed) return absl::OkStatus();
  return Error(
      ErrorCode::kPermissionDenied,
      absl::StrCat(caller.is_remote() ? caller.name : caller.peer.domain().Text(), " has the role ",
                   RoleText(caller.role), "; to ", what, " takes ", RoleText(needed),
                   ", which comes with ",
                   caller.is_remote() ? "a name in [control_tcp]" : "a group of [roles]",
                   " in the configuration",
                   caller.peer.container.empty() ? "" : ", and never inside of a container"));
}

}  // namespace hlbuf
