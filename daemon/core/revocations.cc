// SPDX-License-Identifier: Apache-2.0
#include "daemon/core/revocations.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace hlbuf {

RevocationId Revocations::Begin(absl::Span<BufferRecord* const> buffers,
                                absl::Span<LeaseRecord* const> alone, RevokeReason reason,
                                absl::Duration grace, Done done) {
  const auto id = ledger_.ids.Next<RevocationId>();
  const absl::Time now = ledger_.clock.Now();
  Add({.id = id, .reason = reason, .began = now, .deadline = now + grace}, std::move(done));
  Ask(id, buffers, alone);
  return id;
}

void Revocations::Begin(RevocationReport report, absl::Span<BufferRecord* const> buffers,
                        Done done) {
  const RevocationId id = report.id;
  Add(std::move(report), std::move(done));
  Ask(id, buffers, {});
}

Revocations::Running& Revocations::Add(RevocationReport report, Done done) {
  ledger_.recorder.Write(report);
  auto owned = std::make_unique<Running>();
  owned->report = std::move(report);
  owned->done = std::move(done);
  return *(running_[owned->report.id] = std::move(owned));
}

// All is written down, and no buffer is current any more, before anybody is told.
void Revocations::Ask(RevocationId id, absl::Span<BufferRecord* const> buffers,
                      absl::Span<LeaseRecord* const> alone) {
  Running& running = *running_.at(id);
  std::vector<LeaseRecord*> leases;
  std::vector<BufferRecord*> acknowledged;
  for (BufferRecord* buffer : buffers) {
    running.waiting.insert(buffer->id);
    std::erase(buffer->revocations, id);
    buffer->revocations.push_back(id);
    buffer->revoked = running.report.reason;
    if (buffer->state == BufferState::kLive)
      buffer->state = Checked(Next(buffer->state, BufferEvent::kRevoke));
    ledger_.epochs.End(*buffer);
    ledger_.recorder.Write(*buffer);
    // Nothing more can be learned of it.
    if (BlindBuffers::IsAcknowledged(*buffer)) acknowledged.push_back(buffer);
    leases.insert(leases.end(), buffer->leases.begin(), buffer->leases.end());
  }
  for (LeaseRecord* lease : alone) {
    lease->asked_alone_by = id;
    ledger_.recorder.Write(*lease);
    leases.push_back(lease);
  }
  ledger_.Tell({.kind = EventKind::kRevocationBegan,
                .revocation = id,
                .text = absl::StrCat(RevokeReasonText(running.report.reason), ": ",
                                     CountText(buffers.size(), "buffer"), ", ",
                                     CountText(leases.size(), "lease"))});
  const Told told = Notify(leases, running.report.reason, running.report.deadline);
  // Of a reset that goes on after a restart, those are all who had not been told before.
  running.report.sessions_told += told.sessions;
  running.report.leases_told += told.leases;
  if (told.leases > 0) ledger_.recorder.Write(running.report);
  for (const LeaseRecord* lease : alone) WaitFor(id, running, *lease);
  PlanSteps(id, running, ledger_.clock.Now());
  for (BufferRecord* buffer : acknowledged)
    Settle(id, *buffer, {.kind = Verdict::Kind::kAcknowledged});
  EndIfSettled(id);
}

void Revocations::GoOn(Earlier earlier, Done done) {
  const RevocationId id = earlier.report.id;
  Running& running = Add(std::move(earlier.report), std::move(done));
  for (const BufferRecord* buffer : earlier.buffers) running.waiting.insert(buffer->id);
  for (const LeaseRecord* lease : earlier.alone) WaitFor(id, running, *lease);
  PlanSteps(id, running, ledger_.clock.Now());
  EndIfSettled(id);
}

void Revocations::PlanSteps(RevocationId id, Running& running, absl::Time from) {
  for (const Deadlines::Handle& timer : {running.timer, running.half_time})
    ledger_.deadlines.Cancel(timer);
  for (const Deadlines::Handle& step : std::exchange(running.enforcing, {}))
    ledger_.deadlines.Cancel(step);
  const absl::Duration grace = running.report.deadline - running.report.began;
  const absl::Duration left = running.report.deadline - from;
  running.timer = ledger_.deadlines.At(running.report.deadline, [this, id] { Expire(id); });
  if (left > absl::ZeroDuration())
    running.half_time = ledger_.deadlines.At(from + left / 2, [this, id] { AskAtHalfTime(id); });
  for (const auto& [force, after] : enforcement_.Plan(running.report.reason, grace, left))
    running.enforcing.push_back(
        ledger_.deadlines.At(from + after, [this, id, force = force] { Enforce(id, force); }));
}

