// SPDX-License-Identifier: Apache-2.0
#include "daemon/core/revocations.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace hlbuf {
namespace {

std::vector<Holder> HoldersOf(const BufferRecord& buffer) {
  std::vector<Holder> holders;
  holders.reserve(buffer.leases.size());
  for (const LeaseRecord* lease : buffer.leases) holders.push_back(HolderOf(*lease));
  return holders;
}

}  // namespace

RevocationId Revocations::Begin(absl::Span<BufferRecord* const> buffers,
                                absl::Span<LeaseRecord* const> alone, RevokeReason reason,
                                absl::Duration grace, Done done) {
  const auto id = ledger_.ids.Next<RevocationId>();
  auto owned = std::make_unique<Running>();
  Running& running = *owned;
  running.done = std::move(done);
  running.report = {.id = id,
                    .reason = reason,
                    .began = ledger_.clock.Now(),
                    .deadline = ledger_.clock.Now() + grace};
  running_.emplace(id, std::move(owned));

  std::vector<LeaseRecord*> leases;
  for (BufferRecord* buffer : buffers) {
    running.waiting.insert(buffer->id);
    buffer->revocations.push_back(id);
    buffer->revoked = reason;
    if (buffer->state == BufferState::kLive)
      buffer->state = Checked(Next(buffer->state, BufferEvent::kRevoke));
    leases.insert(leases.end(), buffer->leases.begin(), buffer->leases.end());
  }
  leases.insert(leases.end(), alone.begin(), alone.end());
  ledger_.Tell(
      {.kind = EventKind::kRevocationBegan,
       .revocation = id,
       .text = absl::StrCat(RevokeReasonText(reason), ": ", CountText(buffers.size(), "buffer"),
                            ", ", CountText(leases.size(), "lease"))});
  const Told told = Notify(leases, reason, running.report.deadline);
  running.report.sessions_told = told.sessions;
  running.report.leases_told = told.leases;
  for (const LeaseRecord* lease : alone) WaitFor(id, running, *lease);
  PlanSteps(id, running, running.report.began);
  EndIfSettled(id);
  return id;
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
    if (!Ledger::AskBack(*lease, deadline)) continue;
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

void Revocations::Expire(RevocationId id) {
  Running& running = *running_.at(id);
  running.expired = true;
  AskOfHeld(id);
  for (BufferRecord* buffer : WaitingOf(running)) ExpireBuffer(id, *buffer);
  if (!running.asking) ExpireAlone(id);
  running.counted = ledger_.clock.Now();
  running.uncounted =
      ledger_.deadlines.At(running.counted + kCountPatience, [this, id] { HoldUncounted(id); });
  EndIfSettled(id);
}

void Revocations::WaitFor(RevocationId id, Running& running, const LeaseRecord& lease) {
  const BufferRecord& buffer = *lease.buffer;
  Alone& alone = running.alone[buffer.id];
  alone.device = buffer.device->name();
  alone.settled = {.buffer = buffer.id, .name = buffer.name, .owner = buffer.owner->domain};
  alone.out.insert(lease.id);
  ledger_.SetDeadline(lease, lease.due);
  ledger_.WhenEnded(lease, id,
                    [this, id, buffer_id = buffer.id](const LeaseRecord& ended, LeaseEvent on) {
                      OnAloneEnded(id, buffer_id, ended, on);
                    });
}

void Revocations::OnAloneEnded(RevocationId id, BufferId buffer, const LeaseRecord& lease,
                               LeaseEvent on) {
  const auto running = running_.find(id);
  if (running == running_.end()) return;
  const auto alone = running->second->alone.find(buffer);
  if (alone == running->second->alone.end()) return;  // it has its verdict
  std::vector<Holder>& holders = alone->second.settled.holders;
  if (on == LeaseEvent::kGivenUp) holders.push_back(HolderOf(lease));
  alone->second.out.erase(lease.id);
  if (!alone->second.out.empty()) return;
  Alone ended = std::move(alone->second);
  running->second->alone.erase(alone);
  ReportAlone(id, std::move(ended));
  EndIfSettled(id);
}

// Those that are still out are held.
void Revocations::ExpireAlone(RevocationId id) {
  Running& running = *running_.at(id);
  for (auto& [buffer, alone] : std::exchange(running.alone, {})) {
    for (const LeaseId out : alone.out) {
      ledger_.StopWaiting(out, id);
      alone.settled.holders.push_back(HolderOf(*ledger_.FindLease(out)));
    }
    if (const auto found = running.seen.find(buffer); found != running.seen.end())
      alone.settled.outside = std::move(found->second);
    ReportAlone(id, std::move(alone));
  }
}

void Revocations::ReportAlone(RevocationId id, Alone alone) {
  const auto held = static_cast<std::uint32_t>(alone.settled.holders.size());
  alone.settled.verdict = {.kind = held > 0 ? Verdict::Kind::kHeld : Verdict::Kind::kAcknowledged,
                           .references = held};
  Report(id, alone.device, std::move(alone.settled));
}

void Revocations::ExpireBuffer(RevocationId id, BufferRecord& buffer) {
  for (LeaseRecord* lease : buffer.leases)
    if (lease->state == LeaseState::kRevoking)
      lease->state = Checked(Next(lease->state, LeaseEvent::kDeadline));
  const bool counts = buffer.device->traits().counts_references;
  if (buffer.state == BufferState::kRevoking)
    draining_.Begin(buffer, BufferEvent::kDeadline);
  else if (counts)
    buffer.device->proof().CountSoon(buffer.id);
  // Where the kernel counts, the verdict waits for its answer; elsewhere the leases are all there
  // is to know.
  if (!counts)
    Hold(id, buffer,
         {.kind = Verdict::Kind::kHeld,
          .references = static_cast<std::uint32_t>(buffer.leases.size())});
}

void Revocations::Hold(RevocationId id, BufferRecord& buffer, Verdict held) {
  Running& running = *running_.at(id);
  if (running.asking)
    running.held[buffer.id] = held;
  else
    Settle(id, buffer, held);
}

void Revocations::HoldUncounted(RevocationId id) {
  Running& running = *running_.at(id);
  // There may be many to count; that goes on as long as answers come.
  if (ledger_.clock.Now() < running.counted + kCountPatience) {
    running.uncounted =
        ledger_.deadlines.At(running.counted + kCountPatience, [this, id] { HoldUncounted(id); });
    return;
  }
  for (BufferRecord* buffer : WaitingOf(running)) {
    if (running.held.contains(buffer->id)) continue;
    const auto leases = static_cast<std::uint32_t>(buffer->leases.size());
    Hold(id, *buffer,
         {.kind = Verdict::Kind::kHeld,
          .references = std::max({buffer->references, leases, std::uint32_t{1}}),
          .counted_late = true});
  }
  EndIfSettled(id);
}

void Revocations::OnLetGo(BufferRecord& buffer, Verdict verdict) {
  const auto waiting = std::exchange(buffer.revocations, {});
  for (const RevocationId id : waiting) {
    Settle(id, buffer, verdict);
    EndIfSettled(id);
  }
}

void Revocations::OnCounted(BufferRecord& buffer) {
  const auto waiting = buffer.revocations;
  for (const RevocationId id : waiting) {
    const auto running = running_.find(id);
    if (running == running_.end() || !running->second->expired) continue;
    running->second->counted = ledger_.clock.Now();
    Hold(id, buffer, {.kind = Verdict::Kind::kHeld, .references = buffer.references});
  }
  // Not before all have this count: the end of a reset gives the buffer up.
  for (const RevocationId id : waiting) EndIfSettled(id);
}

void Revocations::Settle(RevocationId id, BufferRecord& buffer, Verdict verdict) {
  Running& running = *running_.at(id);
  if (verdict.kind == Verdict::Kind::kProven) running.counted = ledger_.clock.Now();
  running.waiting.erase(buffer.id);
  running.held.erase(buffer.id);
  std::erase(buffer.revocations, id);
  buffer.verdict = verdict;
  BufferVerdict settled = {
      .buffer = buffer.id, .name = buffer.name, .owner = buffer.owner->domain, .verdict = verdict};
  if (verdict.kind == Verdict::Kind::kHeld) {
    settled.holders = HoldersOf(buffer);
    if (const auto found = running.seen.find(buffer.id); found != running.seen.end())
      settled.outside = std::move(found->second);
  }
  Report(id, buffer.device->name(), std::move(settled));
}

void Revocations::Report(RevocationId id, absl::string_view device, BufferVerdict settled) {
  std::string words(VerdictText(settled.verdict.kind));
  if (settled.verdict.kind == Verdict::Kind::kHeld) {
    absl::StrAppend(&words, ": ", CountText(settled.verdict.references, "reference"), ", ",
                    CountText(settled.holders.size(), "lease"), " are still out",
                    settled.verdict.counted_late ? ", not counted since the deadline" : "");
    // Names are in HOLDERS_FOUND, which not everybody sees who sees this.
    if (!settled.outside.has_value()) absl::StrAppend(&words, "; ", HowToAsk(settled.buffer));
  }
  ledger_.Tell({.kind = EventKind::kBufferVerdict,
                .device = std::string(device),
                .buffer = settled.buffer,
                .revocation = id,
                .domain = settled.owner,
                .text = std::move(words),
                .verdict = settled.verdict});
  running_.at(id)->report.verdicts.push_back(std::move(settled));
}

void Revocations::EndIfSettled(RevocationId id) {
  const auto it = running_.find(id);
  if (it == running_.end() || !it->second->waiting.empty() || !it->second->alone.empty()) return;
  const std::unique_ptr<Running> running = std::move(it->second);
  running_.erase(it);
  for (const Deadlines::Handle& timer :
       {running->timer, running->half_time, running->uncounted, running->patience})
    ledger_.deadlines.Cancel(timer);
  for (const Deadlines::Handle& step : running->enforcing) ledger_.deadlines.Cancel(step);
  running->report.ended = ledger_.clock.Now();
  ledger_.Tell(
      {.kind = EventKind::kRevocationEnded,
       .revocation = id,
       .text = absl::StrCat(CountText(running->report.verdicts.size(), "verdict"), " after ",
                            absl::FormatDuration(running->report.ended - running->report.began))});
  std::move(running->done)(running->report);
}

}  // namespace hlbuf
