// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_CORE_LOSS_H_
#define HLBUF_DAEMON_CORE_LOSS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "daemon/core/observer.h"

namespace hlbuf {

// What was lost in one way (IsLoss()), since this process was started.
struct Loss {
  static constexpr std::size_t kToldMax = 8;

  struct Told {
    std::uint64_t sequence = 0;
    Event event;
  };
  EventKind kind = EventKind::kStateLost;
  std::uint64_t count = 0;
  std::vector<Told> told;  // the newest kToldMax, in order
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_CORE_LOSS_H_
