// SPDX-License-Identifier: Apache-2.0
#include "daemon/core/observer.h"

#include <array>

namespace hlbuf {

absl::string_view RevokeReasonText(RevokeReason reason) {
  switch (reason) {
    case RevokeReason::kReset:
      return "device reset";
    case RevokeReason::kOperator:
      return "asked back by an operator";
    case RevokeReason::kUnshared:
      return "no longer shared";
    case RevokeReason::kLost:
      return "ended while the service was away";
  }
  return "unknown";
}

absl::string_view ForceText(Force force) {
  static constexpr std::array<absl::string_view, 3> kNames = {"no signal", "SIGTERM", "SIGKILL"};
  return kNames[static_cast<std::size_t>(force)];
}

absl::string_view VerdictText(Verdict::Kind kind) {
  static constexpr std::array<absl::string_view, 3> kNames = {"PROVEN", "ACKNOWLEDGED", "HELD"};
  return kNames[static_cast<std::size_t>(kind)];
}

absl::string_view EventKindText(EventKind kind) {
  static constexpr std::array<absl::string_view, kEventKindCount> kNames = {
      "DEVICE_STATE",     "BUFFER_ALLOCATED",
      "BUFFER_FREED",     "LEASE_GRANTED",
      "LEASE_ENDED",      "REVOCATION_BEGAN",
      "BUFFER_VERDICT",   "REVOCATION_ENDED",
      "SESSION_BEGAN",    "SESSION_ENDED",
      "REQUEST_REFUSED",  "PROTOCOL_BROKEN",
      "PING_UNANSWERED",  "REFERENCES_OUTLIVE_LEASES",
      "OPERATOR_REQUEST", "HOLDERS_FOUND",
      "HOLDER_SIGNALLED", "OPENER_LOST",
      "STATE_LOST",       "BUFFERS_LOST",
      "LEASES_LOST",      "HANDLES_LOST",
      "JOURNAL_FAILED",   "STATE_UNKEPT",
      "KEEPER_LOST"};
  return kNames[static_cast<std::size_t>(kind)];
}

bool IsLoss(EventKind kind) {
  switch (kind) {
    case EventKind::kOpenerLost:
    case EventKind::kStateLost:
    case EventKind::kBuffersLost:
    case EventKind::kLeasesLost:
    case EventKind::kHandlesLost:
    case EventKind::kKeeperLost:
      return true;
    default:
      return false;
  }
}

bool IsRisk(EventKind kind) {
  return kind == EventKind::kJournalFailed || kind == EventKind::kStateUnkept;
}

}  // namespace hlbuf
