// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_TESTS_SUPPORT_FAKE_OBSERVER_H_
#define HLBUF_TESTS_SUPPORT_FAKE_OBSERVER_H_

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <vector>

#include "daemon/core/observer.h"

namespace hlbuf {

// Remembers every event.
class FakeObserver final : public Observer {
 public:
  void OnEvent(const Event& event) override {
    if (remember) events.push_back(event);
  }
  bool wants_leases() const override { return leases_wanted; }

  std::size_t Count(EventKind kind) const {
    return static_cast<std::size_t>(std::count_if(
        events.begin(), events.end(), [kind](const Event& event) { return event.kind == kind; }));
  }
  std::vector<Event> Of(EventKind kind) const {
    std::vector<Event> of;
    std::copy_if(events.begin(), events.end(), std::back_inserter(of),
                 [kind](const Event& event) { return event.kind == kind; });
    return of;
  }
  // The newest of that kind; an empty event if there is none.
  Event Last(EventKind kind) const {
    const auto it = std::find_if(events.rbegin(), events.rend(),
                                 [kind](const Event& event) { return event.kind == kind; });
    return it == events.rend() ? Event() : *it;
  }

  std::vector<Event> events;
  bool leases_wanted = false;
  bool remember = true;  // false where a program runs for long
};

}  // namespace hlbuf

#endif  // HLBUF_TESTS_SUPPORT_FAKE_OBSERVER_H_
