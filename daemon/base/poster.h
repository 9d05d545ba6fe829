// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_BASE_POSTER_H_
#define HLBUF_DAEMON_BASE_POSTER_H_

#include "absl/functional/any_invocable.h"

namespace hlbuf {

// The way of other threads to the broker thread.
class Poster {
 public:
  virtual ~Poster() = default;
  // Runs `task` once on the broker thread, later, after every task posted before. Any thread; never
  // blocks for long. Tasks that never run, because the loop ended, are destroyed on the broker
  // thread.
  virtual void Post(absl::AnyInvocable<void() &&> task) = 0;
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_BASE_POSTER_H_
