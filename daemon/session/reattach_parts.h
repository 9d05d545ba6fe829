// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_SESSION_REATTACH_PARTS_H_
#define HLBUF_DAEMON_SESSION_REATTACH_PARTS_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "daemon/session/codec.h"

namespace hlbuf {

// A REATTACH, put together from its parts. What it holds is what the peer has sent, and no more
// than `leases_max` leases: with the limit of sessions that bounds what a peer makes us remember.
class ReattachParts {
 public:
  ReattachParts(std::uint64_t cookie, std::size_t leases_max)
      : cookie_(cookie), leases_max_(leases_max) {}

  // Errors: PROTOCOL_ERROR   a part of another REATTACH, or more cookies than the protocol has
  //         QUOTA_EXCEEDED   more leases than this peer can have
  absl::Status Add(std::uint64_t cookie, ReattachPart part);

  const Reattachment& asked() const { return asked_; }

 private:
  const std::uint64_t cookie_;
  const std::size_t leases_max_;
  bool begun_ = false;
  Reattachment asked_;
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_SESSION_REATTACH_PARTS_H_
