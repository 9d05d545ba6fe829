// SPDX-License-Identifier: Apache-2.0
// What state a card is in, what that means, and waiting for a better one.
#include <poll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "daemon/base/crash_point.h"
#include "daemon/base/status_macros.h"
#include "daemon/core/error.h"
#include "daemon/device/backoff.h"
#include "daemon/device/error_text.h"
#include "daemon/device/habanalabs_card.h"

namespace hlbuf {
namespace {

// As sysfs has it.
absl::string_view StatusText(hl::Status status) {
  switch (status) {
    case hl::kOperational:
      return "operational";
    case hl::kInReset:
      return "in reset";
    case hl::kMalfunction:
      return "disabled";
    case hl::kNeedsReset:
      return "needs reset";
    case hl::kInDeviceCreation:
      return "in device creation";
    case hl::kInResetAfterDeviceRelease:
      return "in reset after device release";
  }
  return "in a state that is unknown here";
}

bool IsOperational(hl::Status status) {
  return status == hl::kOperational || status == hl::kInDeviceCreation;
}

// No reset of its own brings it back.
bool IsDisabled(hl::Status status) {
  return status == hl::kMalfunction || status == hl::kNeedsReset;
}

struct EventText {
  hl::Event bit;
  absl::string_view text;
};
constexpr std::array kEvents = {
    EventText{hl::kEventTpcAssert, "TPC assert"},
    EventText{hl::kEventUndefinedOpcode, "undefined opcode"},
    EventText{hl::kEventCsTimeout, "command timeout"},
    EventText{hl::kEventUserEngineError, "engine error"},
    EventText{hl::kEventGeneralHwError, "hardware error"},
    EventText{hl::kEventRazwi, "illegal access"},
    EventText{hl::kEventPageFault, "page fault"},
    EventText{hl::kEventCriticalHwError, "critical hardware error"},
    EventText{hl::kEventCriticalFwError, "critical firmware error"},
};

std::string CausesOf(std::uint64_t events) {
  std::string text;
  for (const EventText& event : kEvents)
    if ((events & event.bit) != 0) absl::StrAppend(&text, text.empty() ? "" : ", ", event.text);
  return text.empty() ? "the driver told no cause" : text;
}

std::string WayOut(const HabanalabsNodes& nodes) {
  return absl::StrCat(
      "make everybody let go of its buffers (`hl-bufctl holders` shows who has "
      "them), then write 1 to ",
      nodes.attributes, "/hard_reset");
}

}  // namespace

// Looks for the node anew where the last one was of no use: a driver can be bound again.
absl::StatusOr<HabanalabsCard::Look> HabanalabsCard::LookAtIt() {
  if (!control_) RETURN_IF_ERROR(OpenControl());
  absl::StatusOr<Look> look = AskControl();
  if (!look.ok()) control_.reset();
  return look;
}

absl::StatusOr<HabanalabsCard::Look> HabanalabsCard::AskControl() const {
  ASSIGN_OR_RETURN(const hl::Status status, control_->DeviceStatus());
  ASSIGN_OR_RETURN(const hl::OpenStats stats, control_->OpenStats());
  ASSIGN_OR_RETURN(const hl::ResetCount count, control_->ResetCount());
  return Look{.status = status,
              .in_use = stats.is_compute_ctx_active != 0 || stats.compute_ctx_in_release != 0,
              .resets = count.hard_reset_cnt};
}

absl::Status HabanalabsCard::Await(const std::function<bool(const Look&)>& enough) {
  Backoff backoff(syscalls_, interrupted_, limits_.reset);
  absl::Duration disabled_since = absl::InfiniteDuration();
  for (;;) {
    // A node that cannot be opened now may well be there after the reset.
    const absl::StatusOr<Look> look = LookAtIt();
    if (look.ok() && enough(*look)) return absl::OkStatus();
    const bool disabled = look.ok() && IsDisabled(look->status);
    disabled_since =
        disabled ? std::min(disabled_since, backoff.waited()) : absl::InfiniteDuration();
    if (backoff.waited() - disabled_since < limits_.disabled && backoff.Wait()) continue;
    if (!look.ok()) return Error(ErrorCode::kDeviceUnavailable, look.status().message());
    const std::string after =
        absl::StrCat(nodes_.pci, ": after ", absl::FormatDuration(backoff.waited()), " the card ");
    if (look->in_use)
      return Error(ErrorCode::kDeviceUnavailable,
                   absl::StrCat(after,
                                "still has an open context: somebody holds a dma-buf of it, "
                                "and it is ",
                                StatusText(look->status), "; ", WayOut(nodes_)));
    return Error(ErrorCode::kDeviceUnavailable,
                 absl::StrCat(after, "is ", StatusText(look->status), "; ", WayOut(nodes_)));
  }
}

absl::Status HabanalabsCard::AwaitOperational() {
  return Await([](const Look& look) { return !look.in_use && IsOperational(look.status); });
}

absl::Status HabanalabsCard::HardReset() {
  std::uint32_t before = 0;
  RETURN_IF_ERROR(Await([&](const Look& look) {
    before = look.resets;
    return !look.in_use && (IsOperational(look.status) || IsDisabled(look.status));
  }));
  const std::string path = absl::StrCat(nodes_.attributes, "/hard_reset");
  if (syscalls_.WriteText(path, "1") != 0)
    return Error(ErrorCode::kDeviceError,
                 absl::StrCat(path, ": ", ErrnoText(errno),
                              "; only root may write there: give the service's user leave to, or "
                              "set drills = false"));
  return Await([before](const Look& look) {
    return look.resets != before && !look.in_use && IsOperational(look.status);
  });
}

std::optional<Alarm> HabanalabsCard::CheckAlarm() {
  if (!is_open()) return std::nullopt;
  const absl::Duration now = syscalls_.SinceBoot();
  // The notifier before the events, and they before the rest: what comes too late for one of them
  // shows in the next.
  if (HasSignalled() || note_.reads_events) (void)ReadEvents();
  const auto status = control_->DeviceStatus();
  const auto count = control_->ResetCount();
  if (!status.ok() || !count.ok())
    return Unanswered(status.ok() ? count.status() : status.status(), now);
  unanswered_ = 0;
  std::optional<Alarm> alarm = AlarmOf(*status, count->hard_reset_cnt);
  resets_itself_ = alarm && alarm->kind != Alarm::Kind::kDisabled;
  if (!alarm) NoteQuiet(now);
  return alarm;
}

// The driver raises the notifier with each event: without it there is nothing to ask for.
bool HabanalabsCard::HasSignalled() const {
  pollfd p = {.fd = notifier_.get(), .events = POLLIN, .revents = 0};
  return ::poll(&p, 1, 0) == 1 && (p.revents & POLLIN) != 0;
}

// The driver forgets what it tells here. A process that is killed between the two notes leaves the
// first, which the next one takes for a reset; so nothing is asked without a reason.
absl::Status HabanalabsCard::ReadEvents() {
  note_.reads_events = true;
  if (!notebook_->WriteAhead(NoteOf(note_)))
    return Error(ErrorCode::kDeviceUnavailable, "the service ends");
  CrashPoint("before-card-events");
  eventfd_t times = 0;
  (void)::eventfd_read(notifier_.get(), &times);
  ASSIGN_OR_RETURN(const std::uint64_t events, compute_->GetEvents());
  CrashPoint("after-card-events");
  note_.events |= events;
  note_.reads_events = false;
  notebook_->Write(NoteOf(note_));
  return absl::OkStatus();
}

void HabanalabsCard::NoteQuiet(absl::Duration since_boot) {
  if (since_boot - note_.quiet_at < kQuietEvery) return;
  note_.quiet_at = since_boot;
  notebook_->Write(NoteOf(note_));
}

// Every state of a card answers what was asked; but a machine can be short of something for once,
// which is no reason to take all buffers back.
std::optional<Alarm> HabanalabsCard::Unanswered(const absl::Status& why,
                                                absl::Duration since_boot) {
  if (unanswered_++ == 0) unanswered_since_ = since_boot;
  const bool is_long =
      unanswered_ >= kUnansweredMax && since_boot - unanswered_since_ >= kUnansweredFor;
  if (ErrnoOf(why) != ENODEV && !is_long) return std::nullopt;
  return Alarm{.kind = Alarm::Kind::kDisabled, .text = std::string(why.message())};
}

std::optional<Alarm> HabanalabsCard::AlarmOf(hl::Status status, std::uint32_t resets) const {
  const std::string is = absl::StrCat(nodes_.pci, ": the card is ", StatusText(status));
  if (IsDisabled(status))
    return Alarm{.kind = Alarm::Kind::kDisabled, .text = absl::StrCat(is, "; ", WayOut(nodes_))};
  if (resets != note_.resets)
    return Alarm{.kind = Alarm::Kind::kReset,
                 .text = absl::StrCat(is, "; since it was opened it was reset, RESET_COUNT is ",
                                      resets, " after ", note_.resets)};
  if (!IsOperational(status)) return Alarm{.kind = Alarm::Kind::kReset, .text = is};
  if (announced_reset()) return PendingReset();
  return std::nullopt;
}

bool HabanalabsCard::announced_reset() const {
  return (note_.events & (hl::kEventDeviceReset | hl::kEventDeviceUnavailable)) != 0;
}

Alarm HabanalabsCard::PendingReset() const {
  Alarm alarm{.kind = Alarm::Kind::kResetPending};
  if ((note_.events & hl::kEventDeviceUnavailable) == 0)
    alarm.window = std::max(ReleaseWindow() - window_passed_, absl::ZeroDuration());
  alarm.text = absl::StrCat(nodes_.pci, ": the driver resets the card ",
                            alarm.window > absl::ZeroDuration()
                                ? absl::StrCat("within ", absl::FormatDuration(alarm.window))
                                : "at once",
                            ": ", CausesOf(note_.events));
  return alarm;
}

absl::Duration HabanalabsCard::ReleaseWindow() const {
  return HabanalabsReleaseWindow(compute_->uapi(),
                                 syscalls_.ReadText("/proc/sys/kernel/osrelease").value_or(""));
}

absl::Duration HabanalabsReleaseWindow(HabanalabsDriver::Uapi uapi, absl::string_view kernel) {
  if (uapi == HabanalabsDriver::Uapi::kAccel) return absl::Seconds(30);
  const std::vector<std::string> numbers = absl::StrSplit(kernel, absl::ByAnyChar(".-+\n"));
  unsigned version = 0;
  unsigned patch = 0;
  if (numbers.size() < 2 || !absl::SimpleAtoi(numbers[0], &version) ||
      !absl::SimpleAtoi(numbers[1], &patch))
    return absl::ZeroDuration();
  return version > 6 || (version == 6 && patch >= 2) ? absl::Seconds(5) : absl::ZeroDuration();
}

}  // namespace hlbuf
