// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_OBSERVE_REFUSAL_LIMIT_H_
#define HLBUF_DAEMON_OBSERVE_REFUSAL_LIMIT_H_

#include <cstddef>
#include <cstdint>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "daemon/base/clock.h"
#include "daemon/base/rate_limit.h"
#include "daemon/core/observer.h"

namespace hlbuf {

// Hands events on, of what one domain can cause at will (refusals, violations, what it shares and
// takes back) only so many in a time: nobody pushes the events of others out of the log. The next
// one of its kind and domain that passes says how many were left out. Broker thread.
class RefusalLimit final : public Observer {
 public:
  // More domains than these are not counted at once; what they cause then is left out.
  static constexpr std::size_t kDomainsMax = 1024;
  using Key = std::pair<Domain, EventKind>;
  static constexpr RateLimit<Key>::Rate kRate = {.burst = 32, .interval = absl::Seconds(5)};

  // Both outlive this.
  RefusalLimit(Observer& next, const Clock& clock)
      : next_(next), limit_(clock, kRate, kDomainsMax) {}

  void OnEvent(const Event& event) override;
  bool wants_leases() const override { return next_.wants_leases(); }

 private:
  void LeaveOut(const Key& key);

  Observer& next_;
  RateLimit<Key> limit_;
  absl::flat_hash_map<Key, std::uint64_t> left_out_;  // at most kDomainsMax
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_OBSERVE_REFUSAL_LIMIT_H_
