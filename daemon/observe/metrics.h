// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_OBSERVE_METRICS_H_
#define HLBUF_DAEMON_OBSERVE_METRICS_H_

#include <array>
#include <cstdint>
#include <string>

#include "absl/container/btree_map.h"
#include "daemon/core/broker.h"
#include "daemon/observe/event_log.h"
#include "daemon/observe/open_metrics.h"

namespace hlbuf {

// Counts events, and shows the counts with what the broker has now. Per-grant events are not
// counted: they are made only while somebody watches them. Labels are devices and names of this
// program, never anything of a peer's. Broker thread.
class Metrics final : private EventSink {
 public:
  // `log` outlives this.
  explicit Metrics(EventLog& log) : subscription_(log.Subscribe(*this, /*leases=*/false)) {}

  // The OpenMetrics text format, version 1.0. The same for the same counts, to the byte.
  std::string Text(const Broker& broker) const;

 private:
  struct OfDevice {
    std::uint64_t resets = 0;
    std::uint64_t failures = 0;
    std::uint64_t openers_lost = 0;
    std::uint64_t buffers_outlived = 0;
  };
  void OnEvent(const NumberedEvent& numbered) override;
  void AddLosses(OpenMetrics& out) const;

  std::array<std::uint64_t, kEventKindCount> events_ = {};
  std::array<std::uint64_t, kEventKindCount> lost_ = {};  // how many, not how often
  std::array<std::uint64_t, 3> verdicts_ = {};            // by Verdict::Kind
  absl::btree_map<std::string, OfDevice> devices_;
  EventLog::Subscription subscription_;  // keep last: it calls this
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_OBSERVE_METRICS_H_
