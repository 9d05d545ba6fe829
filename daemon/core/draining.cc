// SPDX-License-Identifier: Apache-2.0
#include "daemon/core/draining.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

namespace hlbuf {
namespace {

// References that live longer than this after the last lease are somebody's leak, and worth an
// event.
constexpr absl::Duration kOutlivedAfter = absl::Seconds(1);

// Its verdict is final, and was written down before its memory was given back.
bool WasLetGo(const BufferRecord& buffer) {
  if (!buffer.verdict.has_value()) return false;
  return buffer.verdict->kind == Verdict::Kind::kProven ||
         (buffer.verdict->kind == Verdict::Kind::kAcknowledged &&
          !BlindBuffers::IsAcknowledged(buffer));
}

}  // namespace

std::unique_ptr<ReleaseProof> Draining::MakeProof(Backend& backend) {
  return std::make_unique<ReleaseProof>(
      backend, ledger_.deadlines, ledger_.clock,
      [this](BufferId id, std::uint32_t references) { OnCount(id, references); });
}

void Draining::Begin(BufferRecord& buffer, BufferEvent on) {
  buffer.state = Checked(Next(buffer.state, on));
  buffer.draining_since = buffer.unleased_since = ledger_.clock.Now();
  buffer.device->DrainBegan(buffer.bytes.amount());
  ledger_.registry.DropName(buffer);
  ledger_.epochs.End(buffer);
  ledger_.recorder.Write(buffer);
  Await(buffer);
}

void Draining::Await(BufferRecord& buffer) {
  if (buffer.returning) return;
  if (buffer.blind) return AcknowledgeBlind(buffer);
  if (buffer.device->traits().counts_references)
    buffer.device->proof().Watch(buffer.id, buffer.allocation.fd.get());
  else if (buffer.leases.empty())
    Finish(buffer, {.kind = Verdict::Kind::kAcknowledged});
}

// Its holders are all that can be asked. Memory that outlives them is the kernel's to clear; a
// window of a device's own memory is not given to others before the device says that nobody has it,
// or was closed.
void Draining::AcknowledgeBlind(BufferRecord& buffer) {
  if (!buffer.leases.empty()) return;
  const Verdict verdict = {.kind = Verdict::Kind::kAcknowledged};
  if (buffer.device->traits().survives_reset) return Finish(buffer, verdict);
  buffer.verdict = verdict;
  ledger_.recorder.Write(buffer);
  let_go_(buffer, verdict);
  blind_.Add(buffer);
}

void Draining::TakeBack(BufferRecord& buffer, UniqueFd fd) {
  buffer.returning = false;
  buffer.blind = buffer.blind || !fd;
  buffer.allocation.fd = std::move(fd);
  if (buffer.blind) {
    buffer.allocation.fd.Reset();
    ledger_.recorder.Write(buffer);
  }
  if (buffer.state != BufferState::kDraining) {
    if (buffer.leases.empty()) Begin(buffer, BufferEvent::kLastLeaseEnded);
    return;
  }
  if (!WasLetGo(buffer)) return Await(buffer);
  // It was on its way back to the device when the earlier process ended.
  while (!buffer.leases.empty()) ledger_.End(*buffer.leases.back(), LeaseEvent::kRelease);
  Finish(buffer, *buffer.verdict);
}

void Draining::BeginUngranted(BufferRecord& buffer) {
  const bool exported(buffer.allocation.fd);
  buffer.state = Checked(
      Next(buffer.state, exported ? BufferEvent::kExportedLate : BufferEvent::kExportFailed));
  if (!exported) return Forget(buffer, "");
  buffer.draining_since = buffer.unleased_since = ledger_.clock.Now();
  buffer.device->DrainBegan(buffer.bytes.amount());
  ledger_.registry.DropName(buffer);
  Free(buffer);
}

void Draining::GiveUp(BufferRecord& buffer) {
  const auto leases = static_cast<std::uint32_t>(buffer.leases.size());
  buffer.references = std::max({buffer.references, leases, std::uint32_t{1}});
  const Verdict held = {.kind = Verdict::Kind::kHeld, .references = buffer.references};
  LostBuffer lost = LostBuffers::Of(buffer, ledger_.clock.Now());
  lost.verdict = held;
  buffer.given_up = true;
  buffer.verdict = held;
  ledger_.recorder.Write(buffer);
  while (!buffer.leases.empty()) ledger_.End(*buffer.leases.back(), LeaseEvent::kGivenUp);
  Device& device = *buffer.device;
  device.JobBegan();
  device.proof().Forget(
      buffer.id, [this, &buffer, &device, held, lost = std::move(lost)](bool proven) mutable {
        buffer.given_up = !proven;
        if (proven)
          for (const LeaseId lease : lost.leases) ledger_.recorder.Forget(lease);
        else
          ledger_.Lose(std::move(lost));
        Finish(buffer, proven ? Verdict{.kind = Verdict::Kind::kProven} : held);
        device.JobEnded();
      });
}

void Draining::OnLeaseEnded(BufferRecord& buffer) {
  if (!buffer.leases.empty() || !buffer.is_out()) return;
  buffer.unleased_since = ledger_.clock.Now();
  if (buffer.returning) return;
  if (buffer.blind) return AcknowledgeBlind(buffer);
  if (buffer.device->traits().counts_references)
    buffer.device->proof().CountSoon(buffer.id);
  else
    Finish(buffer, {.kind = Verdict::Kind::kAcknowledged});
}

void Draining::OnCount(BufferId id, std::uint32_t references) {
  if (ledger_.suspended) return;  // the next process counts
  BufferRecord& buffer = *ledger_.registry.Find(id);
  const bool changed = std::exchange(buffer.references, references) != references;
  if (changed && references > 0) ledger_.recorder.Write(buffer);
  if (references == 0) {
    // The kernel says what these sessions have not said yet.
    buffer.verdict = Verdict{.kind = Verdict::Kind::kProven};
    ledger_.recorder.Write(buffer);
    while (!buffer.leases.empty()) ledger_.End(*buffer.leases.back(), LeaseEvent::kRelease);
    return Finish(buffer, {.kind = Verdict::Kind::kProven});
  }
  if (buffer.leases.empty() && !buffer.outlived &&
      ledger_.clock.Now() - buffer.unleased_since > kOutlivedAfter) {
    buffer.outlived = true;
    ledger_.Tell(EventKind::kReferencesOutliveLeases, buffer,
                 absl::StrCat(references,
                              " references are out though nobody has a lease; somebody keeps a "
                              "descriptor, a mapping or ",
                              "a registration of it"));
    inquiry_.AskSoon(buffer);
  }
  counted_(buffer);
}

// The device has the memory before anybody hears the verdict: who does may reset the device at
// once.
//
// The verdict is written down first: without it the next process would find a buffer whose
// descriptor is gone, and nothing that proves that nobody has it.
void Draining::Finish(BufferRecord& buffer, Verdict verdict) {
  buffer.verdict = verdict;
  ledger_.recorder.Write(buffer);
  Free(buffer);
  let_go_(buffer, verdict);
}

void Draining::Free(BufferRecord& buffer) {
  Device& device = *buffer.device;
  buffer.blind = false;
  device.JobBegan();
  device.backend().Free(std::move(buffer.allocation),
                        [this, &buffer](const absl::Status& freed) { OnFreed(buffer, freed); });
}

void Draining::OnFreed(BufferRecord& buffer, const absl::Status& freed) {
  buffer.state = Checked(Next(buffer.state, BufferEvent::kLetGo));
  Device& device = *buffer.device;
  device.DrainEnded(buffer.bytes.amount());
  std::string fate = FateOf(buffer);
  ledger_.Tell(EventKind::kBufferFreed, buffer,
               freed.ok() ? fate : absl::StrCat(fate, "; ", freed.message()));
  Forget(buffer, std::move(fate));
  device.JobEnded();
}

void Draining::Forget(BufferRecord& buffer, std::string fate) {
  const Domain owner = buffer.owner->domain;
  Device& device = *buffer.device;
  device.Unuse(buffer.bytes.amount());
  // Who held what was given up is told until the device is open again.
  if (!buffer.given_up) ledger_.recorder.Forget(buffer.id);
  ledger_.registry.Remove(buffer, std::move(fate));
  ledger_.accounts.DropIfIdle(owner);
  freed_(device);
}

// What was out is told as after any reset that took the memory of holders.
void Draining::Lose(BufferRecord& buffer) {
  const auto leases = static_cast<std::uint32_t>(buffer.leases.size());
  const std::uint32_t out = std::max(buffer.references, leases);
  buffer.verdict = {.kind = out > 0 ? Verdict::Kind::kHeld : Verdict::Kind::kAcknowledged,
                    .references = out,
                    .counted_late = out > 0};
  buffer.given_up = out > 0;
  buffer.returning = buffer.blind = false;
  ledger_.epochs.End(buffer);
  ledger_.recorder.Write(buffer);
  let_go_(buffer, *buffer.verdict);
  if (buffer.given_up) {
    LostBuffer lost = LostBuffers::Of(buffer, ledger_.clock.Now());
    lost.verdict = *buffer.verdict;
    ledger_.Lose(std::move(lost));
  }
  while (!buffer.leases.empty()) ledger_.End(*buffer.leases.back(), LeaseEvent::kGivenUp);
  if (buffer.state == BufferState::kDraining) buffer.device->DrainEnded(buffer.bytes.amount());
  std::string fate = FateOf(buffer);
  ledger_.Tell(EventKind::kBufferFreed, buffer, fate);
  Forget(buffer, std::move(fate));
}

std::string Draining::FateOf(const BufferRecord& buffer) {
  if (!buffer.verdict.has_value()) return "freed before anybody got it";
  if (buffer.verdict->kind == Verdict::Kind::kHeld)
    return absl::StrCat("lost in the reset that ended epoch ", buffer.epoch, " of ",
                        buffer.device->name(), ", while somebody still held it");
  const std::string last =
      absl::StrCat("freed at the end of its last lease (", VerdictText(buffer.verdict->kind), ")");
  if (!buffer.revoked.has_value()) return last;
  return absl::StrCat("revoked (", RevokeReasonText(*buffer.revoked), ") in epoch ", buffer.epoch,
                      " of ", buffer.device->name(), ", then ", last);
}

}  // namespace hlbuf
