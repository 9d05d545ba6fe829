// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_DEVICE_READY_FDS_H_
#define HLBUF_DAEMON_DEVICE_READY_FDS_H_

#include <cstdint>

#include "proto/wire/unique_fd.h"

namespace hlbuf {

// One descriptor that is readable while any of several is ready. They come and go on one thread;
// the one stays the same, so that another thread can watch it meanwhile.
class ReadyFds {
 public:
  ReadyFds();

  // Any thread. -1: no descriptor was free when this was made, and none is told of.
  int fd() const { return epoll_.get(); }
  // EPOLL* `events`; a hang-up is told in any case. What cannot be added is not told of.
  void Add(int fd, std::uint32_t events) const;
  // Before `fd` is closed: a copy that another process has would keep it here for ever. One that is
  // not here, or -1, is fine.
  void Remove(int fd) const;

 private:
  UniqueFd epoll_;
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_DEVICE_READY_FDS_H_
