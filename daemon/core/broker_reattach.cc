// SPDX-License-Identifier: Apache-2.0
// Sessions that come back after a restart of the service.
#include "absl/strings/str_cat.h"
#include "daemon/core/broker.h"
#include "daemon/core/error.h"

namespace hlbuf {

absl::StatusOr<Reattached> Broker::Reattach(SessionRecord& /*fresh*/, const Reattachment& asked) {
  return Error(ErrorCode::kNotFound,
               absl::StrCat("there is no session ", IdText(asked.session),
                            " that waits for its client; allocate or open again"));
}

std::optional<LeaseId> Broker::AllocatedBefore(const SessionRecord& session,
                                               std::uint64_t cookie) const {
  for (const LeaseRecord* lease : session.leases)
    if (lease->buffer->allocated_by == AllocatedBy{.session = session.id, .cookie = cookie} &&
        lease->state == LeaseState::kActive)
      return lease->id;
  return std::nullopt;
}

}  // namespace hlbuf
