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
  bool unread_grant = false;  // it has not taken what it was sent; stopped, only its end frees that
};

// As of now.
Holder HolderOf(const LeaseRecord& lease);

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_CORE_HOLDER_H_
