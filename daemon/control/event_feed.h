// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_CONTROL_EVENT_FEED_H_
#define HLBUF_DAEMON_CONTROL_EVENT_FEED_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "daemon/core/observer.h"

namespace hlbuf {

// Where WatchEvents gets its events from: whoever numbers them and keeps the newest. Broker thread.
class EventFeed {
 public:
  struct Numbered {
    std::uint64_t sequence = 0;
    Event event;
  };
  // Numbers of which at least one was forgotten, or never made; both ends included. Events with
  // such numbers that are still known are read as well.
  struct Gap {
    std::uint64_t from = 0;
    std::uint64_t to = 0;
  };
  struct Batch {
    std::optional<Gap> gap;  // comes before the events
    std::vector<Numbered> events;
    std::uint64_t next = 1;  // where to read on
  };

  virtual ~EventFeed() = default;
  // Of this life of the daemon; another one has another number, and none has 0.
  virtual std::uint64_t life() const = 0;
  // Number of the next event; the first has 1.
  virtual std::uint64_t next() const = 0;
  // At most `events_max` events from number `from` on, per-grant ones only with `leases`.
  virtual Batch Read(std::uint64_t from, std::size_t events_max, bool leases) const = 0;

  // Calls `on_event` for each event from now on, in place of what was asked before. Per-grant
  // events are made, and kept, only while `leases`.
  using EventTask = absl::AnyInvocable<void(const Event&)>;
  virtual void Listen(EventTask on_event, bool leases) = 0;
  // Calls nothing any more.
  virtual void Ignore() = 0;
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_CONTROL_EVENT_FEED_H_
