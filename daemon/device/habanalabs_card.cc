// SPDX-License-Identifier: Apache-2.0
#include "daemon/device/habanalabs_card.h"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "daemon/base/crash_point.h"
#include "daemon/base/status_macros.h"
#include "daemon/core/error.h"
#include "daemon/device/backoff.h"
#include "daemon/device/error_text.h"

namespace hlbuf {
namespace {

absl::Status Unavailable(absl::string_view text) {
  return Error(ErrorCode::kDeviceUnavailable, text);
}

}  // namespace

HabanalabsCard::HabanalabsCard(Syscalls& syscalls, DeviceOpener& opener, std::string pci,
                               SystemRoots roots, HabanalabsLimits limits)
    : syscalls_(syscalls),
      opener_(opener),
      pci_(std::move(pci)),
      roots_(std::move(roots)),
      limits_(limits) {}

absl::Status HabanalabsCard::Open() {
  RETURN_IF_ERROR(Close());
  RETURN_IF_ERROR(OpenControl());
  RETURN_IF_ERROR(CheckIdentity());
  note_.opening = note_.opening % WindowName::kOpeningMax + 1;
  // That there was something to come back to, even if this process gets no further.
  if (!notebook_->WriteAhead(NoteOf(note_))) return Unavailable("the service ends");
  CrashPoint("before-card-open");
  ASSIGN_OR_RETURN(UniqueFd fd, OpenCompute());
  CrashPoint("after-card-open");
  const auto opened = [&]() -> absl::Status {
    RETURN_IF_ERROR(CheckDeviceNode(syscalls_, fd.get(), nodes_.compute));
    ASSIGN_OR_RETURN(compute_,
                     HabanalabsDriver::OnNode(syscalls_, std::move(fd), nodes_.compute.path));
    ASSIGN_OR_RETURN(hw_ip_, compute_->HwIp());
    return RegisterNotifier();
  }();
  if (opened.ok()) return opened;
  fd.Reset();
  (void)Close();
  (void)opener_.Drop({kKeptCard});
  return opened;
}

absl::Status HabanalabsCard::OpenControl() {
  control_.reset();
  ASSIGN_OR_RETURN(nodes_, FindHabanalabsCard(syscalls_, roots_, pci_));
  if (!nodes_.control)
    return Unavailable(absl::StrCat(nodes_.compute.path, ": the card has no control node"));
  const DeviceNode& node = *nodes_.control;
  UniqueFd fd = syscalls_.Open(node.path, O_RDWR | O_CLOEXEC);
  if (!fd) return HabanalabsCallFailed(HabanalabsCall::kOpenControl, node.path, errno);
  RETURN_IF_ERROR(CheckDeviceNode(syscalls_, fd.get(), node));
  ASSIGN_OR_RETURN(control_, HabanalabsDriver::OnNode(syscalls_, std::move(fd), node.path));
  return absl::OkStatus();
}

// The number of a control node and the card behind it come from two lists of the kernel, which can
// disagree when there are other accelerators.
absl::Status HabanalabsCard::CheckIdentity() const {
  if (!nodes_.module_id) return absl::OkStatus();
  ASSIGN_OR_RETURN(const hl::HwIp seen, control_->HwIp());
  if (seen.module_id == *nodes_.module_id) return absl::OkStatus();
  return Error(ErrorCode::kDeviceError,
               absl::StrCat(control_->path(), ": belongs to another card: it says module ",
                            seen.module_id, ", but ", nodes_.pci, " is module ", *nodes_.module_id,
                            "; unload the drivers of other accelerators, then load habanalabs "
                            "anew"));
}

absl::StatusOr<UniqueFd> HabanalabsCard::OpenCompute() {
  Backoff backoff(syscalls_, interrupted_, limits_.open);
  for (;;) {
    // Read before, so that no reset goes unnoticed.
    ASSIGN_OR_RETURN(const hl::ResetCount count, control_->ResetCount());
    note_.resets = count.hard_reset_cnt;
    note_.quiet_at = syscalls_.SinceBoot();
    absl::StatusOr<UniqueFd> fd = opener_.Open(nodes_.compute.path);
    if (fd.ok()) {
      was_open_ = true;
      return fd;
    }
    const int error = ErrnoOf(fd.status());
    if (error == 0) return Unavailable(fd.status().message());
    if (!IsAboutToBeFree(error) || !backoff.Wait())
      return HabanalabsCallFailed(HabanalabsCall::kOpenCompute, nodes_.compute.path, error);
  }
}

bool HabanalabsCard::IsAboutToBeFree(int error) const {
  if (error == EAGAIN) return true;
  if (error != EBUSY && error != EPERM) return false;
  if (was_open_) return true;
  const auto stats = control_->OpenStats();
  return error == EBUSY && stats.ok() && stats->compute_ctx_in_release != 0;
}

absl::Status HabanalabsCard::RegisterNotifier() {
  unanswered_ = 0;
  resets_itself_ = false;
  window_passed_ = absl::ZeroDuration();
  notifier_ = syscalls_.Eventfd();
  if (!notifier_) return CallFailed("eventfd()", errno);
  RETURN_IF_ERROR(compute_->RegisterEventfd(notifier_.get()));
  return opener_.Keep(kKeptNotifier, notifier_.get());
}

absl::Status HabanalabsCard::KeepAgain() {
  RETURN_IF_ERROR(opener_.Keep(kKeptCard, compute_->fd()));
  return opener_.Keep(kKeptNotifier, notifier_.get());
}

absl::Status HabanalabsCard::Close() {
  if (!is_open()) return absl::OkStatus();
  CrashPoint("before-card-close");
  const absl::Status dropped = opener_.Drop({kKeptNotifier, kKeptCard});
  CrashPoint("after-card-drop");
  notifier_.Reset();
  compute_.reset();
  resets_itself_ = false;
  CrashPoint("after-card-close");
  NoteClosed(note_);
  return dropped;
}

void HabanalabsCard::NoteOpened(const CardMemory& memory, bool is_physical) {
  note_.is_open = true;
  note_.scrubs = ScrubsMemory();
  note_.memory = memory;
  note_.is_physical = is_physical;
  notebook_->Write(NoteOf(note_));
}

void HabanalabsCard::NoteOpenerLost(const std::string& text) {
  note_.opener_lost = text;
  notebook_->Write(NoteOf(note_));
}

void HabanalabsCard::NoteClosed(const CardNote& noted) {
  note_ = noted;
  was_open_ = was_open_ || noted.is_open;
  note_.is_open = note_.reads_events = false;
  note_.events = 0;
  note_.opener_lost.clear();
  notebook_->Write(NoteOf(note_));
}

bool HabanalabsCard::MayHardReset() const {
  return syscalls_.MayWrite(absl::StrCat(nodes_.attributes, "/hard_reset"));
}

bool HabanalabsCard::ScrubsMemory() const {
  const auto text =
      syscalls_.ReadText(absl::StrCat(roots_.sys, "/module/habanalabs/parameters/memory_scrub"));
  if (!text) return false;
  const absl::string_view value = absl::StripAsciiWhitespace(*text);
  return !value.empty() && value != "0" && value != "N";
}

}  // namespace hlbuf
