// SPDX-License-Identifier: Apache-2.0
#include "daemon/core/waiting_allocations.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "daemon/core/error.h"

namespace hlbuf {

void WaitingAllocations::Add(Waiting waiting) {
  if (waiting.until <= ledger_.clock.Now()) return End(std::move(waiting));
  if (waiting.session->waiting_allocations >= kPerSession)
    return std::move(waiting.done)(
        Error(ErrorCode::kQuotaExceeded,
              absl::StrCat(kPerSession,
                           " allocations of this session wait for a device already; "
                           "wait for one of them, or for a DEVICE notice")));
  absl::StatusOr<Charge> lease = waiting.session->account->account.Take(Resource::kLeases, 1);
  if (!lease.ok()) return std::move(waiting.done)(lease.status());
  const std::uint64_t number = ++last_;
  ++waiting.session->waiting_allocations;
  Entry& entry = entries_[number];
  entry.waiting = std::move(waiting);
  entry.lease = *std::move(lease);
  SetTimer(number, entry);
}

void WaitingAllocations::TryAgain(const Device& device) {
  TakeAll([&](const Waiting& waiting) { return waiting.device == &device; },
          [this](Waiting waiting) { again_(std::move(waiting)); });
}

void WaitingAllocations::Refuse(const Device& device) {
  TakeAll([&](const Waiting& waiting) { return waiting.device == &device; },
          [this](Waiting waiting) { End(std::move(waiting)); });
}

void WaitingAllocations::RefuseOf(absl::FunctionRef<bool(const SessionRecord&)> is_of,
                                  const absl::Status& refusal) {
  TakeAll([&](const Waiting& waiting) { return is_of(*waiting.session); },
          [&](Waiting waiting) { std::move(waiting.done)(refusal); });
}

void WaitingAllocations::SetTimer(std::uint64_t number, Entry& entry) {
  const bool ready = entry.waiting.device->state() == DeviceState::kReady;
  const absl::Time soon = ledger_.clock.Now() + kPause;
  entry.timer =
      ledger_.deadlines.At(ready ? std::min(soon, entry.waiting.until) : entry.waiting.until,
                           [this, number] { OnTimer(number); });
}

void WaitingAllocations::OnTimer(std::uint64_t number) {
  Entry& entry = entries_.at(number);
  if (ledger_.clock.Now() >= entry.waiting.until) return End(Take(number));
  if (entry.waiting.device->state() == DeviceState::kReady) return again_(Take(number));
  SetTimer(number, entry);
}

WaitingAllocations::Waiting WaitingAllocations::Take(std::uint64_t number) {
  auto node = entries_.extract(number);
  ledger_.deadlines.Cancel(node.mapped().timer);
  --node.mapped().waiting.session->waiting_allocations;
  return std::move(node.mapped().waiting);
}

void WaitingAllocations::End(Waiting waiting) {
  const absl::Status refusal = in_vain_(waiting);
  std::move(waiting.done)(refusal);
}

// The answer of one may end others that were to follow: those of its session.
void WaitingAllocations::TakeAll(absl::FunctionRef<bool(const Waiting&)> is_of,
                                 absl::FunctionRef<void(Waiting)> take) {
  std::vector<std::uint64_t> numbers;
  for (const auto& [number, entry] : entries_)
    if (is_of(entry.waiting)) numbers.push_back(number);
  for (const std::uint64_t number : numbers)
    if (entries_.contains(number)) take(Take(number));
}

}  // namespace hlbuf
