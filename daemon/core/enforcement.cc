// SPDX-License-Identifier: Apache-2.0
#include "daemon/core/enforcement.h"

#include <cstddef>
#include <utility>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace hlbuf {
namespace {

// One session's leases.
using Held = std::vector<LeaseRecord*>;

std::string BuffersText(const Held& held) {
  absl::flat_hash_set<BufferId> buffers;
  for (const LeaseRecord* lease : held) buffers.insert(lease->buffer->id);
  return absl::StrCat(buffers.size(), buffers.size() == 1 ? " buffer" : " buffers");
}

}  // namespace

bool Enforcement::Allows(Force force, RevokeReason reason) const {
  const Force most = reason == RevokeReason::kReset      ? settings_.resets
                     : reason == RevokeReason::kOperator ? settings_.revocations
                                                         : Force::kNone;
  return most >= force;
}

std::vector<Enforcement::Step> Enforcement::Plan(RevokeReason reason, absl::Duration grace,
                                                 absl::Duration left) const {
  std::vector<Step> steps;
  if (grace < kLeastGrace || left <= absl::ZeroDuration()) return steps;
  if (Allows(Force::kTerminate, reason))
    steps.push_back({.force = Force::kTerminate, .after = left * kTerminateAfter / kParts});
  if (Allows(Force::kKill, reason))
    steps.push_back({.force = Force::kKill, .after = left * kKillAfter / kParts});
  return steps;
}

void Enforcement::Send(Force force, RevocationId revocation, absl::Time began,
                       absl::Span<LeaseRecord* const> leases) {
  absl::btree_map<SessionId, Held> holders;
  for (LeaseRecord* lease : leases)
    if (lease->told && lease->signalled < force) holders[lease->session->id].push_back(lease);
  const std::string since =
      absl::FormatDuration(absl::Trunc(ledger_.clock.Now() - began, absl::Milliseconds(1)));
  absl::flat_hash_set<pid_t> reached;
  for (const auto& [id, held] : holders) {
    const SessionRecord& session = *held.front()->session;
    const bool again = reached.contains(session.peer.pid);
    const absl::Status sent = again ? absl::OkStatus() : session.notices->Signal(force);
    if (absl::IsNotFound(sent)) continue;  // it has exited; its session ends any moment
    if (!sent.ok()) {
      TellSent(session, revocation, absl::StrCat(kNotSent, ForceText(force), ": ", sent.message()));
      continue;
    }
    for (LeaseRecord* lease : held) {
      lease->signalled = force;
      ledger_.recorder.Write(*lease);
    }
    reached.insert(session.peer.pid);
    TellSent(session, revocation,
             absl::StrCat(ForceText(force),
                          again ? " sent to the process of this session too: " : " sent: ", since,
                          " after the notice it still holds ", BuffersText(held)));
  }
}

void Enforcement::TellSent(const SessionRecord& session, RevocationId revocation,
                           std::string text) {
  ledger_.Tell({.kind = EventKind::kHolderSignalled,
                .session = session.id,
                .revocation = revocation,
                .domain = session.peer.domain(),
                .pid = session.peer.pid,
                .text = std::move(text)});
}

}  // namespace hlbuf
