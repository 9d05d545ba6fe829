// SPDX-License-Identifier: Apache-2.0
// The seam between whoever keeps events and whoever watches them; neither knows the other.
#ifndef HLBUF_DAEMON_CORE_EVENT_SOURCE_H_
#define HLBUF_DAEMON_CORE_EVENT_SOURCE_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/time/time.h"
#include "daemon/core/observer.h"

namespace hlbuf {

// An event and its place among all events of one life of the daemon. Never changes once made, so
// that threads may share it.
struct NumberedEvent {
  std::uint64_t sequence = 0;  // 1, 2, 3, ... without holes
  absl::Time wall_time;        // when it happened, for people
  Event event;
};
using SharedEvent = std::shared_ptr<const NumberedEvent>;

// Broker thread. Must not call back into the broker or the source, must not block.
class EventSink {
 public:
  virtual ~EventSink() = default;
  virtual void OnNumberedEvent(const SharedEvent& event) = 0;
};

// The latest events, and those to come. Broker thread only.
class EventSource {
 public:
  virtual ~EventSource() = default;
  // Of this life of the daemon; another one has another number. Never 0.
  virtual std::uint64_t life() const = 0;
  // Of the latest event; 0 before the first.
  virtual std::uint64_t last_sequence() const = 0;
  // At most `max` of the kept events after `sequence`, ascending without holes. The first may be
  // later than sequence + 1: what lies between was forgotten.
  virtual std::vector<SharedEvent> After(std::uint64_t sequence, std::size_t max) const = 0;
  // Every event from now on, until null. `sink` outlives its being set.
  virtual void SetSink(EventSink* sink) = 0;
  // Whether that sink wants lease events, which cost the hand-over path; off at first.
  virtual void SetWantsLeases(bool wanted) = 0;
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_CORE_EVENT_SOURCE_H_
