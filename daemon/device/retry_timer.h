// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_DEVICE_RETRY_TIMER_H_
#define HLBUF_DAEMON_DEVICE_RETRY_TIMER_H_

#include "absl/time/time.h"
#include "daemon/device/syscalls.h"
#include "proto/wire/unique_fd.h"

namespace hlbuf {

// When to try again what failed: after pauses that double, for as long as it fails. Waits for
// nothing itself. Worker thread.
class RetryTimer {
 public:
  static constexpr absl::Duration kFirstPause = absl::Seconds(1);
  static constexpr absl::Duration kLongestPause = absl::Minutes(1);

  // `syscalls` live longer.
  explicit RetryTimer(Syscalls& syscalls);

  // Readable once a pause is over, until the next Failed() or Clear(). -1: no descriptor was free
  // when this was made, and only IsDue() tells.
  int fd() const { return timer_.get(); }
  bool IsDue() const { return syscalls_.SinceBoot() >= due_; }
  // True: for the first time since Clear().
  bool Failed();
  // It went well, or is to be tried at once.
  void Clear();

 private:
  void Arm(absl::Duration pause) const;

  Syscalls& syscalls_;
  const UniqueFd timer_;
  absl::Duration pause_ = absl::ZeroDuration();
  absl::Duration due_ = absl::ZeroDuration();  // since boot
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_DEVICE_RETRY_TIMER_H_
