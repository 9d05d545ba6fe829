// SPDX-License-Identifier: Apache-2.0
// Whether a socket lies where nobody but root and this service can put another one in its place.
#ifndef HLBUF_DAEMON_SESSION_SOCKET_PLACE_H_
#define HLBUF_DAEMON_SESSION_SOCKET_PLACE_H_

#include <sys/types.h>

#include <optional>
#include <string>

#include "absl/status/status.h"

namespace hlbuf {

// `path` is absolute, and its directory exists. Every directory on the way to it has to belong to
// root or to this process's own user, and nobody else may write to it: where the directory of the
// socket itself is concerned without exception, above it also where the sticky bit protects what is
// there. What symbolic links lead to is looked at as well.
//
// Errors: PERMISSION_DENIED, with the directory and what is wrong with it; errno.
absl::Status CheckSocketPlace(const std::string& path);

// For a socket that somebody else has bound: also that it is one, that it belongs to root or to
// this process's own user, and that nobody may connect whom `mode` and `group` (nullopt: any) do
// not let.
absl::Status CheckBoundSocket(const std::string& path, mode_t mode, std::optional<gid_t> group);

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_SESSION_SOCKET_PLACE_H_
