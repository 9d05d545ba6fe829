// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_OBSERVE_EVENT_LOG_H_
#define HLBUF_DAEMON_OBSERVE_EVENT_LOG_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "daemon/core/observer.h"
#include "daemon/observe/event_ring.h"

namespace hlbuf {

// Whoever wants to know at once. Broker thread; must not call back into the log or the broker, must
// not block.
class EventSink {
 public:
  virtual ~EventSink() = default;
  virtual void OnEvent(const NumberedEvent& event) = 0;
};

// Numbers what happens, tells it to subscribers, and keeps the newest of it, so that a watcher that
// was away, or cannot keep up, reads on from where it was:
//
//   batch = log.Read(next, 100, leases);  // whenever it can take more
//   if (batch.gap) ...                    // not all of these numbers are left
//   next = batch.next;                    // == log.next(): caught up
//
// A watcher so needs no queue of its own, and nobody who lags costs more than a number.
//
// Per-grant events are made only while somebody subscribes to them, and have a ring of their own:
// they would push everything else out. Numbers are good within one life of the daemon; a watcher
// that comes from another life() starts at 1. Broker thread only.
class EventLog final : public Observer {
 public:
  static constexpr std::size_t kCapacity = 16384;

  explicit EventLog(std::uint64_t life, std::size_t capacity = kCapacity)
      : life_(life), capacity_(capacity), events_(capacity, 0) {}

  std::uint64_t life() const { return life_; }
  // The number of the next event.
  std::uint64_t next() const { return next_; }

  // Numbers of which at least one is lost; both ends included. Per-grant events are sooner lost
  // than others, so what is left of them is read as well.
  struct Gap {
    std::uint64_t from = 0;
    std::uint64_t to = 0;
    friend bool operator==(const Gap&, const Gap&) = default;
  };
  struct Batch {
    std::optional<Gap> gap;  // comes before the events
    std::vector<NumberedEvent> events;
    std::uint64_t next = 1;  // where to read on
  };
  // At most `events_max` events, from number `from` on, per-grant ones only with `leases`. They
  // were lost before somebody subscribed to them. A gap that is longer than the batch is told by
  // the next one again, as far as it is still ahead. A number that is still to come reads nothing.
  Batch Read(std::uint64_t from, std::size_t events_max, bool leases) const;

  // Told each event until this is destroyed.
  class [[nodiscard]] Subscription {
   public:
    Subscription() = default;
    Subscription(Subscription&& other) noexcept
        : log_(std::exchange(other.log_, nullptr)), sink_(other.sink_) {}
    Subscription& operator=(Subscription&& other) noexcept;
    ~Subscription() { End(); }
    void End();

   private:
    friend class EventLog;
    Subscription(EventLog* log, EventSink* sink) : log_(log), sink_(sink) {}
    EventLog* log_ = nullptr;
    EventSink* sink_ = nullptr;
  };
  // `sink` and this log outlive the subscription; a sink has one at a time.
  Subscription Subscribe(EventSink& sink, bool leases);

  void OnEvent(const Event& event) override;
  bool wants_leases() const override { return leases_.has_value(); }

 private:
  struct Subscriber {
    EventSink* sink;
    bool leases;
  };
  void Unsubscribe(EventSink* sink);

  std::uint64_t life_;
  std::size_t capacity_;
  std::uint64_t next_ = 1;
  EventRing events_;
  std::optional<EventRing> leases_;  // while somebody subscribes to them
  std::vector<Subscriber> subscribers_;
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_OBSERVE_EVENT_LOG_H_
