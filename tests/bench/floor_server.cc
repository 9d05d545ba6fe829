// SPDX-License-Identifier: Apache-2.0
// usage: hl-bench-floor DESCRIPTORS, with a listening SOCK_SEQPACKET socket as standard input.
//
// What the daemon is compared with: epoll, recv, sendmsg, and nothing that makes it a service. It
// believes what it is told; whoever connects to it is a benchmark.
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "proto/hlbuf_wire.h"
#include "tests/bench/die.h"
#include "tests/bench/floor_wire.h"

namespace hlbuf::bench {
namespace {

constexpr off_t kBufferBytes = 4096;

int MakeBuffer() {
  const int fd = ::memfd_create("floor", MFD_CLOEXEC);
  if (fd < 0 || ::ftruncate(fd, kBufferBytes) != 0) DieErrno("memfd");
  return fd;
}

void SendWith(int socket, const int* fds, std::size_t count) {
  FloorMessage reply = {.verb = FloorVerb::kPass};
  iovec iov = {.iov_base = &reply, .iov_len = sizeof(reply)};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(HLBUF_WIRE_BATCH_MAX * sizeof(int))> control;
  msghdr header = {};
  header.msg_iov = &iov;
  header.msg_iovlen = 1;
  header.msg_control = control.data();
  header.msg_controllen = CMSG_SPACE(count * sizeof(int));
  cmsghdr* c = CMSG_FIRSTHDR(&header);
  c->cmsg_level = SOL_SOCKET;
  c->cmsg_type = SCM_RIGHTS;
  c->cmsg_len = CMSG_LEN(count * sizeof(int));
  std::memcpy(CMSG_DATA(c), fds, count * sizeof(int));
  if (::sendmsg(socket, &header, MSG_NOSIGNAL) < 0) DieErrno("sendmsg");
}

class Server {
 public:
  explicit Server(std::size_t descriptors) : epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
    for (std::size_t i = 0; i < descriptors; ++i) buffers_.push_back(MakeBuffer());
    Watch(STDIN_FILENO);
  }

  [[noreturn]] void Run() {
    std::array<epoll_event, 64> events;
    for (;;) {
      const int n =
          ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), /* timeout= */ -1);
      for (int i = 0; i < n; ++i) {
        const int fd = events[static_cast<std::size_t>(i)].data.fd;
        if (fd == STDIN_FILENO)
          Watch(::accept4(STDIN_FILENO, nullptr, nullptr, SOCK_CLOEXEC));
        else
          ReadOne(fd);
      }
    }
  }

 private:
  void Watch(int fd) {
    epoll_event event = {.events = EPOLLIN, .data = {.fd = fd}};
    if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) DieErrno("epoll_ctl");
  }

  void ReadOne(int socket) {
    FloorMessage message;
    if (::recv(socket, &message, sizeof(message), 0) <= 0) {
      std::erase(holders_, socket);
      ::close(socket);
      return;
    }
    switch (message.verb) {
      case FloorVerb::kPass:
        return SendWith(socket, buffers_.data() + message.first, message.count);
      case FloorVerb::kAllocate:
        return Allocate(socket);
      case FloorVerb::kHold:
        holders_.push_back(socket);
        return Say(socket, FloorVerb::kHold);
      case FloorVerb::kNotify:
        return Notify(socket);
      case FloorVerb::kRelease:
        return;
      case FloorVerb::kNotice:
        if (--unanswered_ == 0) Say(asker_, FloorVerb::kNotify);
        return;
    }
  }

  static void Allocate(int socket) {
    const int fd = MakeBuffer();
    SendWith(socket, &fd, 1);
    ::close(fd);
  }

  void Notify(int socket) {
    asker_ = socket;
    unanswered_ = holders_.size();
    for (const int holder : holders_) Say(holder, FloorVerb::kNotice);
  }

  static void Say(int socket, FloorVerb verb) {
    const FloorMessage message = {.verb = verb};
    if (::send(socket, &message, sizeof(message), MSG_NOSIGNAL) < 0) DieErrno("send");
  }

  int epoll_;
  std::vector<int> buffers_;
  std::vector<int> holders_;
  int asker_ = -1;
  std::size_t unanswered_ = 0;
};

}  // namespace
}  // namespace hlbuf::bench

int main(int argc, char** argv) {
  if (argc != 2) hlbuf::bench::Die("usage: hl-bench-floor DESCRIPTORS");
  hlbuf::bench::Server(std::strtoul(argv[1], nullptr, 10)).Run();
}
