// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_OBSERVE_LOSSES_H_
#define HLBUF_DAEMON_OBSERVE_LOSSES_H_

#include <vector>

#include "absl/container/btree_map.h"
#include "daemon/core/loss.h"
#include "daemon/observe/event_log.h"

namespace hlbuf {

// Remembers what was lost, for as long as this process lives: unlike other events it is not pushed
// out by what happens later. Broker thread.
class Losses final : private EventSink {
 public:
  // `log` outlives this.
  explicit Losses(EventLog& log) : subscription_(log.Subscribe(*this, /*leases=*/false)) {}

  // In the order of their kinds; empty: nothing was lost.
  std::vector<Loss> All() const;

 private:
  void OnEvent(const NumberedEvent& numbered) override;

  absl::btree_map<EventKind, Loss> losses_;
  EventLog::Subscription subscription_;  // keep last: it calls this
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_OBSERVE_LOSSES_H_
