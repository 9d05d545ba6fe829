// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_TESTS_SUPPORT_FAKE_CLOCK_H_
#define HLBUF_TESTS_SUPPORT_FAKE_CLOCK_H_

#include <algorithm>

#include "absl/time/time.h"
#include "daemon/base/clock.h"

namespace hlbuf {

// Stands still until it is told to go on. Starts an hour after boot.
class FakeClock final : public Clock {
 public:
  absl::Time Now() const override { return now_; }
  void Advance(absl::Duration by) { now_ += by; }
  void AdvanceTo(absl::Time time) { now_ = std::max(now_, time); }

 private:
  absl::Time now_ = absl::UnixEpoch() + absl::Hours(1);
};

}  // namespace hlbuf

#endif  // HLBUF_TESTS_SUPPORT_FAKE_CLOCK_H_
