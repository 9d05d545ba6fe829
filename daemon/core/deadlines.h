// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_CORE_DEADLINES_H_
#define HLBUF_DAEMON_CORE_DEADLINES_H_

#include <cstdint>
#include <utility>

#include "absl/container/btree_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"

namespace hlbuf {

// What the broker wants to do later. It owns no timer: whoever runs the broker asks Next(), waits,
// and calls Run().
class Deadlines {
 public:
  using Handle = std::pair<absl::Time, std::uint64_t>;  // {}: none

  Handle At(absl::Time time, absl::AnyInvocable<void() &&> task) {
    const Handle handle = {time, ++last_};
    tasks_.emplace(handle, std::move(task));
    return handle;
  }
  void Cancel(const Handle& handle) { tasks_.erase(handle); }

  absl::Time Next() const {
    return tasks_.empty() ? absl::InfiniteFuture() : tasks_.begin()->first.first;
  }
  // Runs what is due, in order of time. A task may add and cancel others.
  void Run(absl::Time now) {
    while (!tasks_.empty() && tasks_.begin()->first.first <= now) {
      auto node = tasks_.extract(tasks_.begin());
      std::move(node.mapped())();
    }
  }

 private:
  absl::btree_map<Handle, absl::AnyInvocable<void() &&>> tasks_;
  std::uint64_t last_ = 0;
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_CORE_DEADLINES_H_
