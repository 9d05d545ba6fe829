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
  ledger_.recorder.Write(device);
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
  if (resumptions_.Awaits(device)) return Resume(device);
  device.backend().Open([this, &device](const absl::Status& opened) { OnOpened(device, opened); });
}

void Resets::GoOn(Device& device, Resumption from) {
  resumptions_.Add(device, std::move(from));
  if (device.closing().has_value())
    running_.emplace(&device, Running{.drill = device.closing()->drill,
                                      .revocation = device.closing()->revocation,
                                      .done = [](const ResetReport&) {}});
}

void Resets::Resume(Device& device) {
  resumptions_.Begin(device, [this, &device](const absl::StatusOr<Resumptions::Outcome>& outcome) {
    OnResumed(device, outcome);
  });
}

// Where an earlier process had begun a reset, it goes on: with the time that is left, or from where
// its last holder let go.
void Resets::OnResumed(Device& device, const absl::StatusOr<Resumptions::Outcome>& outcome) {
  if (!outcome.ok()) return OnOpened(device, outcome.status());
  if (*outcome == Resumptions::Outcome::kMemoryGone) {
    device.set_closing(std::nullopt);
    ledger_.recorder.Write(device);
    return device.backend().Open(
        [this, &device](const absl::Status& opened) { OnOpened(device, opened); });
  }
  const auto it = running_.find(&device);
  if (it == running_.end()) return OnOpened(device, absl::OkStatus());
  Step(device, DeviceEvent::kReset, absl::StrCat("goes on: ", device.closing()->why));
  if (it->second.revoked) return AllLetGo(device);
  alarms_.Begin(device);
}

absl::Status Resets::Begin(Device& device, Drill drill, absl::Duration grace, Done done) {
  if (!device.is_open() && device.state() != DeviceState::kFailed)
    return Error(ErrorCode::kDeviceUnavailable,
                 absl::StrCat(device.name(), " is ", StateText(device.state()),
                              "; ask again when it is READY, DRAINED or FAILED"));
  if (resumptions_.Awaits(device))
    return Error(ErrorCode::kDeviceUnavailable,
                 absl::StrCat(device.name(), " has not answered since this service was started (",
                              device.failure(), "); it is asked again and again"));
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
  const Closing closing = {.why = std::string(why),
                           .drill = drill,
                           .deadline = ledger_.clock.Now() + grace,
                           .revocation = ledger_.ids.Next<RevocationId>()};
  running_.insert_or_assign(
      &device, Running{.drill = drill, .revocation = closing.revocation, .done = std::move(done)});
  const bool failed = device.state() == DeviceState::kFailed;
  // Written down with the step, before anybody is told.
  device.set_closing(closing);
  Step(device, DeviceEvent::kReset, why);
  if (failed) return Close(device);  // nothing is leased
  revocations_.Begin({.id = closing.revocation,
                      .reason = RevokeReason::kReset,
                      .began = closing.deadline - grace,
                      .deadline = closing.deadline},
                     ledger_.HeldOf(device), WhenRevoked(device));
}

Revocations::Done Resets::WhenRevoked(Device& device) {
  return [this, &device](const RevocationReport& report) {
    const auto it = running_.find(&device);
    if (it == running_.end()) return;
    it->second.report.revocation = report;
    it->second.revoked = true;
    // Else the device has not been resumed yet.
    if (device.state() == DeviceState::kRevoking) AllLetGo(device);
  };
}

void Resets::AllLetGo(Device& device) {
  Step(device, DeviceEvent::kAllLetGo, "the revocation has ended");
  Close(device);
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
  device.set_closing(std::nullopt);
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
    ledger_.ForgetLost(device);
    if (device.drain().has_value())
      Step(device, DeviceEvent::kOpenedDrained,
           absl::StrCat("kept out of use by ", device.drain()->by));
    else
      Step(device, DeviceEvent::kOpened, "open for allocations");
    End(device, opened);
    return alarms_.Begin(device);
  }
  // A reset that an earlier process had begun waits until the device can be asked.
  const bool awaited = resumptions_.Awaits(device);
  const auto reset = running_.find(&device);
  const bool kept_away =
      reset != running_.end() && reset->second.drill == Drill::kFails && !awaited;
  const std::string why = FailureText(device, opened.message());
  device.set_failure(kept_away ? why
                               : absl::StrCat(why, "; opening it is tried again ",
                                              absl::FormatDuration(RetryLater(device)),
                                              " after this failure"));
  Step(device, DeviceEvent::kOpenFailed, device.failure());
  if (!awaited) End(device, opened);
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
  ledger_.recorder.Write(device);
  if (device.state() == DeviceState::kReady) return Step(device, DeviceEvent::kDrain, why);
  TellState(device, absl::StrCat(why, "; it will be DRAINED when it is open"));
  stepped_(device);
}

void Resets::Undrain(Device& device) {
  if (!device.drain().has_value()) return;
  device.set_drain(std::nullopt);
  ledger_.recorder.Write(device);
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
