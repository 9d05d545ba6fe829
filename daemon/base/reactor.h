// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_BASE_REACTOR_H_
#define HLBUF_DAEMON_BASE_REACTOR_H_

#include <cstdint>
#include <memory>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "daemon/base/poster.h"

namespace hlbuf {

// A descriptor that is watched, as long as this lives. Destroyed: its task is not called again, not
// even for what is noticed already. Its own task must not destroy it.
class FdWatch {
 public:
  virtual ~FdWatch() = default;
};

// The broker thread, for those who have descriptors to watch there as well.
class Reactor : public Poster {
 public:
  using IoTask = absl::AnyInvocable<void(std::uint32_t revents)>;

  // Broker thread. `events` are EPOLL* bits; `fd` stays open as long as the watch.
  virtual absl::StatusOr<std::unique_ptr<FdWatch>> WatchFd(int fd, std::uint32_t events,
                                                           IoTask task) = 0;
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_BASE_REACTOR_H_
