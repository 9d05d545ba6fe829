// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_DEVICE_MAILBOX_H_
#define HLBUF_DAEMON_DEVICE_MAILBOX_H_

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "daemon/base/poster.h"

namespace hlbuf {

// Tells the broker thread what came of something. Destroyed on the broker thread.
using Completion = absl::AnyInvocable<void() &&>;

// Brings completions from a worker thread to the broker thread, in their order. However many are
// ready, they cost one Post().
class Mailbox : public std::enable_shared_from_this<Mailbox> {
 public:
  explicit Mailbox(Poster& poster) : poster_(poster) {}

  // Any thread.
  void Put(Completion completion);
  // The same, and returns when the completion has run. False: it will not. The broker thread must
  // not wait for the caller meanwhile, unless it has called Interrupt().
  bool PutAndWait(Completion completion);
  // Broker thread: nobody waits for a completion any more.
  void Interrupt();
  // Broker thread, a completion included: from now on nothing is delivered, also of what was put
  // before. No Put() may follow.
  void Close();

 private:
  std::uint64_t PutLocked(Completion completion, std::unique_lock<std::mutex>& lock);
  void Deliver();

  Poster& poster_;
  bool closed_ = false;  // broker thread
  std::mutex mutex_;  // for everything below; not absl::Mutex: ThreadSanitizer cannot see into it
  std::condition_variable has_run_;
  std::vector<Completion> ready_;  // not empty: a delivery is posted
  std::uint64_t put_ = 0;          // so many completions
  std::uint64_t ran_ = 0;
  bool interrupted_ = false;
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_DEVICE_MAILBOX_H_
