// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_CORE_REATTACHMENT_H_
#define HLBUF_DAEMON_CORE_REATTACHMENT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "daemon/core/ids.h"
#include "daemon/core/records.h"

namespace hlbuf {

// A client that had a session when an earlier process of this service ended, and wants it back.
// Complete: a lease that it does not name is over, unless one of `unanswered` made it.
struct Reattachment {
  SessionId session;
  SessionSecret secret;
  std::vector<LeaseId> held;
  std::vector<std::uint64_t> unanswered;  // cookies of requests that it will repeat
};

// What it gets.
struct Reattached {
  SessionRecord* session = nullptr;  // with its old id; that of the new connection is forgotten
  // Of the leases that it named: what it is told by a REVOKE, since they are over. The others are
  // as they were; those that are asked back it is told of again.
  std::vector<RevokedLease> ended;
  std::string why;  // the first of them ended, in words
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_CORE_REATTACHMENT_H_
