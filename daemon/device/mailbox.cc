// SPDX-License-Identifier: Apache-2.0
#include "daemon/device/mailbox.h"

#include <utility>

namespace hlbuf {

void Mailbox::Put(Completion completion) {
  bool first;
  {
    const std::lock_guard lock(mutex_);
    first = ready_.empty();
    ready_.push_back(std::move(completion));
  }
  if (first) poster_.Post([self = shared_from_this()] { self->Deliver(); });
}

void Mailbox::Close() {
  closed_ = true;
  std::vector<Completion> dropped;
  const std::lock_guard lock(mutex_);
  dropped.swap(ready_);
}

void Mailbox::Deliver() {
  std::vector<Completion> batch;
  {
    const std::lock_guard lock(mutex_);
    batch.swap(ready_);
  }
  for (Completion& completion : batch)
    if (!closed_) std::move(completion)();
}

}  // namespace hlbuf
