// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_BASE_SIDE_JOB_H_
#define HLBUF_DAEMON_BASE_SIDE_JOB_H_

#include <memory>
#include <thread>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "daemon/base/poster.h"

namespace hlbuf {

// Runs what may block on a thread of its own, one at a time. Broker thread, but for the work.
class SideJob {
 public:
  // `poster` outlives this.
  explicit SideJob(Poster& poster) : poster_(poster) {}
  // Waits for the work.
  ~SideJob() {
    if (thread_.joinable()) thread_.join();
  }
  SideJob(const SideJob&) = delete;
  SideJob& operator=(const SideJob&) = delete;

  // `done` is posted when `work` has run, and does not run after this has gone; not before that may
  // the next one begin.
  void Run(absl::AnyInvocable<void() &&> work, absl::AnyInvocable<void() &&> done) {
    if (thread_.joinable()) thread_.join();
    auto here = [alive = std::weak_ptr<bool>(alive_), done = std::move(done)]() mutable {
      if (!alive.expired()) std::move(done)();
    };
    thread_ = std::thread([this, work = std::move(work), here = std::move(here)]() mutable {
      std::move(work)();
      poster_.Post(std::move(here));
    });
  }

 private:
  Poster& poster_;
  std::thread thread_;
  const std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_BASE_SIDE_JOB_H_
