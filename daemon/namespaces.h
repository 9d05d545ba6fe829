// SPDX-License-Identifier: Apache-2.0
// Whether this process sees users and processes as its host does.
#ifndef HLBUF_DAEMON_NAMESPACES_H_
#define HLBUF_DAEMON_NAMESPACES_H_

#include "absl/strings/string_view.h"

namespace hlbuf {

// Whether the text of a /proc/PID/uid_map or gid_map, which user_namespaces(7) describes, leaves no
// id out. Users that it leaves out all show as nobody.
bool MapsAllIds(absl::string_view map);

// The same of this process, for users and groups; false where /proc does not tell.
bool MapsAllIdsHere();

// Whether this process is in another namespace of processes than the first one there was: those
// outside of it show as pid 0.
bool InOwnPidNamespace();

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_NAMESPACES_H_
