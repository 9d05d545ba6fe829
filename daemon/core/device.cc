// SPDX-License-Identifier: Apache-2.0
#include "daemon/core/device.h"

namespace hlbuf {

void Device::JobEnded() {
  if (--jobs_ > 0 || !when_idle_) return;
  absl::AnyInvocable<void()&&> task = std::move(when_idle_);
  when_idle_ = nullptr;
  std::move(task)();
}

void Device::WhenIdle(absl::AnyInvocable<void() &&> task) {
  if (jobs_ == 0) return std::move(task)();
  when_idle_ = std::move(task);
}

}  // namespace hlbuf
