// SPDX-License-Identifier: Apache-2.0
#include "daemon/core/resumptions.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"

namespace hlbuf {

void Resumptions::Begin(Device& device, Done done) {
  Resumption from = from_.at(&device);
  std::vector<BufferId> buffers;
  for (const auto& [id, buffer] : ledger_.registry.in_order()) {
    if (buffer->device != &device || !buffer->returning) continue;
    buffers.push_back(id);
    from.buffers.push_back({.size_bytes = buffer->allocation.size_bytes,
                            .window = buffer->allocation.window,
                            .inode = buffer->allocation.inode,
                            .domain = buffer->owner->domain,
                            .is_proven = buffer->verdict.has_value() &&
                                         buffer->verdict->kind == Verdict::Kind::kProven});
  }
  device.backend().Resume(
      std::move(from), [this, &device, buffers = std::move(buffers),
                        done = std::move(done)](absl::StatusOr<Resumed> resumed) mutable {
        OnResumed(device, std::move(buffers), std::move(resumed), std::move(done));
      });
}

void Resumptions::Note(const Device& device, const DeviceNote& note) {
  const auto from = from_.find(&device);
  if (from == from_.end()) return;
  std::vector<DeviceNote>& notes = from->second.notes;
  std::erase_if(notes, [&note](const DeviceNote& each) { return each.key == note.key; });
  if (!note.bytes.empty()) notes.push_back(note);
}

bool Resumptions::Asks() const {
  return std::any_of(from_.begin(), from_.end(), [](const auto& entry) {
    return entry.first->state() != DeviceState::kFailed;
  });
}

void Resumptions::OnResumed(Device& device, std::vector<BufferId> buffers,
                            absl::StatusOr<Resumed> resumed, Done done) {
  if (!resumed.ok()) return std::move(done)(resumed.status());
  from_.erase(&device);
  if (resumed->memory_is_gone) {
    LoseAll(device, buffers, resumed->lost);
    return std::move(done)(Outcome::kMemoryGone);
  }
  resumed->fds.resize(buffers.size());
  TakeBack(device, buffers, std::move(resumed->fds), resumed->lost);
  std::move(done)(Outcome::kOpen);
}

void Resumptions::TakeBack(Device& device, const std::vector<BufferId>& buffers,
                           std::vector<UniqueFd> fds, absl::string_view why) {
  std::size_t blind = 0;
  for (std::size_t i = 0; i < buffers.size(); ++i) {
    BufferRecord& buffer = *ledger_.registry.Find(buffers[i]);
    draining_.TakeBack(buffer, std::move(fds[i]));
    if (buffer.blind) ++blind;
  }
  if (blind == 0) return TellWhy(device, why);
  TellLost(device, EventKind::kHandlesLost, blind,
           absl::StrCat(CountText(blind, "buffer"),
                        " came back without a descriptor: who has them keeps them, nobody else "
                        "can open them, and their end cannot be proven"),
           why);
}

// What had ended before, and only was not let go of yet, is nobody's loss.
void Resumptions::LoseAll(Device& device, const std::vector<BufferId>& buffers,
                          absl::string_view why) {
  device.BeginEpoch();
  std::size_t lost = 0, leases = 0;
  for (const BufferId id : buffers) {
    BufferRecord& buffer = *ledger_.registry.Find(id);
    if (buffer.state != BufferState::kDraining) ++lost;
    leases += buffer.leases.size();
    buffer.revoked = RevokeReason::kReset;
    draining_.Lose(buffer);
  }
  if (lost == 0) return TellWhy(device, why);
  TellLost(device, EventKind::kBuffersLost, lost,
           absl::StrCat("was reset or closed while this service did not run: ",
                        CountText(lost, "buffer"), " of the epoch before ended"),
           why);
  TellLeasesLost(ledger_, device.name(), leases);
}

void Resumptions::TellLost(const Device& device, EventKind kind, std::size_t count,
                           std::string text, absl::string_view why) {
  if (!why.empty()) absl::StrAppend(&text, "; ", why);
  ledger_.Tell({.kind = kind, .device = device.name(), .text = std::move(text), .count = count});
}

void Resumptions::TellWhy(const Device& device, absl::string_view why) {
  if (why.empty()) return;
  ledger_.Tell({.kind = EventKind::kDeviceState,
                .device = device.name(),
                .text = std::string(why),
                .state = device.state()});
}

void TellLeasesLost(Ledger& ledger, absl::string_view device, std::size_t leases) {
  if (leases == 0) return;
  ledger.Tell({.kind = EventKind::kLeasesLost,
               .device = std::string(device),
               .text = absl::StrCat(CountText(leases, "lease"),
                                    " of them ended; whoever comes back is told so"),
               .count = leases});
}

}  // namespace hlbuf
