// SPDX-License-Identifier: Apache-2.0
#include "daemon/core/alarm_watch.h"

namespace hlbuf {

void AlarmWatch::Begin(Device& device) {
  if (!device.traits().raises_alarms) return;
  const bool first = watched_.try_emplace(&device).second;
  if (first) device.backend().OnAlarmSign([this, &device] { OnSign(device); });
  Ask(device);
}

// What comes while the device is not open is asked for when it is again.
void AlarmWatch::OnSign(Device& device) {
  if (!device.is_open()) return;
  Watched& watched = watched_.at(&device);
  if (watched.answered) return Ask(device);
  watched.ask_again = true;
}

void AlarmWatch::Ask(Device& device) {
  Watched& watched = watched_.at(&device);
  ledger_.deadlines.Cancel(watched.next);
  watched.answered = watched.ask_again = false;
  device.backend().CheckAlarm(
      [this, &device, question = ++watched.question](const std::optional<Alarm>& alarm) {
        OnAnswer(device, question, alarm);
      });
}

// An answer of an earlier life of the device, or one that comes when a reset runs already, says
// nothing new.
void AlarmWatch::OnAnswer(Device& device, std::uint64_t question,
                          const std::optional<Alarm>& alarm) {
  Watched& watched = watched_.at(&device);
  if (question != watched.question) return;
  watched.answered = true;
  if (!device.is_open()) return;
  if (alarm.has_value()) raised_(device, *alarm);
  if (!device.is_open()) return;  // what was raised has begun a reset
  if (watched.ask_again) return Ask(device);
  watched.next = ledger_.deadlines.At(ledger_.clock.Now() + kPause, [this, &device] {
    if (device.is_open()) Ask(device);
  });
}

}  // namespace hlbuf
