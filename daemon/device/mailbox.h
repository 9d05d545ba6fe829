// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_DEVICE_MAILBOX_H_
#define HLBUF_DAEMON_DEVICE_MAILBOX_H_

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
  // Broker thread, a completion included: from now on nothing is delivered, also of what was put
  // before. No Put() may follow.
  void Close();

 private:
  void Deliver();

  Poster& poster_;
  bool closed_ = false;            // broker thread
  std::mutex mutex_;               // not absl::Mutex, which ThreadSanitizer cannot see into
  std::vector<Completion> ready_;  // with mutex_; not empty: a delivery is posted
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_DEVICE_MAILBOX_H_
