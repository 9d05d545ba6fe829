// SPDX-License-Identifier: Apache-2.0
#include "daemon/core/holder.h"

namespace hlbuf {

Holder HolderOf(const LeaseRecord& lease) {
  const SessionRecord& session = *lease.session;
  if (session.in_flight.amount() > 0) session.notices->Sweep();
  return {.session = session.id,
          .domain = session.peer.domain(),
          .pid = session.peer.pid,
          .signalled = lease.signalled,
          .unread_grant = session.in_flight.amount() > 0};
}

}  // namespace hlbuf
