// SPDX-License-Identifier: Apache-2.0
// A card that an earlier process of this service has opened: what happened to it since.
#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "daemon/base/status_macros.h"
#include "daemon/core/error.h"
#include "daemon/device/backoff.h"
#include "daemon/device/error_text.h"
#include "daemon/device/habanalabs_card.h"

namespace hlbuf {
namespace {

absl::Status Gone(absl::string_view why) { return absl::FailedPreconditionError(why); }

absl::Status Unknown(absl::string_view why) { return Error(ErrorCode::kDeviceUnavailable, why); }

// Of a call on the node that was kept. Only what cannot be otherwise is taken for an end.
absl::Status Judged(const absl::Status& failed) {
  const int error = ErrnoOf(failed);
  const bool gone = error == ENODEV || error == ENXIO || error == EBADF || error == ENOTTY;
  return gone ? Gone(failed.message()) : Unknown(failed.message());
}

}  // namespace

absl::Status HabanalabsCard::Resume(const CardNote& noted, UniqueFd compute, UniqueFd notifier) {
  note_ = noted;
  was_open_ = true;
  unanswered_ = 0;
  window_passed_ = absl::ZeroDuration();
  absl::Status resumed = TakeBack(std::move(compute), std::move(notifier));
  if (resumed.ok()) resumed = AwaitControl();
  if (resumed.ok()) resumed = WhatHappened();
  resets_itself_ = resumed.ok() && announced_reset();
  if (resumed.ok()) return resumed;
  notifier_.Reset();
  compute_.reset();
  return resumed;
}

absl::Status HabanalabsCard::TakeBack(UniqueFd compute, UniqueFd notifier) {
  auto driver = HabanalabsDriver::OnNode(syscalls_, std::move(compute), pci_);
  if (!driver.ok()) return Judged(driver.status());
  compute_.emplace(*std::move(driver));
  notifier_ = std::move(notifier);
  const auto hw_ip = compute_->HwIp();
  if (!hw_ip.ok()) return Judged(hw_ip.status());
  hw_ip_ = *hw_ip;
  return absl::OkStatus();
}

// The control node is opened anew, and with the same doubts as ever. It can be a moment away.
absl::Status HabanalabsCard::AwaitControl() {
  Backoff backoff(syscalls_, interrupted_, limits_.open);
  for (;;) {
    absl::Status opened = OpenControl();
    if (opened.ok()) opened = CheckIdentity();
    if (opened.ok()) break;
    control_.reset();
    if (!backoff.Wait()) return Unknown(opened.message());
  }
  // A driver that was loaded anew has other nodes, or this one is no more than a memory.
  const absl::Status same = CheckDeviceNode(syscalls_, compute_->fd(), nodes_.compute);
  return same.ok() ? same : Gone(same.message());
}

absl::Status HabanalabsCard::WhatHappened() {
  const absl::Duration silence = syscalls_.SinceBoot() - note_.quiet_at;
  // That process may have learnt of one, and died. It is in each note from now on: this process can
  // die, too.
  if (note_.reads_events) note_.events |= hl::kEventDeviceReset;
  if (const absl::Status read = ReadEvents(); !read.ok()) return Judged(read);
  window_passed_ = silence;
  const absl::StatusOr<Look> look = LookAtIt();
  if (!look.ok()) return Unknown(look.status().message());
  if (look->resets == note_.resets) return absl::OkStatus();
  return Gone(absl::StrCat(nodes_.pci, ": the card was reset while the service was away, ",
                           "RESET_COUNT is ", look->resets, " after ", note_.resets));
}

}  // namespace hlbuf
