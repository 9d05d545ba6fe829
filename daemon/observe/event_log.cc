// SPDX-License-Identifier: Apache-2.0
#include "daemon/observe/event_log.h"

#include <algorithm>

namespace hlbuf {
namespace {

bool IsPerGrant(EventKind kind) {
  return kind == EventKind::kLeaseGranted || kind == EventKind::kLeaseEnded;
}

}  // namespace

void EventLog::OnEvent(const Event& event) {
  const bool per_grant = IsPerGrant(event.kind);
  if (per_grant && !leases_.has_value()) return;
  const NumberedEvent& numbered = (per_grant ? *leases_ : events_).Add(next_++, event);
  for (const Subscriber& subscriber : subscribers_)
    if (!per_grant || subscriber.leases) subscriber.sink->OnEvent(numbered);
}

EventLog::Batch EventLog::Read(std::uint64_t from, std::size_t events_max, bool leases) const {
  const EventRing* const per_grant = leases && leases_.has_value() ? &*leases_ : nullptr;
  std::uint64_t lost = events_.lost_through();
  if (leases) lost = std::max(lost, per_grant != nullptr ? per_grant->lost_through() : next_ - 1);

  Batch batch = {.next = std::clamp<std::uint64_t>(from, 1, next_)};
  if (batch.next <= lost) batch.gap = Gap{.from = batch.next, .to = lost};
  std::size_t event = events_.IndexFrom(batch.next);
  std::size_t lease = per_grant != nullptr ? per_grant->IndexFrom(batch.next) : 0;
  const std::size_t lease_end = per_grant != nullptr ? per_grant->size() : 0;
  while (batch.events.size() < events_max && (event < events_.size() || lease < lease_end)) {
    const bool take_event =
        lease == lease_end ||
        (event < events_.size() && events_.at(event).sequence < per_grant->at(lease).sequence);
    batch.events.push_back(take_event ? events_.at(event++) : per_grant->at(lease++));
  }
  const bool all = event == events_.size() && lease == lease_end;
  if (all)
    batch.next = next_;
  else if (!batch.events.empty())
    batch.next = batch.events.back().sequence + 1;
  return batch;
}

EventLog::Subscription EventLog::Subscribe(EventSink& sink, bool leases) {
  if (leases && !leases_.has_value()) leases_.emplace(capacity_, next_ - 1);
  subscribers_.push_back({.sink = &sink, .leases = leases});
  return Subscription(this, &sink);
}

void EventLog::Unsubscribe(EventSink* sink) {
  std::erase_if(subscribers_, [sink](const Subscriber& s) { return s.sink == sink; });
  if (std::none_of(subscribers_.begin(), subscribers_.end(),
                   [](const Subscriber& s) { return s.leases; }))
    leases_.reset();
}

EventLog::Subscription& EventLog::Subscription::operator=(Subscription&& other) noexcept {
  if (this == &other) return *this;
  End();
  log_ = std::exchange(other.log_, nullptr);
  sink_ = other.sink_;
  return *this;
}

void EventLog::Subscription::End() {
  if (EventLog* log = std::exchange(log_, nullptr); log != nullptr) log->Unsubscribe(sink_);
}

}  // namespace hlbuf
