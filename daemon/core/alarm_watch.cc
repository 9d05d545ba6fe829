// SPDX-License-Identifier: Apache-2.0
#include "daemon/core/alarm_watch.h"

namespace hlbuf {

void AlarmWatch::Begin(Device& device) {
  if (!device.traits().raises_alarms) return;
  const bool first = watched_.try_emplace(&device).second;
  if (first) device.backend().OnAlarmSign([this, &device] { OnSign(device); });
  Ask(device);
}

// What comes while the device is closed is asked for when it is open again.
void AlarmWatch::OnSign(Device& device) {
  if (!Listens(device)) return;
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

bool AlarmWatch::Listens(const Device& device) {
  return device.is_open() || device.state() == DeviceState::kRevoking;
}

// An answer of an earlier life of the device, or one that comes when it is being closed already,
// says nothing new.
void AlarmWatch::OnAnswer(Device& device, std::uint64_t question,
                          const std::optional<Alarm>& alarm) {
  Watched& watched = watched_.at(&device);
  if (question != watched.question) return;
  watched.answered = true;
  if (!Listens(device)) return;
  if (alarm.has_value()) raised_(device, *alarm);
  if (!Listens(device)) return;  // what was raised has ended it
  // Looked up again, for what was raised may have begun to watch another device, or this one anew.
  Watched& still = watched_.at(&device);
  if (question != still.question) return;
  if (still.ask_again) return Ask(device);
  still.next = ledger_.deadlines.At(ledger_.clock.Now() + kPause, [this, &device] {
    if (Listens(device)) Ask(device);
  });
}

}  // namespace hlbuf
