// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_WATCHDOG_H_
#define HLBUF_DAEMON_WATCHDOG_H_

#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"
#include "daemon/base/clock.h"
#include "daemon/base/poster.h"

namespace hlbuf {

// Tells the service manager that the service lives: four times in the time that it gives, and each
// time only after the loop has run a posted task and the control server has answered. Everything
// here is done by the loop, so nothing is told when that hangs. Broker thread.
//
// A device that hangs is no reason: a restart does not cure it, and its worker is not the loop.
class Watchdog {
 public:
  // Asks the control server; `answered` is to be called on the broker thread, later, with whether
  // it serves.
  using Probe = absl::AnyInvocable<void(absl::AnyInvocable<void(bool) &&> answered)>;
  // Told lines as of sd_notify(3).
  using Notify = absl::AnyInvocable<void(const std::string& lines)>;

  // `patience` of the service manager; infinite where it does not watch. The references outlive
  // this.
  Watchdog(absl::Duration patience, Poster& poster, const Clock& clock, Probe probe, Notify notify);

  // The service stops, which has a limit of its own: nothing is asked any more.
  void Rest() { next_ = absl::InfiniteFuture(); }

  absl::Time NextDeadline() const { return next_; }
  void RunDeadlines();

 private:
  void Ask();
  void OnAnswer(bool serves);
  void Complain(const char* what) const;

  absl::Duration patience_;
  Poster& poster_;
  const Clock& clock_;
  Probe probe_;
  Notify notify_;
  absl::Time next_;
  absl::Time told_;      // that the service lives
  bool asking_ = false;  // and not answered yet
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_WATCHDOG_H_
