// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_READINESS_H_
#define HLBUF_DAEMON_READINESS_H_

#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"
#include "daemon/base/clock.h"
#include "daemon/base/poster.h"
#include "daemon/core/broker.h"
#include "daemon/observe/event_log.h"

namespace hlbuf {

// Tells the service manager that the service is ready once no device is being opened any more, so
// that what is started after it finds its device; but after kPatience at the latest, for a driver
// may take minutes. What the service manager is to keep for the next life has been counted by then,
// or kCountPatience has passed. Later it tells how the devices are, when that has changed. Broker
// thread.
class Readiness final : private EventSink {
 public:
  static constexpr absl::Duration kPatience = absl::Seconds(5);
  static constexpr absl::Duration kCountPatience = absl::Seconds(2);
  // Told lines as of sd_notify(3).
  using Notify = absl::AnyInvocable<void(const std::string& lines)>;

  // All of them outlive this; it is made before the first device is added.
  Readiness(EventLog& log, const Broker& broker, Poster& poster, const Clock& clock, Notify notify);

  // The configuration is being read again; then, that it is not any more, and what is to be said
  // of it with the devices: nothing, if that is empty.
  void BeginReload();
  void EndReload(std::string remark);
  // What else is to be said, until it is empty again.
  void SetTrouble(std::string trouble);
  // What is kept is being counted, or is not any more.
  void AwaitCount(bool awaited);
  // From now on nothing is told but this.
  void TellStopping();

  absl::Time NextDeadline() const;
  void RunDeadlines();

 private:
  void OnEvent(const NumberedEvent& numbered) override;
  void LookAtDevices();
  std::string Status() const;
  void Tell(const std::string& status);
  void TellStatus(const std::string& status);

  const Broker& broker_;
  Poster& poster_;
  const Clock& clock_;
  Notify notify_;
  absl::Time latest_;
  absl::Time count_latest_;
  bool awaits_count_ = false;
  bool ready_ = false;
  bool stopping_ = false;
  bool reloading_ = false;  // and the service manager was told so
  std::string remark_;
  std::string trouble_;
  std::string told_;
  EventLog::Subscription subscription_;  // last: it calls this
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_READINESS_H_
