// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_CORE_ALARM_H_
#define HLBUF_DAEMON_CORE_ALARM_H_

#include <cstdint>
#include <string>

#include "absl/time/time.h"

namespace hlbuf {

// What a device says of its own state. All but kOpenerLost ends the present epoch.
struct Alarm {
  enum class Kind : std::uint8_t {
    kResetPending,  // the device works on for `window`; what is let go until then is let go in
                    // peace
    kReset,         // it is being reset, or was: nothing of this epoch is left on it
    kDisabled,      // it does not come back by itself
    kOpenerLost,    // it goes on, but the driver will find nobody to kill at its next hard reset
  };
  Kind kind = Kind::kReset;
  // Counted from when the device gave notice, so the less of it is left the later somebody looks. 0
  // also where the device gives no time at all.
  absl::Duration window = absl::ZeroDuration();
  std::string text;  // for people: what, why, and what to do
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_CORE_ALARM_H_
