// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_OBSERVE_AUDIT_H_
#define HLBUF_DAEMON_OBSERVE_AUDIT_H_

#include <array>
#include <cstdint>
#include <functional>
#include <utility>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "daemon/base/clock.h"
#include "daemon/base/log.h"
#include "daemon/base/rate_limit.h"
#include "daemon/observe/event_log.h"

namespace hlbuf {

// Writes events to the log, with typed fields. What devices and operators do is always there. What
// peers can cause at will (refusals, violations) is limited for each domain and for all together,
// in lines and in memory; the next line of its kind says how many were left out. Broker thread.
class Audit final : public EventSink {
 public:
  using Write = std::function<void(LogLevel, absl::string_view, absl::Span<const LogField>)>;

  // 10^5 violators, each with a domain of its own, so write less than 100 lines in a minute even if
  // they know a way to each kind of line.
  static constexpr std::size_t kDomainsMax = 1024;
  using Key = std::pair<Domain, EventKind>;
  static constexpr RateLimit<Key>::Rate kOfDomain = {.burst = 5, .interval = absl::Seconds(10)};
  static constexpr RateLimit<EventKind>::Rate kOfAll = {.burst = 10, .interval = absl::Seconds(5)};

  // Events less urgent than `level` are left out. `log` and `clock` outlive this.
  Audit(EventLog& log, const Clock& clock, LogLevel level, Write write = Log);
  // Says what was left out since the last line.
  ~Audit() override;

  // From now on.
  void set_level(LogLevel level) { level_ = level; }

  void OnEvent(const NumberedEvent& numbered) override;

 private:
  bool Admit(const Event& event);

  LogLevel level_;
  Write write_;
  RateLimit<Key> of_domain_;
  RateLimit<EventKind> of_all_;
  std::array<std::uint64_t, kEventKindCount> left_out_ = {};
  EventLog::Subscription subscription_;  // keep last: it calls this
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_OBSERVE_AUDIT_H_
