// SPDX-License-Identifier: Apache-2.0
// What a caller may see. Devices are nobody's own: every known caller sees them, as the data plane
// shows them to every client. Of the rest, a caller without a role sees what is its own domain's;
// over TCP nobody has a domain, so that is nothing.
#ifndef HLBUF_DAEMON_CONTROL_VISIBILITY_H_
#define HLBUF_DAEMON_CONTROL_VISIBILITY_H_

#include <cstddef>

#include "daemon/control/role.h"
#include "daemon/core/lost_buffers.h"
#include "daemon/core/observer.h"
#include "daemon/core/records.h"

namespace hlbuf {

inline bool MaySeeDevices(const Caller& caller) {
  return caller.peer.known() || caller.role >= Role::kViewer;
}
inline bool MaySeeAll(const Caller& caller) { return caller.role >= Role::kViewer; }

// Its own, and those that it holds a lease of.
bool MaySee(const Caller& caller, const BufferRecord& buffer);
bool MaySee(const Caller& caller, const LostBuffer& lost);
// How many leases that question looks at, at most.
std::size_t LeasesVisited(const Caller& caller, const BufferRecord& buffer);
// Its own, and everybody's of its own buffers.
bool MaySee(const Caller& caller, const LeaseRecord& lease);
bool MaySee(const Caller& caller, const SessionRecord& session);
// Those about its own domain, and those about devices alone; HOLDERS_FOUND and what was lost take a
// role.
bool MaySee(const Caller& caller, const Event& event);

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_CONTROL_VISIBILITY_H_
