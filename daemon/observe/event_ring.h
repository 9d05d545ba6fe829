// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_OBSERVE_EVENT_RING_H_
#define HLBUF_DAEMON_OBSERVE_EVENT_RING_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "daemon/core/observer.h"

namespace hlbuf {

struct NumberedEvent {
  std::uint64_t sequence = 0;  // ascending, from 1 in each life of the daemon
  Event event;
};

// The newest events, in the order of their numbers, which may have holes. All its memory is taken
// at once, and texts reuse what earlier ones took: a busy broker does not grow by being observed.
class EventRing {
 public:
  // What has a number up to `lost_through` counts as lost. `capacity` is at least 1.
  EventRing(std::size_t capacity, std::uint64_t lost_through)
      : slots_(capacity), lost_through_(lost_through) {}

  // `sequence` is above all before. The result is good until the next Add().
  const NumberedEvent& Add(std::uint64_t sequence, const Event& event) {
    NumberedEvent& slot = slots_[next_];
    if (size_ == slots_.size())
      lost_through_ = slot.sequence;
    else
      ++size_;
    slot.sequence = sequence;
    slot.event = event;
    next_ = (next_ + 1) % slots_.size();
    return slot;
  }

  std::size_t size() const { return size_; }
  // 0 is the oldest.
  const NumberedEvent& at(std::size_t index) const {
    return slots_[(next_ + slots_.size() - size_ + index) % slots_.size()];
  }
  // Index of the first event with a number of at least `sequence`; size() if there is none.
  std::size_t IndexFrom(std::uint64_t sequence) const {
    std::size_t begin = 0;
    for (std::size_t count = size_; count > 0;) {
      const std::size_t half = count / 2;
      const bool below = at(begin + half).sequence < sequence;
      if (below) begin += half + 1;
      count = below ? count - half - 1 : half;
    }
    return begin;
  }
  // The highest number that was here, or could have been, and is not any more.
  std::uint64_t lost_through() const { return lost_through_; }

 private:
  std::vector<NumberedEvent> slots_;
  std::uint64_t lost_through_;
  std::size_t next_ = 0;
  std::size_t size_ = 0;
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_OBSERVE_EVENT_RING_H_
