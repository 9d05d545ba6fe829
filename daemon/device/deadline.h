// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_DEVICE_DEADLINE_H_
#define HLBUF_DAEMON_DEVICE_DEADLINE_H_

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <chrono>

#include "absl/time/time.h"

namespace hlbuf {

// A point of time that a worker thread waits for at most, on the clock that nobody sets.
class Deadline {
 public:
  explicit Deadline(absl::Duration from_now)
      : end_(std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(from_now)) {}

  // As poll() takes it: rounded up, 0 when it has passed.
  int LeftMs() const {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(end_ - std::chrono::steady_clock::now());
    return static_cast<int>(std::clamp<std::chrono::milliseconds::rep>(left.count(), 0, 1 << 30));
  }

 private:
  std::chrono::steady_clock::time_point end_;
};

// What of `events` has come to `fd`, POLLHUP and POLLERR always among them; 0 when the deadline
// has passed.
inline short Await(int fd, short events, Deadline deadline) {
  pollfd p = {.fd = fd, .events = events, .revents = 0};
  while (true) {
    const int ready = ::poll(&p, 1, deadline.LeftMs());
    if (ready >= 0 || errno != EINTR) return ready > 0 ? p.revents : short{0};
  }
}

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_DEVICE_DEADLINE_H_
