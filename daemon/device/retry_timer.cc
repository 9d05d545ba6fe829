// SPDX-License-Identifier: Apache-2.0
#include "daemon/device/retry_timer.h"

#include <sys/timerfd.h>

#include <algorithm>

namespace hlbuf {

RetryTimer::RetryTimer(Syscalls& syscalls)
    : syscalls_(syscalls), timer_(::timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK)) {}

bool RetryTimer::Failed() {
  const bool first = pause_ == absl::ZeroDuration();
  pause_ = std::clamp(pause_ * 2, kFirstPause, kLongestPause);
  due_ = syscalls_.SinceBoot() + pause_;
  Arm(pause_);
  return first;
}

void RetryTimer::Clear() {
  pause_ = due_ = absl::ZeroDuration();
  Arm(absl::ZeroDuration());
}

// A new time makes it unreadable; none stops it.
void RetryTimer::Arm(absl::Duration pause) const {
  const itimerspec once = {.it_interval = {}, .it_value = absl::ToTimespec(pause)};
  (void)::timerfd_settime(timer_.get(), 0, &once, nullptr);
}

}  // namespace hlbuf
