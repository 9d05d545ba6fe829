// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_CORE_ALARM_WATCH_H_
#define HLBUF_DAEMON_CORE_ALARM_WATCH_H_

#include <cstdint>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"
#include "daemon/core/deadlines.h"
#include "daemon/core/device.h"
#include "daemon/core/ledger.h"

namespace hlbuf {

// Asks devices whether they have something to say, from when they are open until everybody has been
// asked back: a driver may come to reset at once what it had announced, or what only was a drill.
// At once when they give a sign, and again and again, for some resets of a habanalabs card send no
// event, and only its status and its reset counter tell of them.
class AlarmWatch {
 public:
  // Small beside the seconds that a driver waits, and so long that asking costs nothing.
  static constexpr absl::Duration kPause = absl::Milliseconds(100);
  using Raised = absl::AnyInvocable<void(Device&, const Alarm&)>;

  AlarmWatch(Ledger& ledger, Raised raised) : ledger_(ledger), raised_(std::move(raised)) {}

  // Of a device that has been opened. Ends by itself when it is closed. What it says again and
  // again is told again and again.
  void Begin(Device& device);

 private:
  struct Watched {
    std::uint64_t question = 0;  // the last one
    bool answered = true;
    bool ask_again = false;  // a sign came that the present question may be too early for
    Deadlines::Handle next;
  };
  void OnSign(Device& device);
  void Ask(Device& device);
  void OnAnswer(Device& device, std::uint64_t question, const std::optional<Alarm>& alarm);
  static bool Listens(const Device& device);

  Ledger& ledger_;
  Raised raised_;
  absl::flat_hash_map<Device*, Watched> watched_;
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_CORE_ALARM_WATCH_H_
