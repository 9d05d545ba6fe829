// SPDX-License-Identifier: Apache-2.0
#include "daemon/core/emptying.h"

#include <utility>
#include <vector>

namespace hlbuf {

void Emptying::Wait(Device& device, absl::Duration patience, Wanted wanted, Done done) {
  EndUnwanted();
  if (device.used_bytes() == 0 || patience <= absl::ZeroDuration()) return std::move(done)();
  const std::uint64_t number = ++last_;
  waiters_[number] = {.device = &device,
                      .timer = ledger_.deadlines.At(ledger_.clock.Now() + patience,
                                                    [this, number] { End(number); }),
                      .wanted = std::move(wanted),
                      .done = std::move(done)};
}

void Emptying::OnFreed(const Device& device) {
  if (device.used_bytes() == 0) EndAll(device);
}

void Emptying::EndAll(const Device& device) {
  std::vector<std::uint64_t> numbers;
  for (const auto& [number, waiter] : waiters_)
    if (waiter.device == &device) numbers.push_back(number);
  for (const std::uint64_t number : numbers) End(number);
}

void Emptying::EndUnwanted() {
  std::vector<std::uint64_t> numbers;
  for (auto& [number, waiter] : waiters_)
    if (waiter.wanted != nullptr && !waiter.wanted()) numbers.push_back(number);
  for (const std::uint64_t number : numbers) End(number);
}

void Emptying::End(std::uint64_t number) {
  auto node = waiters_.extract(number);
  if (node.empty()) return;
  ledger_.deadlines.Cancel(node.mapped().timer);
  std::move(node.mapped().done)();
}

}  // namespace hlbuf
