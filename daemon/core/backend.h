// SPDX-License-Identifier: Apache-2.0
// The seam to devices. The core knows no ioctl; a backend knows no policy, no lease and no session.
#ifndef HLBUF_DAEMON_CORE_BACKEND_H_
#define HLBUF_DAEMON_CORE_BACKEND_H_

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "daemon/core/alarm.h"
#include "daemon/core/peer.h"
#include "proto/wire/unique_fd.h"

namespace hlbuf {

// What a kind of device memory is and can do. Constant between two openings of the device.
struct BackendTraits {
  std::string kind;                    // "software", "udmabuf", "habanalabs"
  std::uint64_t page_bytes = 4096;     // sizes are rounded up to it; a power of two
  std::uint64_t buffer_bytes_max = 0;  // whole pages
  std::uint64_t total_bytes = 0;       // likewise; 0: no bound of its own
  bool cpu_map = false;                // its buffers can be mmap()ed
  bool counts_references = false;      // real dma-bufs: fdinfo has the kernel's count
  bool simulated = false;              // not a dma-buf at all
  bool can_drill = false;              // Reset() is a drill that costs nobody a device
  bool survives_reset = true;          // what is still out then is memory of the next epoch, too
  bool raises_alarms = false;          // CheckAlarm() can have something to say
  std::string reserved_hint;           // how reserved bytes come back; empty: there are none
  // For how long its driver waits, before most of its resets, until everybody has let go. 0: not
  // at all.
  absl::Duration reset_window = absl::ZeroDuration();
};

// Who has copies of what a device has when this process ends.
enum class KeeperRole : std::uint8_t {
  kNone,       // nobody
  kCopies,     // a keeper; nobody has to have the device open
  kOpened,     // the keeper that opened the device, which the driver ends at a hard reset
  kSuccessor,  // a keeper; the one that opened the device has died
};

struct AllocationSpec {
  std::uint64_t size_bytes = 0;  // a multiple of page_bytes, at most buffer_bytes_max
  Domain domain;                 // bytes of another one must not show through
};

// One exported range of memory. The FD is close-on-exec and the only one of its file in this
// process.
struct Allocation {
  UniqueFd fd;
  std::uint64_t size_bytes = 0;
  std::uint64_t window = 0;  // where in the device; the backend's own number
  ino_t inode = 0;           // identity of the dma-buf, as fdinfo and /proc/*/fd show it
};

// What a backend has to know again when another process of this service goes on with its device.
struct DeviceNote {
  std::uint64_t key = 0;  // the backend's own; a later note of the same key takes its place
  std::string bytes;      // empty: forget it
};

// What an earlier process of this service had of a device.
struct Resumption {
  struct Buffer {
    std::uint64_t size_bytes = 0;
    std::uint64_t window = 0;
    ino_t inode = 0;
    Domain domain;
    // Nobody else had it when it was on its way back: that it has no descriptor does not matter.
    bool is_proven = false;
  };
  std::vector<Buffer> buffers;
  std::vector<DeviceNote> notes;
};

struct Resumed {
  std::vector<UniqueFd> fds;  // of the buffers, in their order; one that is lost has none
  // The device was reset meanwhile, or closed: what it had in its memory is gone. It is closed.
  bool memory_is_gone = false;
  std::string lost;  // what else could not be taken back, in words; or empty
};

// What a drilled reset does.
enum class Drill : std::uint8_t {
  kNone,   // the device comes back
  kFails,  // the device stays away until the next Reset()
};

// One device. Called on the broker thread, returns at once; each `done` runs exactly once, later,
// on the broker thread, in the order of the calls. Nothing here waits for clients.
//
// Errors carry a code of core/error.h: NO_MEMORY (no room), DEVICE_ERROR (errno in words),
// DEVICE_UNAVAILABLE.
class Backend {
 public:
  template <class T>
  using Done = absl::AnyInvocable<void(T) &&>;

  virtual ~Backend() = default;
  virtual const BackendTraits& traits() const = 0;
  // Free, but not for everybody: bytes of domains that used it before are still there. As of the
  // last call that was answered.
  virtual std::uint64_t reserved_bytes() const { return 0; }
  // Likewise as of the last call that was answered.
  virtual KeeperRole keeper() const { return KeeperRole::kNone; }

  virtual void Open(Done<absl::Status> done) = 0;

  // Instead of the first Open(): goes on where an earlier process stopped. OK: the device is open,
  // or its memory is gone. Nothing is exported a second time.
  //
  // Errors: DEVICE_UNAVAILABLE  the device could not be asked; it is closed, and nothing was lost
  //                             that can be had again
  virtual void Resume(Resumption /*from*/, Done<absl::StatusOr<Resumed>> done) {
    std::move(done)(Resumed{.memory_is_gone = true});
  }
  // Told, before the `done` of the call that made them, what to remember for Resume(). Once.
  using NoteTaker = absl::AnyInvocable<void(const DeviceNote&)>;
  virtual void OnNote(NoteTaker /*take*/) {}

  virtual void Allocate(AllocationSpec spec, Done<absl::StatusOr<Allocation>> done) = 0;

  // How many references the kernel counts for each of `fds`, read twice, the larger one told; 1 is
  // ours. 0: unreadable. A count may be too high for a moment (a system call in progress), never
  // too low. The descriptors are borrowed until `done`; few at a time, for others may wait behind
  // them. Only where traits().counts_references.
  virtual void CountReferences(std::vector<int> fds, Done<std::vector<std::uint32_t>> done) = 0;

  // Takes the allocation back, closes its FD and makes its window clean for others. The last close
  // of a dma-buf may take seconds in a driver; it happens away from the broker thread.
  virtual void Free(Allocation allocation, Done<absl::Status> done) = 0;

  // Windows of allocations whose descriptor is lost, and whose holders have all said that they let
  // go. Takes those back, as Free() does, of which the device can tell that nobody has them; tells
  // which. Only where memory does not survive a reset.
  virtual void FreeBlind(std::vector<std::uint64_t> windows, Done<std::vector<bool>> done) {
    std::move(done)(std::vector<bool>(windows.size()));
  }

  // What the device says of its own state, if anything. Only where traits().raises_alarms; then it
  // has to be answered later, as the rest.
  virtual void CheckAlarm(Done<std::optional<Alarm>> done) { std::move(done)(std::nullopt); }

  // Calls `sign`, as long as this lives, when CheckAlarm() may have something to say that it has
  // not said yet. Not every alarm gives a sign: asking now and then remains necessary. Once.
  virtual void OnAlarmSign(absl::AnyInvocable<void()> /*sign*/) {}

  // Closes the device once everything asked before has been done, resets it, and leaves it closed.
  // Where its memory does not survive that, every Allocation was freed before.
  virtual void Reset(Drill drill, Done<absl::Status> done) = 0;
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_CORE_BACKEND_H_
