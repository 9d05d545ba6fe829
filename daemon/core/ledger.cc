// SPDX-License-Identifier: Apache-2.0
#include "daemon/core/ledger.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "daemon/core/device.h"

namespace hlbuf {
namespace {

absl::string_view EndText(LeaseEvent on) {
  switch (on) {
    case LeaseEvent::kSessionEnded:
      return "its session ended";
    case LeaseEvent::kGivenUp:
      return "given up in a reset that took the memory; nobody let go of it";
    default:
      return "released";
  }
}

}  // namespace

LeaseRecord& Ledger::Grant(SessionRecord& session, BufferRecord& buffer,
                           std::optional<Grantee> share, Charge charge) {
  auto lease = std::make_unique<LeaseRecord>();
  lease->id = ids.Next<LeaseId>();
  lease->session = &session;
  lease->buffer = &buffer;
  lease->share = share;
  lease->since = clock.Now();
  lease->charge = std::move(charge);
  lease->place_in_session = static_cast<std::uint32_t>(session.leases.size());
  lease->place_in_buffer = static_cast<std::uint32_t>(buffer.leases.size());
  session.leases.push_back(lease.get());
  buffer.leases.push_back(lease.get());
  LeaseRecord& record = *lease;
  leases.insert(std::move(lease));
  recorder.Write(record);
  if (observer.wants_leases()) Tell(EventKind::kLeaseGranted, record, "");
  return record;
}

bool Ledger::AskBack(LeaseRecord& lease, absl::Time deadline) {
  if (lease.state == LeaseState::kActive)
    lease.state = Checked(Next(lease.state, LeaseEvent::kRevoke));
  else if (deadline >= lease.due)
    return false;
  lease.due = deadline;
  recorder.Write(lease);
  return true;
}

void Ledger::SetDeadline(const LeaseRecord& lease, absl::Time deadline) {
  Deadlines::Handle& timer = lease_deadlines_[lease.id];
  deadlines.Cancel(timer);
  timer = deadlines.At(deadline, [this, id = lease.id] {
    lease_deadlines_.erase(id);
    LeaseRecord& due = *FindLease(id);
    if (due.state != LeaseState::kRevoking) return;
    due.state = Checked(Next(due.state, LeaseEvent::kDeadline));
    recorder.Write(due);
    Tell(EventKind::kRevocationEnded, due, "OVERDUE: the lease was asked back and is still out");
  });
}

void Ledger::WhenEnded(const LeaseRecord& lease, RevocationId revocation, Ended then) {
  when_ended_[lease.id].insert_or_assign(revocation, std::move(then));
}

void Ledger::StopWaiting(LeaseId lease, RevocationId revocation) {
  const auto it = when_ended_.find(lease);
  if (it == when_ended_.end()) return;
  it->second.erase(revocation);
  if (it->second.empty()) when_ended_.erase(it);
}

void Ledger::End(LeaseRecord& lease, LeaseEvent on) {
  decltype(when_ended_)::node_type told;
  if (lease.state != LeaseState::kActive) {
    if (const auto asked_back = lease_deadlines_.extract(lease.id); !asked_back.empty())
      deadlines.Cancel(asked_back.mapped());
    told = when_ended_.extract(lease.id);
  }
  lease.state = Checked(Next(lease.state, on));
  // Who may have what a reset took is known until the device is open again.
  if (on != LeaseEvent::kGivenUp) recorder.Forget(lease.id);
  if (lease.session->state == SessionState::kAway) Miss(lease, on);
  if (observer.wants_leases()) Tell(EventKind::kLeaseEnded, lease, std::string(EndText(on)));
  Unlist(lease.session->leases, &LeaseRecord::place_in_session, lease);
  Unlist(lease.buffer->leases, &LeaseRecord::place_in_buffer, lease);
  const auto record = leases.extract(lease.id);  // until it has been told
  if (told.empty()) return;
  for (auto& [revocation, then] : told.mapped()) std::move(then)(lease, on);
}

void Ledger::Miss(const LeaseRecord& lease, LeaseEvent on) {
  SessionRecord& session = *lease.session;
  if (session.missed.empty())
    session.missed_why = absl::StrCat("lease ", IdText(lease.id), " of buffer ",
                                      IdText(lease.buffer->id), ": ", EndText(on));
  session.missed.push_back({.lease = lease.id, .buffer = lease.buffer->id});
}

void Ledger::Lose(LostBuffer buffer) {
  const std::optional<LostBuffer> oldest = lost.Add(std::move(buffer));
  if (oldest.has_value()) ForgetRecords(*oldest);
}

void Ledger::ForgetLost(const Device& device) {
  for (const auto& [id, buffer] : lost.in_order())
    if (buffer.device == &device) ForgetRecords(buffer);
  lost.Forget(device);
}

// Leases first: none is ever of a buffer that there is not.
void Ledger::ForgetRecords(const LostBuffer& buffer) {
  for (const LeaseId lease : buffer.leases) recorder.Forget(lease);
  recorder.Forget(buffer.id);
}

LeaseRecord* Ledger::FindLease(LeaseId id) const {
  const auto it = leases.find(id);
  return it == leases.end() ? nullptr : it->get();
}

std::vector<BufferRecord*> Ledger::HeldOf(const Device& device) const {
  std::vector<BufferRecord*> held;
  for (const auto& [id, buffer] : registry.in_order())
    if (buffer->device == &device && buffer->is_out()) held.push_back(buffer);
  return held;
}

void Ledger::Tell(Event event) {
  event.time = clock.Now();
  observer.OnEvent(event);
}

void Ledger::Tell(EventKind kind, const BufferRecord& buffer, std::string text,
                  RevocationId revocation) {
  Tell({.kind = kind,
        .device = buffer.device->name(),
        .buffer = buffer.id,
        .revocation = revocation,
        .domain = buffer.owner->domain,
        .text = std::move(text)});
}

void Ledger::Tell(EventKind kind, const LeaseRecord& lease, std::string text) {
  Tell({.kind = kind,
        .device = lease.buffer->device->name(),
        .buffer = lease.buffer->id,
        .lease = lease.id,
        .session = lease.session->id,
        .domain = lease.session->peer.domain(),
        .pid = lease.session->peer.pid,
        .text = std::move(text)});
}

void Ledger::Tell(EventKind kind, const SessionRecord& session, std::string text) {
  Tell({.kind = kind,
        .session = session.id,
        .domain = session.peer.domain(),
        .pid = session.peer.pid,
        .text = std::move(text)});
}

}  // namespace hlbuf
