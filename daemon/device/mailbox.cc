// SPDX-License-Identifier: Apache-2.0
#include "daemon/device/mailbox.h"

#include <utility>

namespace hlbuf {

void Mailbox::Put(Completion completion) {
  std::unique_lock lock(mutex_);
  PutLocked(std::move(completion), lock);
}

bool Mailbox::PutAndWait(Completion completion) {
  std::unique_lock lock(mutex_);
  const std::uint64_t mine = PutLocked(std::move(completion), lock);
  has_run_.wait(lock, [&] { return interrupted_ || ran_ >= mine; });
  return ran_ >= mine;
}

// Returns its number. Posts without the lock, which whoever is posted to may want.
std::uint64_t Mailbox::PutLocked(Completion completion, std::unique_lock<std::mutex>& lock) {
  const bool first = ready_.empty();
  ready_.push_back(std::move(completion));
  const std::uint64_t number = ++put_;
  if (!first) return number;
  lock.unlock();
  poster_.Post([self = shared_from_this()] { self->Deliver(); });
  lock.lock();
  return number;
}

void Mailbox::Interrupt() {
  {
    const std::lock_guard lock(mutex_);
    interrupted_ = true;
  }
  has_run_.notify_all();
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
  for (Completion& completion : batch) {
    if (closed_) return;
    std::move(completion)();
    const std::lock_guard lock(mutex_);
    ++ran_;
    has_run_.notify_one();
  }
}

}  // namespace hlbuf
