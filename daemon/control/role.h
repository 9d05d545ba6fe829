// SPDX-License-Identifier: Apache-2.0
// Who asks at the control socket, and what that lets it do.
#ifndef HLBUF_DAEMON_CONTROL_ROLE_H_
#define HLBUF_DAEMON_CONTROL_ROLE_H_

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "daemon/core/peer.h"

namespace hlbuf {

// Each may do what those before it may. control.proto says what that is.
enum class Role : std::uint8_t { kNone, kViewer, kOperator, kAdmin };
absl::string_view RoleText(Role role);

// Whose members have which role.
struct RoleGroups {
  std::vector<gid_t> viewer;
  std::vector<gid_t> operators;
  std::vector<gid_t> admin;
  std::optional<uid_t> service_uid;  // that the daemon runs as; admin, like uid 0
};

// The highest role that the peer has; none inside of containers, which choose their uids and gids
// themselves, and none for a peer that is not known().
Role RoleOf(const Peer& peer, const RoleGroups& groups);

// Who is behind a control connection: a process of this machine, as it was when it connected, or,
// over TCP, nobody whom this kernel knows, with a name.
struct Caller {
  Peer peer;
  Role role = Role::kNone;
  std::string name = {};  // over TCP: `certificate "alice"`; empty for processes
  std::string from = {};  // over TCP: its address

  bool is_remote() const { return !name.empty(); }
};

// "uid 1000, pid 4711", or `certificate "alice" at 192.0.2.7:40000`, for messages.
std::string CallerText(const Caller& caller);

// PERMISSION_DENIED unless the caller's role is at least `needed`; `what` is what it wanted.
absl::Status Require(Role needed, const Caller& caller, absl::string_view what);

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_CONTROL_ROLE_H_
