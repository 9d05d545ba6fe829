// SPDX-License-Identifier: Apache-2.0
#include "daemon/device/ready_fds.h"

#include <sys/epoll.h>

namespace hlbuf {

ReadyFds::ReadyFds() : epoll_(::epoll_create1(EPOLL_CLOEXEC)) {}

void ReadyFds::Add(int fd, std::uint32_t events) const {
  epoll_event event = {.events = events, .data = {.fd = fd}};
  (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event);
}

void ReadyFds::Remove(int fd) const { (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr); }

}  // namespace hlbuf
