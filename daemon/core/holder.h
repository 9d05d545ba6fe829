// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_CORE_HOLDER_H_
#define HLBUF_DAEMON_CORE_HOLDER_H_

#include <sys/types.h>

#include "daemon/core/ids.h"
#include "daemon/core/observer.h"
#include "daemon/core/peer.h"
#include "daemon/core/records.h"

namespace hlbuf {

// A session that had not let go when the deadline passed.
struct Holder {
  SessionId session;
  Domain domain;
  pid_t pid = 0;
  Force signalled = Force::kNone;
};

inline Holder HolderOf(const LeaseRecord& lease) {
  return {.session = lease.session->id,
          .domain = lease.session->peer.domain(),
          .pid = lease.session->peer.pid,
          .signalled = lease.signalled};
}

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_CORE_HOLDER_H_
