// SPDX-License-Identifier: Apache-2.0
// The service is killed, and goes on: what its model keeps of that, and how it happens.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "daemon/core/kept.h"
#include "tests/model/history.h"

namespace hlbuf::model {
namespace {

bool IsKnown(const Peer& peer) { return peer.uid != 65534 && peer.pid != 0; }

}  // namespace

std::size_t Model::Restart(const std::map<std::string, ino_t>& last_inodes) {
  std::size_t unheard = 0;
  for (auto& [id, revocation] : revocations)
    if (!std::exchange(revocation.unheard, true)) ++unheard;
  fates_.clear();
  std::erase_if(sessions, [](const auto& entry) {
    return entry.second.parked || !IsKnown(entry.second.peer);
  });
  for (auto& [id, session] : sessions) session.in_flight = 0;
  // Nobody ever saw them.
  std::erase_if(buffers, [](const auto& entry) {
    return entry.second.state == BufferState::kAllocating || entry.second.ungranted;
  });
  for (auto& [name, device] : devices) {
    device.jobs.clear();
    device.last_inode = last_inodes.at(name);
    device.alarms_asked.clear();
    Opened(device, true);
  }
  for (auto& [id, buffer] : buffers)
    if (buffer.returned)
      devices.at(buffer.device)
          .jobs.push_back(
              {.call = "free " + std::to_string(buffer.inode), .buffer = id, .step = step_});
  KeepRevocations();
  TellAgain();
  return unheard;
}

void Model::KeepRevocations() {
  for (auto& [id, lease] : leases) {
    const bool with_its_buffer =
        std::any_of(revocations.begin(), revocations.end(), [&lease = lease](const auto& entry) {
          return entry.second.waiting.contains(lease.buffer) && entry.second.deadline == lease.due;
        });
    if (!with_its_buffer) continue;
    lease.overdue_at.reset();
    if (lease.state == LeaseState::kRevoking)
      lease.due = std::max(*lease.due, now_ + absl::Seconds(2));
  }
  for (const auto& [id, buffer] : buffers) {
    std::size_t kept = 0;
    for (auto each = revocations.rbegin(); each != revocations.rend(); ++each)
      if (each->second.waiting.contains(id) && ++kept > KeptBuffer::kRevocationsMax)
        each->second.waiting.erase(id);
  }
  for (auto& [id, revocation] : revocations) {
    revocation.deadline = std::max(revocation.deadline, now_ + absl::Seconds(2));
    revocation.expired = false;
    revocation.uncounted_at = absl::InfiniteFuture();
  }
  EndRevocations();
}

// Of everything that is asked back: who has come back knows nothing of what was lost on its way.
void Model::TellAgain() {
  using Batch = std::pair<absl::Time, RevokeReason>;
  std::map<SessionId, std::map<Batch, std::set<LeaseId>>> batches;
  for (const auto& [id, lease] : leases) {
    if (lease.state == LeaseState::kActive) continue;
    const RevokeReason reason = buffers.at(lease.buffer).revoked.value_or(RevokeReason::kUnshared);
    batches[lease.session][{*lease.due, reason}].insert(id);
  }
  for (const auto& [session, of_it] : batches)
    for (const auto& [batch, asked_back] : of_it)
      sessions.at(session).told.push_back({batch.second, batch.first, asked_back});
}

// The process is killed, and the next one goes on. Resets that are interrupted have tests of their
// own.
void History::Restart(Step step) {
  for (const auto& [name, device] : model_.devices)
    if (device.state != DeviceState::kReady) return;
  Log("the service is killed");
  std::map<std::string, ino_t> last_inodes;
  for (const auto& [name, device] : model_.devices)
    last_inodes[name] = DeviceNamed(name).last_inode();
  rig_.Restart();
  if (step.a() % 2 == 0) Reattach();
  for (FakeBackend* device : rig_.devices) {
    device->Work();
    device->Deliver();
  }
  if (step.a() % 2 != 0) Reattach();
  revocations_begun_ -= model_.Restart(last_inodes);
  rig_.broker.RunDeadlines();
  model_.TimeIs(rig_.clock.Now());
}

void History::Reattach() {
  std::erase_if(clients_, [this](const auto& entry) {
    return model_.sessions.at(entry.first).parked || !entry.second->peer.known();
  });
  for (const auto& [id, client] : clients_) {
    const absl::StatusOr<Reattached> back = client->Reattach();
    Expect("OK", CodeOf(back), IdText(id) + " comes back");
    if (back.ok() && !back->ended.empty()) wrong_ = "a lease ended with the service";
  }
}

}  // namespace hlbuf::model
