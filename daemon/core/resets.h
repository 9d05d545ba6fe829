// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_CORE_RESETS_H_
#define HLBUF_DAEMON_CORE_RESETS_H_

#include <cstdint>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "daemon/core/alarm_watch.h"
#include "daemon/core/device.h"
#include "daemon/core/draining.h"
#include "daemon/core/ledger.h"
#include "daemon/core/resumptions.h"
#include "daemon/core/revocations.h"

namespace hlbuf {

struct ResetReport {
  RevocationReport revocation;
  std::uint64_t epoch = 0;  // of the device afterwards
  absl::Status outcome;     // OK: READY again, or DRAINED
};

// Leads a device through the steps of its life: opening, and from a reset's notice to the next
// epoch. The broker never is what a reset waits for: when the deadline has passed the device goes
// on, and the verdicts say who still holds what.
//
// A device that could not be opened is tried again, with pauses that double from kFirstPause to
// kLongestPause: its driver may come later than this daemon. One whose reset failed, or that a
// drill keeps away, stays FAILED until the next reset.
class Resets {
 public:
  using Done = absl::AnyInvocable<void(const ResetReport&) &&>;
  static constexpr absl::Duration kFirstPause = absl::Seconds(1);
  static constexpr absl::Duration kLongestPause = absl::Minutes(1);

  // A device that says that it will be reset gives its clients `grace`, or less: what is left of
  // its own window after closing, for which a quarter is kept.
  // `stepped` is told of each new state of a device, behind its clients, and when one that is away
  // is drained.
  using Stepped = absl::AnyInvocable<void(Device&)>;
  Resets(Ledger& ledger, Draining& draining, Revocations& revocations, absl::Duration grace,
         Stepped stepped)
      : ledger_(ledger),
        draining_(draining),
        revocations_(revocations),
        grace_(grace),
        stepped_(std::move(stepped)),
        alarms_(ledger, [this](Device& device, const Alarm& alarm) { OnAlarm(device, alarm); }),
        resumptions_(ledger, draining) {}

  // For alarms from now on.
  void set_grace(absl::Duration grace) { grace_ = grace; }

  void Open(Device& device);
  // Before Open(): the device is resumed, not opened anew, and a reset that had begun goes on. The
  // revocation of that is the caller's to go on with, for WhenRevoked().
  void GoOn(Device& device, Resumption from);
  Revocations::Done WhenRevoked(Device& device);
  // Of a device that is resumed, and may have to be again.
  void OnNote(const Device& device, const DeviceNote& note) { resumptions_.Note(device, note); }
  // Whether no device that is to be resumed is being asked.
  bool AllResumed() const { return !resumptions_.Asks(); }
  // Whether the device is READY, or will be without an operator's doing.
  bool IsComing(const Device& device) const;
  // Errors: DEVICE_UNAVAILABLE when the device is not READY, DRAINED or FAILED; `done` is not
  // called then.
  absl::Status Begin(Device& device, Drill drill, absl::Duration grace, Done done);

  // Keeps a device out of use, from now on and over its resets, until Undrain(). What somebody
  // holds of it stays his. A device that is drained already stays so, by whom it was.
  void Drain(Device& device, std::string by);
  void Undrain(Device& device);

 private:
  struct Running {
    Drill drill = Drill::kNone;
    RevocationId revocation;
    bool revoked = false;  // the revocation has ended
    ResetReport report;
    Done done;
  };
  struct Retry {
    absl::Duration pause;
    Deadlines::Handle timer;
  };
  void Step(Device& device, DeviceEvent on, absl::string_view why);
  void TellState(const Device& device, absl::string_view why);
  void OnAlarm(Device& device, const Alarm& alarm);
  void WarnOnce(Device& device, const std::string& text);
  void Hurry(Device& device, absl::Time deadline, absl::string_view why);
  void Start(Device& device, Drill drill, absl::Duration grace, absl::string_view why, Done done);
  void Resume(Device& device);
  void OnResumed(Device& device, const absl::StatusOr<Resumptions::Outcome>& outcome);
  void AllLetGo(Device& device);
  void Close(Device& device);
  void OnReset(Device& device, const absl::Status& reset);
  void OnOpened(Device& device, const absl::Status& opened);
  // In how long the device, which is FAILED now, is opened again.
  absl::Duration RetryLater(Device& device);
  void StopRetrying(Device& device);
  // `why` with what may be in the way, so that everybody may read it.
  std::string FailureText(const Device& device, absl::string_view why) const;
  void End(Device& device, const absl::Status& outcome);

  Ledger& ledger_;
  Draining& draining_;
  Revocations& revocations_;
  absl::Duration grace_;
  Stepped stepped_;
  AlarmWatch alarms_;
  Resumptions resumptions_;
  absl::flat_hash_map<Device*, Running> running_;
  absl::flat_hash_map<const Device*, Retry>
      retries_;  // of devices that could not be opened last time
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_CORE_RESETS_H_
