// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_DEVICE_EXPORTER_H_
#define HLBUF_DAEMON_DEVICE_EXPORTER_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "daemon/core/alarm.h"
#include "daemon/core/backend.h"
#include "daemon/device/notebook.h"

namespace hlbuf {

// One kind of device memory, seen from the thread that may wait for it: every call is what the
// method of the same name in core/backend.h promises, made at once. No policy, and no state beyond
// the open device and the windows in use.
//
// One thread at a time. Any call may block for as long as the driver does.
class Exporter {
 public:
  virtual ~Exporter() = default;

  // Changes in Open() only.
  virtual const BackendTraits& traits() const = 0;
  // As Backend has it, but now.
  virtual std::uint64_t reserved_bytes() const { return 0; }
  virtual KeeperRole keeper() const { return KeeperRole::kNone; }
  virtual absl::Status Open() = 0;
  virtual absl::StatusOr<Allocation> Export(const AllocationSpec& spec) = 0;
  // Works in every state of the device: a buffer that was out during a reset comes back later. An
  // error tells why the window cannot go to other domains yet; the descriptor is closed anyway.
  virtual absl::Status Free(Allocation allocation) = 0;
  virtual std::vector<bool> FreeBlind(const std::vector<std::uint64_t>& windows) {
    return std::vector<bool>(windows.size());
  }
  virtual absl::Status Reset(Drill drill) = 0;

  // Instead of the first Open().
  virtual absl::StatusOr<Resumed> Resume(const Resumption& /*from*/) {
    return Resumed{.fds = {}, .memory_is_gone = true, .lost = ""};
  }
  // Where it writes what Resume() has to know, before anything else is called; it lives longer.
  virtual void WriteNotesTo(Notebook& /*notebook*/) {}

  // Whether another process keeps a copy of it for this one, for all that is known.
  virtual bool HasCopy(int /*fd*/) const { return false; }
  // References to `fds` are about to be counted: other processes that keep copies for this one must
  // close them first, since a count is proof only while no copy of our own is elsewhere.
  virtual void DropCopies(absl::Span<const int> /*fds*/) {}
  // They were counted, and others have them: they must be there for a process after this one again.
  virtual void KeepCopies(absl::Span<const int> /*fds*/) {}
  // What the device says of its own state; nullopt: nothing, or it cannot say. The same thing is
  // said again until Reset().
  virtual std::optional<Alarm> CheckAlarm() { return std::nullopt; }
  // Becomes readable when there may be an alarm, until CheckAlarm() has looked; not every alarm
  // makes it so. The same as long as this lives; -1: there is none. Any thread.
  virtual int alarm_fd() const { return -1; }

  // Becomes readable when there is something for Mend() to do, until that was called. The same as
  // long as this lives; -1: there never is. Any thread.
  virtual int damage_fd() const { return -1; }
  // Puts right what has happened to the exporter itself, and concerns no caller.
  virtual void Mend() {}

  // Any thread, at any time: a call that waits for the device gives up soon. For good.
  virtual void Interrupt() {}
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_DEVICE_EXPORTER_H_
