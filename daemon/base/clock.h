// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_BASE_CLOCK_H_
#define HLBUF_DAEMON_BASE_CLOCK_H_

#include "absl/time/time.h"

namespace hlbuf {

// Time since boot (CLOCK_BOOTTIME), expressed as if the machine had booted at the Unix epoch: it
// goes on in suspend, is never set back, and means the same in every process of the machine.
// Deadlines are told to clients in it.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual absl::Time Now() const = 0;
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_BASE_CLOCK_H_
