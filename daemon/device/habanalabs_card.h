// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_DEVICE_HABANALABS_CARD_H_
#define HLBUF_DAEMON_DEVICE_HABANALABS_CARD_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "daemon/core/alarm.h"
#include "daemon/device/device_opener.h"
#include "daemon/device/habanalabs_driver.h"
#include "daemon/device/habanalabs_nodes.h"
#include "daemon/device/habanalabs_notes.h"
#include "daemon/device/notebook.h"
#include "daemon/device/syscalls.h"

namespace hlbuf {

// How long a card is waited for.
struct HabanalabsLimits {
  absl::Duration open = absl::Seconds(10);      // until its last user is cleaned up
  absl::Duration reset = absl::Minutes(2);      // until it is back from a reset
  absl::Duration disabled = absl::Seconds(10);  // while the driver says that it is disabled
};

// One card: opens it, knows what state it is in, and waits for it. Its memory is others' affair.
//
// The control node, which is open to any number of programs, tells of resets also when nobody has
// the card open; the compute node opens once, and tells of them beforehand.
//
// Worker thread, but for Interrupt(). Open() and the Await functions wait, within HabanalabsLimits.
class HabanalabsCard {
 public:
  // Under which the opener keeps the card itself and its notifier; no inode has such a number.
  static constexpr std::uint64_t kKeptCard = DeviceOpener::kDevice;
  static constexpr std::uint64_t kKeptNotifier = ~std::uint64_t{0};
  // How often it is noted that nothing was announced.
  static constexpr absl::Duration kQuietEvery = absl::Seconds(1);
  // A card that is there and does not answer so many looks in a row, for so long, is lost: events
  // make looks follow each other at once.
  static constexpr int kUnansweredMax = 5;
  static constexpr absl::Duration kUnansweredFor = absl::Milliseconds(500);

  HabanalabsCard(Syscalls& syscalls, DeviceOpener& opener, std::string pci, SystemRoots roots,
                 HabanalabsLimits limits);

  // Before anything else; it lives longer.
  void WriteNotesTo(Notebook& notebook) { notebook_ = &notebook; }

  // Finds the card and opens both nodes. Open already: closes it first.
  absl::Status Open();
  // Instead of the first Open(): goes on with what an earlier process has opened, and looks what
  // happened meanwhile. The notifier is not registered again. What was announced, and not done yet,
  // CheckAlarm() tells, with what is left of the driver's window.
  //
  // Errors: FAILED_PRECONDITION  what the card had in its memory is gone, and why
  //         DEVICE_UNAVAILABLE   it could not be asked
  // Neither drops what the opener keeps.
  absl::Status Resume(const CardNote& noted, UniqueFd compute, UniqueFd notifier);
  // Gives an opener that did not open the card copies of what it would have. Only while open.
  absl::Status KeepAgain();
  // Whatever it returns, this process has the card no more; dma-bufs of it keep it open, though.
  absl::Status Close();
  bool is_open() const { return compute_.has_value(); }
  int notifier_fd() const { return notifier_.get(); }

  // That it is open, and how its memory is cut: from now on it can be resumed.
  void NoteOpened(const CardMemory& memory, bool is_physical);
  void NoteOpenerLost(const std::string& text);
  // Of the last opening, here or in an earlier process.
  const CardNote& note() const { return note_; }
  // It was closed without Close().
  void NoteClosed(const CardNote& noted);

  // Only while open.
  const HabanalabsDriver& driver() const { return *compute_; }
  const hl::HwIp& hw_ip() const { return hw_ip_; }
  // Of the last Open() that found the card.
  const HabanalabsNodes& nodes() const { return nodes_; }

  // Until nobody has the card, and it works. DEVICE_UNAVAILABLE: it does not come back, and why.
  absl::Status AwaitOperational();
  // Asks the driver for a hard reset and waits for its end. Only once nobody has the card: the
  // driver kills whoever opened it.
  absl::Status HardReset();
  bool MayHardReset() const;
  // How long its driver waits after most announcements of a reset. While it is open.
  absl::Duration ReleaseWindow() const;

  // Only while open; nullopt otherwise.
  std::optional<Alarm> CheckAlarm();
  // Whether its driver resets it, has since it was opened, or said that it will: as of the last
  // CheckAlarm() that was answered.
  bool resets_itself() const { return resets_itself_; }
  // Whether the last CheckAlarm() could see what state the card is in; else it may have said
  // nothing only because it did not know.
  bool answered() const { return unanswered_ == 0; }
  // Whether the driver clears the card's memory when it is closed or reset.
  bool ScrubsMemory() const;
  // Any thread.
  void Interrupt() { interrupted_ = true; }

 private:
  struct Look {
    hl::Status status = hl::kOperational;
    bool in_use = false;
    std::uint32_t resets = 0;
  };
  absl::Status OpenControl();
  absl::Status CheckIdentity() const;
  absl::StatusOr<UniqueFd> OpenCompute();
  bool IsAboutToBeFree(int error) const;
  absl::Status RegisterNotifier();
  absl::StatusOr<Look> LookAtIt();
  absl::StatusOr<Look> AskControl() const;
  absl::Status Await(const std::function<bool(const Look&)>& enough);
  absl::Status TakeBack(UniqueFd compute, UniqueFd notifier);
  absl::Status AwaitControl();
  absl::Status WhatHappened();
  bool HasSignalled() const;
  absl::Status ReadEvents();
  bool announced_reset() const;
  void NoteQuiet(absl::Duration since_boot);
  std::optional<Alarm> Unanswered(const absl::Status& why, absl::Duration since_boot);
  std::optional<Alarm> AlarmOf(hl::Status status, std::uint32_t resets) const;
  Alarm PendingReset() const;

  Syscalls& syscalls_;
  DeviceOpener& opener_;
  const std::string pci_;
  const SystemRoots roots_;
  const HabanalabsLimits limits_;
  std::atomic<bool> interrupted_ = false;

  HabanalabsNodes nodes_;
  std::optional<HabanalabsDriver> control_;
  std::optional<HabanalabsDriver> compute_;
  UniqueFd notifier_;
  hl::HwIp hw_ip_ = {};
  bool was_open_ = false;  // so what is in the way of opening is probably our own
  Notebook forgetful_;
  Notebook* notebook_ = &forgetful_;
  CardNote note_;                                           // as it was written last
  int unanswered_ = 0;                                      // looks in a row
  absl::Duration unanswered_since_ = absl::ZeroDuration();  // boot
  bool resets_itself_ = false;
  // Of the driver's window, when its announcement was found by Resume(): at most.
  absl::Duration window_passed_ = absl::ZeroDuration();
};

// How long the driver lets a card work on after it has announced a reset. `kernel` is its release,
// "6.12.95+deb12-amd64".
absl::Duration HabanalabsReleaseWindow(HabanalabsDriver::Uapi uapi, absl::string_view kernel);

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_DEVICE_HABANALABS_CARD_H_
