// SPDX-License-Identifier: Apache-2.0
// How revocations end: the deadline, and what it finds.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "daemon/core/revocations.h"

namespace hlbuf {
namespace {

std::vector<Holder> HoldersOf(const BufferRecord& buffer) {
  std::vector<Holder> holders;
  holders.reserve(buffer.leases.size());
  for (const LeaseRecord* lease : buffer.leases) holders.push_back(HolderOf(*lease));
  return holders;
}

// "2 references and 1 lease are still out". Where nothing is counted each lease is a reference.
std::string StillOut(const BufferVerdict& settled) {
  const std::size_t references = settled.verdict.references, leases = settled.holders.size();
  std::string text = CountText(references, "reference");
  if (leases > 0) absl::StrAppend(&text, " and ", CountText(leases, "lease"));
  return absl::StrCat(text, references == 1 && leases == 0 ? " is" : " are", " still out");
}

// Nobody reads microseconds; what took less than a millisecond took none.
std::string TookText(absl::Duration took) {
  return absl::FormatDuration(absl::Trunc(took, absl::Milliseconds(1)));
}

}  // namespace

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
  for (LeaseRecord* lease : buffer.leases) {
    if (lease->state != LeaseState::kRevoking) continue;
    lease->state = Checked(Next(lease->state, LeaseEvent::kDeadline));
    ledger_.recorder.Write(*lease);
  }
  const bool counts = buffer.device->traits().counts_references && !buffer.blind;
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
  ledger_.recorder.Write(buffer);
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
    absl::StrAppend(&words, ": ", StillOut(settled),
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
  ledger_.recorder.Forget(id);
  ledger_.Tell(
      {.kind = EventKind::kRevocationEnded,
       .revocation = id,
       .text = absl::StrCat(CountText(running->report.verdicts.size(), "verdict"), " after ",
                            TookText(running->report.ended - running->report.began))});
  std::move(running->done)(running->report);
}

}  // namespace hlbuf
