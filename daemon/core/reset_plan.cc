// SPDX-License-Identifier: Apache-2.0
#include "daemon/core/reset_plan.h"

#include <algorithm>

#include "absl/container/btree_map.h"

namespace hlbuf {
namespace {

// For clients of a device that is being reset already, or is gone: its driver waits for the last
// descriptor, for minutes if it must, but every second of it is one in which nobody has the device.
constexpr absl::Duration kLateGrace = absl::Seconds(5);

struct Count {
  std::uint32_t leases = 0;
  bool overdue = false;
};
using Counts = absl::btree_map<SessionId, Count>;

ResetPlan::Party PartyOf(const SessionRecord& session, const Count& count) {
  ResetPlan::Party party = {.session = &session, .leases = count.leases};
  if (session.in_flight.amount() > 0) party.obstacles.push_back(ResetObstacle::kUnreadGrant);
  if (session.unanswered_ping_since.has_value()) party.obstacles.push_back(ResetObstacle::kSilent);
  if (count.overdue) party.obstacles.push_back(ResetObstacle::kOverdue);
  return party;
}

// Counts what somebody may hold of the device.
Counts Survey(const Ledger& ledger, const Device& device, ResetPlan& plan) {
  Counts counts;
  for (const BufferRecord* buffer : ledger.HeldOf(device)) {
    ++plan.buffers;
    plan.bytes += buffer->allocation.size_bytes;
    if (buffer->leases.empty() && buffer->references > 0) plan.unexplained.push_back(buffer);
    for (const LeaseRecord* lease : buffer->leases) {
      Count& count = counts[lease->session->id];
      ++count.leases;
      if (lease->state != LeaseState::kActive) ++plan.asked;
      count.overdue = count.overdue || lease->state == LeaseState::kOverdue;
    }
  }
  return counts;
}

bool ComesFirst(const ResetPlan::Party& a, const ResetPlan::Party& b) {
  if (a.obstacles.empty() != b.obstacles.empty()) return b.obstacles.empty();
  return a.leases > b.leases;
}

}  // namespace

absl::Duration GraceWithin(absl::Duration window, absl::Duration grace) {
  return std::min(grace, window > absl::ZeroDuration() ? window * 3 / 4 : kLateGrace);
}

ResetPlan PlanReset(const Ledger& ledger, const Device& device, absl::Duration grace) {
  ResetPlan plan;
  plan.window = device.traits().reset_window;
  plan.grace = device.traits().raises_alarms ? GraceWithin(plan.window, grace) : grace;
  const Counts counts = Survey(ledger, device, plan);
  for (const auto& [id, session] : ledger.sessions) {
    const auto count = counts.find(id);
    // A session that is over has no leases; what it has not taken may be what nobody explains.
    const bool leftover = session->state == SessionState::kParked && !plan.unexplained.empty() &&
                          session->in_flight.amount() > 0;
    if (count != counts.end())
      plan.parties.push_back(PartyOf(*session, count->second));
    else if (leftover)
      plan.parties.push_back(PartyOf(*session, {}));
  }
  for (const ResetPlan::Party& party : plan.parties) {
    plan.leases += party.leases;
    if (!party.obstacles.empty()) ++plan.obstructed;
  }
  std::stable_sort(plan.parties.begin(), plan.parties.end(), ComesFirst);
  return plan;
}

}  // namespace hlbuf
