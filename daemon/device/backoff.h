// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_DEVICE_BACKOFF_H_
#define HLBUF_DAEMON_DEVICE_BACKOFF_H_

#include <algorithm>
#include <atomic>

#include "absl/time/time.h"
#include "daemon/device/syscalls.h"

namespace hlbuf {

// Waits between looks at something that tells of no change by itself: longer each time, and not
// beyond a limit.
class Backoff {
 public:
  static constexpr absl::Duration kFirst = absl::Milliseconds(10);
  static constexpr absl::Duration kLongest = absl::Milliseconds(500);

  // `interrupted` ends it at the next Wait(); it and `syscalls` live longer.
  Backoff(Syscalls& syscalls, const std::atomic<bool>& interrupted, absl::Duration limit)
      : syscalls_(syscalls), interrupted_(interrupted), limit_(limit) {}

  // False, at once: the limit is reached.
  bool Wait() {
    const absl::Duration step = std::min(next_, limit_ - waited_);
    if (step <= absl::ZeroDuration() || interrupted_) return false;
    syscalls_.Pause(step);
    waited_ += step;
    next_ = std::min(next_ * 2, kLongest);
    return true;
  }
  absl::Duration waited() const { return waited_; }

 private:
  Syscalls& syscalls_;
  const std::atomic<bool>& interrupted_;
  const absl::Duration limit_;
  absl::Duration next_ = kFirst;
  absl::Duration waited_ = absl::ZeroDuration();
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_DEVICE_BACKOFF_H_
