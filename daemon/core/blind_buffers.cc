// SPDX-License-Identifier: Apache-2.0
#include "daemon/core/blind_buffers.h"

#include <cstddef>
#include <cstdint>

namespace hlbuf {

void BlindBuffers::Add(const BufferRecord& buffer) {
  const auto [it, is_first] = of_.try_emplace(buffer.device);
  it->second.insert(buffer.id);
  if (is_first) AskAfter(*buffer.device, absl::ZeroDuration());
}

void BlindBuffers::AskAfter(Device& device, absl::Duration pause) {
  ledger_.deadlines.At(ledger_.clock.Now() + pause, [this, &device] { Ask(device); });
}

void BlindBuffers::Ask(Device& device) {
  std::vector<BufferId> asked;
  std::vector<std::uint64_t> windows;
  for (const BufferId id : of_[&device]) {
    const BufferRecord* buffer = ledger_.registry.Find(id);
    if (buffer == nullptr || !IsAcknowledged(*buffer)) continue;
    asked.push_back(id);
    windows.push_back(buffer->allocation.window);
  }
  of_[&device] = {asked.begin(), asked.end()};
  if (asked.empty() || ledger_.suspended) {
    of_.erase(&device);
    return;
  }
  device.JobBegan();
  device.backend().FreeBlind(std::move(windows),
                             [this, &device, asked = std::move(asked)](std::vector<bool> freed) {
                               OnAnswer(device, asked, freed);
                             });
}

void BlindBuffers::OnAnswer(Device& device, const std::vector<BufferId>& asked,
                            const std::vector<bool>& freed) {
  for (std::size_t i = 0; i < asked.size(); ++i) {
    BufferRecord* buffer = ledger_.registry.Find(asked[i]);
    if (!freed[i] || buffer == nullptr || !IsAcknowledged(*buffer)) continue;
    of_[&device].erase(asked[i]);
    freed_(*buffer);
  }
  device.JobEnded();
  AskAfter(device, kPause);
}

}  // namespace hlbuf
