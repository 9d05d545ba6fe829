// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_CORE_EMPTYING_H_
#define HLBUF_DAEMON_CORE_EMPTYING_H_

#include <cstdint>

#include "absl/container/btree_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"
#include "daemon/core/deadlines.h"
#include "daemon/core/device.h"
#include "daemon/core/ledger.h"

namespace hlbuf {

// Waits until nothing of a device is allocated any more: until its memory has come back, not only
// until the last lease has ended.
class Emptying {
 public:
  // What there is then, the device itself says.
  using Done = absl::AnyInvocable<void() &&>;
  // False: whoever waits has gone.
  using Wanted = absl::AnyInvocable<bool()>;

  explicit Emptying(Ledger& ledger) : ledger_(ledger) {}

  // `done` is called once: when the device is empty, at once if it is, or when `patience` is over,
  // or by EndAll(), or, where nobody wants it any more, when the next one begins to wait: there are
  // never many more than are wanted. A null `wanted` always is.
  void Wait(Device& device, absl::Duration patience, Wanted wanted, Done done);
  // Something of the device came back.
  void OnFreed(const Device& device);
  // Nobody has to wait for that device any more.
  void EndAll(const Device& device);

 private:
  struct Waiter {
    const Device* device = nullptr;
    Deadlines::Handle timer;
    Wanted wanted;
    Done done;
  };
  void End(std::uint64_t number);
  void EndUnwanted();

  Ledger& ledger_;
  std::uint64_t last_ = 0;
  absl::btree_map<std::uint64_t, Waiter> waiters_;  // in the order in which they came
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_CORE_EMPTYING_H_