std::vector<LeaseRecord*> Revocations::LeasesOut(const Running& running) const {
  std::vector<LeaseRecord*> leases;
  for (const BufferId waiting : running.waiting) {
    const LeaseList& of_buffer = ledger_.registry.Find(waiting)->leases;
    leases.insert(leases.end(), of_buffer.begin(), of_buffer.end());
  }
  for (const auto& [buffer, alone] : running.alone)
    for (const LeaseId lease : alone.out) leases.push_back(ledger_.FindLease(lease));
  return leases;
}

bool Revocations::Hurry(RevocationId id, absl::Time deadline) {
  const auto it = running_.find(id);
  if (it == running_.end() || it->second->report.deadline <= deadline) return false;
  Running& running = *it->second;
  running.report.deadline = deadline;
  ledger_.recorder.Write(running.report);
  Notify(LeasesOut(running), running.report.reason, deadline);
  PlanSteps(id, running, ledger_.clock.Now());
  return true;
}

void Revocations::AskBack(const BufferRecord& buffer, absl::Span<LeaseRecord* const> leases,
                          RevokeReason reason, absl::Duration grace) {
  if (leases.empty()) return;
  const absl::Time deadline = ledger_.clock.Now() + grace;
  const Told told = Notify(leases, reason, deadline);
  ledger_.Tell(
      EventKind::kRevocationBegan, buffer,
      absl::StrCat(RevokeReasonText(reason), ": ", CountText(told.leases, "lease"), " of ",
                   CountText(told.sessions, "session"), ", due in ", absl::FormatDuration(grace)));
  for (const LeaseRecord* lease : leases) ledger_.SetDeadline(*lease, deadline);
}

Revocations::Told Revocations::Notify(absl::Span<LeaseRecord* const> leases, RevokeReason reason,
                                      absl::Time deadline) {
  struct Batch {
    std::vector<LeaseRecord*> leases;
    std::vector<RevokedLease> notice;
  };
  absl::flat_hash_map<SessionRecord*, Batch> batches;
  Told told;
  for (LeaseRecord* lease : leases) {
    if (!ledger_.AskBack(*lease, deadline)) continue;
    Batch& batch = batches[lease->session];
    batch.leases.push_back(lease);
    batch.notice.push_back({.lease = lease->id, .buffer = lease->buffer->id});
    ++told.leases;
  }
  for (const auto& [session, batch] : batches) {
    const bool told_it = session->notices->OnRevoke(reason, deadline, batch.notice);
    for (LeaseRecord* lease : batch.leases) lease->told = told_it;
  }
  told.sessions = static_cast<std::uint32_t>(batches.size());
  return told;
}

void Revocations::Enforce(RevocationId id, Force force) {
  const Running& running = *running_.at(id);
  if (!enforcement_.Allows(force, running.report.reason)) return;
  enforcement_.Send(force, id, running.report.began, LeasesOut(running));
}

// In the order of their ids, which is that of their age.
std::vector<BufferRecord*> Revocations::WaitingOf(const Running& running) const {
  std::vector<BufferId> ids(running.waiting.begin(), running.waiting.end());
  std::sort(ids.begin(), ids.end());
  std::vector<BufferRecord*> buffers;
  buffers.reserve(ids.size());
  for (const BufferId id : ids) buffers.push_back(ledger_.registry.Find(id));
  return buffers;
}

std::vector<BufferRecord*> Revocations::BuffersOut(const Running& running) const {
  std::vector<BufferRecord*> buffers = WaitingOf(running);
  for (const auto& [buffer, alone] : running.alone)
    if (!running.waiting.contains(buffer)) buffers.push_back(ledger_.registry.Find(buffer));
  return buffers;
}

void Revocations::AskAtHalfTime(RevocationId id) {
  inquiry_.Ask(BuffersOut(*running_.at(id)), id, [](const Inquiry::Seen&) {});
}

void Revocations::AskOfHeld(RevocationId id) {
  Running& running = *running_.at(id);
  running.asking = inquiry_.Ask(BuffersOut(running), id,
                                [this, id](const Inquiry::Seen& seen) { OnAnswer(id, seen); });
  if (!running.asking) return;
  const RevocationReport& report = running.report;
  const absl::Duration patience =
      report.reason == RevokeReason::kReset
          ? std::min(kWitnessPatience, (report.deadline - report.began) / 8)
          : kWitnessPatience;
  running.patience =
      ledger_.deadlines.At(ledger_.clock.Now() + patience, [this, id] { OnAnswer(id, {}); });
}

void Revocations::OnAnswer(RevocationId id, const Inquiry::Seen& seen) {
  const auto it = running_.find(id);
  if (it == running_.end() || !it->second->asking) return;  // it comes too late
  Running& running = *it->second;
  running.asking = false;
  ledger_.deadlines.Cancel(running.patience);
  running.seen = seen;
  for (const auto& [buffer, verdict] : std::exchange(running.held, {}))
    Settle(id, *ledger_.registry.Find(buffer), verdict);
  ExpireAlone(id);
  EndIfSettled(id);
}

}  // namespace hlbuf
