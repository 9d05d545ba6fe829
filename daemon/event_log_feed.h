// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_EVENT_LOG_FEED_H_
#define HLBUF_DAEMON_EVENT_LOG_FEED_H_

#include <cstdint>
#include <utility>

#include "daemon/control/event_feed.h"
#include "daemon/observe/event_log.h"

namespace hlbuf {

// The event log as the control API reads it: the two know nothing of each other. Broker thread.
class EventLogFeed final : public EventFeed, private EventSink {
 public:
  // `log` outlives this.
  explicit EventLogFeed(EventLog& log) : log_(log) {}

  std::uint64_t life() const override { return log_.life(); }
  std::uint64_t next() const override { return log_.next(); }

  Batch Read(std::uint64_t from, std::size_t events_max, bool leases) const override {
    EventLog::Batch read = log_.Read(from, events_max, leases);
    Batch batch;
    if (read.gap.has_value()) batch.gap = Gap{.from = read.gap->from, .to = read.gap->to};
    batch.events.reserve(read.events.size());
    for (NumberedEvent& event : read.events)
      batch.events.push_back({.sequence = event.sequence, .event = std::move(event.event)});
    batch.next = read.next;
    return batch;
  }

  void Listen(EventTask on_event, bool leases) override {
    on_event_ = std::move(on_event);
    subscription_.End();
    subscription_ = log_.Subscribe(*this, leases);
  }
  void Ignore() override { subscription_.End(); }

 private:
  void OnEvent(const NumberedEvent& event) override { on_event_(event.event); }

  EventLog& log_;
  EventTask on_event_;
  EventLog::Subscription subscription_;
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_EVENT_LOG_FEED_H_
