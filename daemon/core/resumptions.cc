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

bool Resumptions::Asks() const {
  return std::any_of(from_.begin(), from_.end(), [](const auto& entry) {
    return entry.first->state() != DeviceState::kFailed;
  });
}

void Resumptions::OnResumed(Device& device, std::vector<BufferId> buffers,
                            absl::StatusOr<Resumed> resumed, Done done) {
  if (!resumed.ok()) return std::move(done)(resumed.status());
  from_.erase(&device);
  if (!resumed->lost.empty()) Tell(device, std::move(resumed->lost));
  if (resumed->memory_is_gone) {
    LoseAll(device, buffers);
    return std::move(done)(Outcome::kMemoryGone);
  }
  resumed->fds.resize(buffers.size());
  TakeBack(device, buffers, std::move(resumed->fds));
  std::move(done)(Outcome::kOpen);
}

void Resumptions::TakeBack(Device& device, const std::vector<BufferId>& buffers,
                           std::vector<UniqueFd> fds) {
  std::size_t blind = 0;
  for (std::size_t i = 0; i < buffers.size(); ++i) {
    BufferRecord& buffer = *ledger_.registry.Find(buffers[i]);
    draining_.TakeBack(buffer, std::move(fds[i]));
    if (buffer.blind) ++blind;
  }
  if (blind > 0)
    Tell(device, absl::StrCat(CountText(blind, "buffer"),
                              " came back without a descriptor: who has them keeps them, nobody "
                              "else can open them, and their end cannot be proven"));
}

void Resumptions::LoseAll(Device& device, const std::vector<BufferId>& buffers) {
  device.BeginEpoch();
  if (buffers.empty()) return;
  for (const BufferId id : buffers) {
    BufferRecord& buffer = *ledger_.registry.Find(id);
    buffer.revoked = RevokeReason::kReset;
    draining_.Lose(buffer);
  }
  Tell(device, absl::StrCat("was reset or closed while this service did not run: ",
                            CountText(buffers.size(), "buffer"), " of the epoch before are lost"));
}

void Resumptions::Tell(const Device& device, std::string text) {
  ledger_.Tell({.kind = EventKind::kDeviceState,
                .device = device.name(),
                .text = std::move(text),
                .state = device.state()});
}

}  // namespace hlbuf
