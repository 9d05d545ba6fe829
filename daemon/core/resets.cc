// SPDX-License-Identifier: Apache-2.0
#include "daemon/core/resets.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "daemon/core/error.h"
#include "daemon/core/reset_plan.h"

namespace hlbuf {

void Resets::Step(Device& device, DeviceEvent on, absl::string_view why) {
  device.Apply(on);
  TellState(device, why);
  for (const auto& [id, session] : ledger_.sessions)
    if (session->state == SessionState::kReady)
      session->notices->OnDevice(device.name(), device.state(), device.epoch());
  stepped_(device);
}

bool Resets::IsComing(const Device& device) const {
  if (device.drain().has_value()) return false;
  return device.state() != DeviceState::kFailed || retries_.contains(&device);
}

void Resets::TellState(const Device& device, absl::string_view why) {
  ledger_.Tell(
      {.kind = EventKind::kDeviceState,
       .device = device.name(),
       .text = absl::StrCat(StateText(device.state()), ", epoch ", device.epoch(), ": ", why),
       .state = device.state()});
}

void Resets::Open(Device& device) {
  Step(device, DeviceEvent::kOpen, retries_.contains(&device) ? "trying again" : "opening");
  device.backend().Open([this, &device](const absl::Status& opened) { OnOpened(device, opened); });
}

absl::Status Resets::Begin(Device& device, Drill drill, absl::Duration grace, Done done) {
  if (!device.is_open() && device.state() != DeviceState::kFailed)
    return Error(ErrorCode::kDeviceUnavailable,
                 absl::StrCat(device.name(), " is ", StateText(device.state()),
                              "; ask again when it is READY, DRAINED or FAILED"));
  Start(device, drill, grace,
        device.state() == DeviceState::kFailed ? "reset of a failed device"
                                               : "a reset begins: every lease is asked back",
        std::move(done));
  return absl::OkStatus();
}

void Resets::OnAlarm(Device& device, const Alarm& alarm) {
  if (alarm.kind == Alarm::Kind::kOpenerLost) return WarnOnce(device, alarm.text);
  const bool in_time = alarm.kind == Alarm::Kind::kResetPending;
  const absl::Duration grace = GraceWithin(in_time ? alarm.window : absl::ZeroDuration(), grace_);
  if (device.state() == DeviceState::kRevoking)
    return Hurry(device, ledger_.clock.Now() + grace, alarm.text);
  Start(device, Drill::kNone, grace, alarm.text, [](const ResetReport&) {});
}

// It is said again whenever the device is asked.
void Resets::WarnOnce(Device& device, const std::string& text) {
  if (device.warning() == text) return;
  device.set_warning(text);
  ledger_.Tell({.kind = EventKind::kOpenerLost, .device = device.name(), .text = text});
}

// A second reset during the first, which asks everything back already. It has no more time than the
// first, and perhaps less.
void Resets::Hurry(Device& device, absl::Time deadline, absl::string_view why) {
  if (revocations_.Hurry(running_.at(&device).revocation, deadline)) TellState(device, why);
}

void Resets::Start(Device& device, Drill drill, absl::Duration grace, absl::string_view why,
                   Done done) {
  StopRetrying(device);
  running_.insert_or_assign(&device, Running{.drill = drill, .done = std::move(done)});
  const bool failed = device.state() == DeviceState::kFailed;
  Step(device, DeviceEvent::kReset, why);
  if (failed) return Close(device);  // nothing is leased
  running_.at(&device).revocation =
      revocations_.Begin(ledger_.HeldOf(device), RevokeReason::kReset, grace,
                         [this, &device](const RevocationReport& report) {
                           running_.at(&device).report.revocation = report;
                           Step(device, DeviceEvent::kAllLetGo, "the revocation has ended");
                           Close(device);
                         });
}

// The broker never is what a driver waits for: what somebody still holds is given up.
void Resets::Close(Device& device) {
  if (!device.traits().survives_reset) {
    for (BufferRecord* buffer : ledger_.HeldOf(device)) draining_.GiveUp(*buffer);
  }
  device.WhenIdle([this, &device] {
    Step(device, DeviceEvent::kClosed, "resetting");
    device.backend().Reset(running_.at(&device).drill,
                           [this, &device](const absl::Status& reset) { OnReset(device, reset); });
  });
}

void Resets::OnReset(Device& device, const absl::Status& reset) {
  const bool lost = !device.traits().survives_reset;
  if (reset.ok() || lost) device.BeginEpoch();
  if (!reset.ok()) {
    // A real device may come back by what an administrator does.
    const std::string why = FailureText(device, reset.message());
    device.set_failure(lost ? absl::StrCat(why, "; opening it is tried again ",
                                           absl::FormatDuration(RetryLater(device)), " after this")
                            : why);
    Step(device, DeviceEvent::kResetFailed, device.failure());
    return End(device, reset);
  }
  Step(device, DeviceEvent::kResetDone, "opening again");
  device.backend().Open([this, &device](const absl::Status& opened) { OnOpened(device, opened); });
}

void Resets::OnOpened(Device& device, const absl::Status& opened) {
  if (opened.ok()) {
    StopRetrying(device);
    device.set_failure("");
    ledger_.lost.Forget(device);
    if (device.drain().has_value())
      Step(device, DeviceEvent::kOpenedDrained,
           absl::StrCat("kept out of use by ", device.drain()->by));
    else
      Step(device, DeviceEvent::kOpened, "open for allocations");
    End(device, opened);
    return alarms_.Begin(device);
  }
  const auto reset = running_.find(&device);
  const bool kept_away = reset != running_.end() && reset->second.drill == Drill::kFails;
  const std::string why = FailureText(device, opened.message());
  device.set_failure(kept_away ? why
                               : absl::StrCat(why, "; opening it is tried again ",
                                              absl::FormatDuration(RetryLater(device)),
                                              " after this failure"));
  Step(device, DeviceEvent::kOpenFailed, device.failure());
  End(device, opened);
}

std::string Resets::FailureText(const Device& device, absl::string_view why) const {
  const std::size_t lost = ledger_.lost.CountOf(device);
  if (lost == 0) return std::string(why);
  return absl::StrCat(why, "; the reset took ", lost, lost == 1 ? " buffer" : " buffers",
                      " that somebody held: `hl-bufctl holders ", device.name(),
                      "`, as root, shows who still has ", lost == 1 ? "it" : "them");
}

void Resets::Drain(Device& device, std::string by) {
  if (device.drain().has_value()) return;
  const std::string why = absl::StrCat("taken out of use by ", by);
  device.set_drain(hlbuf::Drain{.by = std::move(by), .since = ledger_.clock.Now()});
  if (device.state() == DeviceState::kReady) return Step(device, DeviceEvent::kDrain, why);
  TellState(device, absl::StrCat(why, "; it will be DRAINED when it is open"));
  stepped_(device);
}

void Resets::Undrain(Device& device) {
  if (!device.drain().has_value()) return;
  device.set_drain(std::nullopt);
  if (device.state() == DeviceState::kDrained)
    return Step(device, DeviceEvent::kUndrain, "open for allocations");
  TellState(device, "no longer kept out of use; it will be READY when it is open");
}

absl::Duration Resets::RetryLater(Device& device) {
  const auto [it, first] = retries_.try_emplace(&device, Retry{.pause = kFirstPause});
  Retry& retry = it->second;
  if (!first) retry.pause = std::min(retry.pause * 2, kLongestPause);
  retry.timer =
      ledger_.deadlines.At(ledger_.clock.Now() + retry.pause, [this, &device] { Open(device); });
  return retry.pause;
}

void Resets::StopRetrying(Device& device) {
  const auto it = retries_.find(&device);
  if (it == retries_.end()) return;
  ledger_.deadlines.Cancel(it->second.timer);
  retries_.erase(it);
}

void Resets::End(Device& device, const absl::Status& outcome) {
  const auto it = running_.find(&device);
  if (it == running_.end()) return;  // the first opening is nobody's request
  Running running = std::move(it->second);
  running_.erase(it);
  if (std::string lost = ledger_.lost.Text(device); !outcome.ok() && !lost.empty())
    ledger_.Tell({.kind = EventKind::kHoldersFound,
                  .device = device.name(),
                  .text = absl::StrCat("given up in the reset that failed: ", lost)});
  running.report.epoch = device.epoch();
  running.report.outcome = outcome;
  std::move(running.done)(running.report);
}

}  // namespace hlbuf
