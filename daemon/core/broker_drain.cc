// SPDX-License-Identifier: Apache-2.0
// What operators ask of the broker before maintenance, and after a job.
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "daemon/base/status_macros.h"
#include "daemon/core/broker.h"
#include "daemon/core/error.h"
#include "daemon/core/names.h"

namespace hlbuf {

absl::StatusOr<Device*> Broker::FindNamed(absl::string_view name) const {
  if (Device* device = FindDevice(name); device != nullptr) return device;
  return Error(ErrorCode::kNotFound, absl::StrCat("there is no device '", Printable(name),
                                                  "'; ListDevices shows those that are"));
}

absl::Status Broker::DrainDevice(absl::string_view name, DrainRequest request,
                                 Emptying::Done done) {
  if (ledger_.suspended) return Stopping();
  ASSIGN_OR_RETURN(Device * device, FindNamed(name));
  resets_.Drain(*device, std::move(request.by));
  if (request.grace.has_value())
    revocations_.Begin(ledger_.HeldOf(*device), RevokeReason::kOperator, *request.grace,
                       [](const RevocationReport&) {});
  emptying_.Wait(*device, request.patience, std::move(request.wanted), std::move(done));
  return absl::OkStatus();
}

absl::Status Broker::UndrainDevice(absl::string_view name) {
  if (ledger_.suspended) return Stopping();
  ASSIGN_OR_RETURN(Device * device, FindNamed(name));
  resets_.Undrain(*device);
  emptying_.EndAll(*device);
  return absl::OkStatus();
}

absl::StatusOr<RevocationId> Broker::RevokeHoldings(Whose whose, absl::Duration grace,
                                                    Revocations::Done done) {
  if (whose.kind == Whose::Kind::kJob && whose.id == 0)
    return Error(ErrorCode::kInvalidArgument,
                 "job is 0, which no job has: everything outside of jobs would be asked back");
  if (ledger_.suspended) return Stopping();
  std::vector<BufferRecord*> buffers;
  for (const auto& [id, buffer] : ledger_.registry.in_order()) {
    if (!whose.Owns(*buffer)) continue;
    if (buffer->is_out())
      buffers.push_back(buffer);
    else if (buffer->state == BufferState::kAllocating)
      buffer->revoked = RevokeReason::kOperator;
  }
  std::vector<LeaseRecord*> alone;
  for (const auto& [id, session] : ledger_.sessions)
    if (whose.Is(session->peer))
      for (LeaseRecord* lease : session->leases)
        if (!whose.Owns(*lease->buffer)) alone.push_back(lease);
  waiting_.RefuseOf(
      [&whose](const SessionRecord& session) { return whose.Is(session.peer); },
      Error(ErrorCode::kRevoked,
            "an operator asked back what this user or job holds, while it waited; ask "
            "an operator before you allocate again"));
  return revocations_.Begin(buffers, alone, RevokeReason::kOperator, grace, std::move(done));
}

absl::StatusOr<ResetPlan> Broker::PlanReset(absl::string_view name) {
  ASSIGN_OR_RETURN(const Device* device, FindNamed(name));
  // Each calls back, so that nothing is walked meanwhile.
  std::vector<SessionId> unread;
  for (const auto& [id, session] : ledger_.sessions)
    if (session->in_flight.amount() > 0) unread.push_back(id);
  for (const SessionId id : unread)
    if (const auto it = ledger_.sessions.find(id); it != ledger_.sessions.end())
      it->second->notices->Sweep();
  return hlbuf::PlanReset(ledger_, *device, settings_.reset_grace);
}

}  // namespace hlbuf
