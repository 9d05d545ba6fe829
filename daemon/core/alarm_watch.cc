// SPDX-License-Identifier: Apache-2.0
#include "daemon/core/alarm_watch.h"

namespace hlbuf {

void AlarmWatch::Begin(Device& device) {
  if (device.traits().raises_alarms) Ask(device, device.epoch());
}

// An answer of an earlier life of the device, or one that comes when a reset runs already, says
// nothing new.
void AlarmWatch::Ask(Device& device, std::uint64_t epoch) {
  device.backend().CheckAlarm([this, &device, epoch](const std::optional<Alarm>& alarm) {
    if (device.state() != DeviceState::kReady || device.epoch() != epoch) return;
    if (alarm.has_value()) return raised_(device, *alarm);
    ledger_.deadlines.At(ledger_.clock.Now() + kPause, [this, &device, epoch] {
      if (device.state() == DeviceState::kReady && device.epoch() == epoch) Ask(device, epoch);
    });
  });
}

}  // namespace hlbuf
