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
  if (buffer.device->traits().counts_references) {
    buffer.device->proof().Watch(buffer.id, buffer.allocation.fd.get());
  } else if (buffer.leases.empty()) {
    Finish(buffer, {.kind = Verdict::Kind::kAcknowledged});
  }
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
  while (!buffer.leases.empty()) ledger_.End(*buffer.leases.back(), LeaseEvent::kGivenUp);
  Device& device = *buffer.device;
  device.JobBegan();
  device.proof().Forget(
      buffer.id, [this, &buffer, &device, held, lost = std::move(lost)](bool proven) mutable {
        if (!proven) ledger_.lost.Add(std::move(lost));
        Finish(buffer, proven ? Verdict{.kind = Verdict::Kind::kProven} : held);
        device.JobEnded();
      });
}

void Draining::OnLeaseEnded(BufferRecord& buffer) {
  if (!buffer.leases.empty() || !buffer.allocation.fd) return;
  buffer.unleased_since = ledger_.clock.Now();
  if (buffer.device->traits().counts_references)
    buffer.device->proof().CountSoon(buffer.id);
  else
    Finish(buffer, {.kind = Verdict::Kind::kAcknowledged});
}

void Draining::OnCount(BufferId id, std::uint32_t references) {
  BufferRecord& buffer = *ledger_.registry.Find(id);
  buffer.references = references;
  if (references == 0) {
    // The kernel says what these sessions have not said yet.
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
void Draining::Finish(BufferRecord& buffer, Verdict verdict) {
  buffer.verdict = verdict;
  Free(buffer);
  let_go_(buffer, verdict);
}

void Draining::Free(BufferRecord& buffer) {
  Device& device = *buffer.device;
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
  ledger_.registry.Remove(buffer, std::move(fate));
  ledger_.accounts.DropIfIdle(owner);
  freed_(device);
}

std::string Draining::FateOf(const BufferRecord& buffer) const {
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
