// SPDX-License-Identifier: Apache-2.0
// A client that had its session when an earlier process of this service ended.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "daemon/base/crash_point.h"
#include "daemon/base/status_macros.h"
#include "daemon/core/error.h"
#include "daemon/session/random_secret.h"
#include "daemon/session/session.h"

namespace hlbuf {
namespace {

// The least of the limits that leases count against.
std::uint64_t LeasesMax(const QuotaLimits& limits) {
  constexpr auto kLeases = static_cast<std::size_t>(Resource::kLeases);
  return std::min({limits.domain[kLeases], limits.uid[kLeases], limits.service[kLeases]});
}

}  // namespace

// A limit that was lowered since must not cost a session what it has. Whether it is this peer's is
// not known yet, and does not matter for that.
std::uint64_t Session::ReattachedLeasesMax(SessionId asked) const {
  const std::uint64_t least = LeasesMax(context_.broker.settings().limits);
  const auto& sessions = context_.broker.ledger().sessions;
  const auto it = sessions.find(asked);
  return it == sessions.end() ? least : std::max<std::uint64_t>(least, it->second->leases.size());
}

absl::Status Session::HandleReattach(std::uint64_t cookie, Frame frame) {
  if (record_->state != SessionState::kNew)
    return Error(ErrorCode::kProtocolError, "REATTACH came after another request");
  ASSIGN_OR_RETURN(ReattachPart part, DecodeReattach(frame));
  RETURN_IF_ERROR(CheckVersion(part.hello.version));
  if (parts_ == nullptr)
    parts_ = std::make_unique<ReattachParts>(cookie, ReattachedLeasesMax(part.asked.session));
  const bool more = part.more;
  wants_page_ = (part.hello.features & HLBUF_WIRE_FEATURE_EPOCH_PAGE) != 0;
  absl::Status added = parts_->Add(cookie, std::move(part));
  if (!added.ok() && ErrorCodeOf(added) == ErrorCode::kQuotaExceeded)
    return RefuseReattach(cookie, added);
  if (!added.ok() || more) return added;
  return Reattach(cookie, std::exchange(parts_, nullptr)->asked());
}

// A guess costs its session.
absl::Status Session::RefuseReattach(std::uint64_t cookie, const absl::Status& why) {
  parts_ = nullptr;
  outbox_.Clear();
  Answer(cookie, why);
  Goodbye(HLBUF_WIRE_GOODBYE_REATTACH, why.message());
  return absl::OkStatus();
}

absl::Status Session::Reattach(std::uint64_t cookie, const Reattachment& asked) {
  record_->secret = RandomSecret();
  reattaching_ = true;
  CrashPoint("before-reattach");
  const absl::StatusOr<Reattached> back = context_.broker.Reattach(*record_, asked);
  CrashPoint("after-reattach");
  reattaching_ = false;
  if (!back.ok()) return RefuseReattach(cookie, back.status());
  record_ = back->session;
  repeats_.insert(asked.unanswered.begin(), asked.unanswered.end());
  // What the broker had to tell meanwhile waits behind the answer.
  outbox_.PushFront(PendingWelcome{.cookie = cookie, .opcode = HLBUF_WIRE_REATTACHED});
  const absl::Span<const RevokedLease> ended = back->ended;
  for (std::size_t at = 0; at < ended.size(); at += HLBUF_WIRE_LEASES_MAX)
    outbox_.PushFrame(context_.out.Revoke(RevokeReason::kLost, absl::UnixEpoch(),
                                          ended.subspan(at, HLBUF_WIRE_LEASES_MAX)));
  // It may have missed what became of them.
  for (const auto& device : context_.broker.devices())
    outbox_.PushDevice(device->name(),
                       context_.out.Device(device->name(), device->state(), device->epoch()));
  Pump();
  CrashPoint("after-reattached");
  return absl::OkStatus();
}

// The lease of a request that comes for the second time, if the first time was served.
std::optional<LeaseId> Session::AllocatedBefore(std::uint64_t cookie) {
  if (repeats_.erase(cookie) == 0) return std::nullopt;
  return context_.broker.AllocatedBefore(*record_, cookie);
}

}  // namespace hlbuf
