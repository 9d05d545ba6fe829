// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "proto/wire/packet.h"
#include "tests/support/child.h"
#include "tests/support/step_client/steps.h"

namespace hlbuf {
namespace {

UniqueFd Connected(const std::string& path) {
  UniqueFd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  if (!socket ||
      ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0)
    return UniqueFd();
  return socket;
}

// connect PATH: the socket
Outcome Connect(Step& step) {
  UniqueFd socket = Connected(step.Word(1));
  return socket ? Done(absl::StrCat(socket.Release())) : FailedBy("connect");
}

// flood PATH COUNT BYTES: connections that are kept, BYTES sent on each; how many there are
Outcome Flood(Step& step) {
  std::uint64_t made = 0;
  for (; made < step.Number(2); ++made) {
    UniqueFd socket = Connected(step.Word(1));
    if (!socket) break;
    if (!step.bytes.empty())
      static_cast<void>(::send(socket.get(), step.bytes.data(), step.bytes.size(), MSG_NOSIGNAL));
    static_cast<void>(socket.Release());
  }
  return Done(absl::StrCat(made));
}

// send SOCKET, with the packet, and a descriptor that it brings along and that is gone from here
Outcome Send(Step& step) {
  if (!step.fd) {
    const ssize_t n = ::send(step.Int(1), step.bytes.data(), step.bytes.size(), MSG_NOSIGNAL);
    return n < 0 ? FailedBy("send") : Done();
  }
  const UniqueFd fd = std::move(step.fd);
  const absl::Status sent = SendPacket(
      step.Int(1), {reinterpret_cast<const std::byte*>(step.bytes.data()), step.bytes.size()},
      std::vector<int>{fd.get()});
  return sent.ok() ? Done() : Failed(std::string(sent.message()));
}

// receive SOCKET: the descriptors that came along; the packet. At end of file it fails.
Outcome Receive(Step& step) {
  pollfd p = {.fd = step.Int(1), .events = POLLIN, .revents = 0};
  if (::poll(&p, 1, kPatienceMs) <= 0) return Failed("nothing came in time");
  static PacketBuffer in;
  absl::Status received = ReceivePacket(step.Int(1), in);
  // ECONNRESET comes once, in front of what can still be read.
  if (absl::IsUnavailable(received)) received = ReceivePacket(step.Int(1), in);
  if (!received.ok()) return Failed(std::string(received.message()));
  std::vector<int> fds;
  for (UniqueFd& fd : in.fds()) fds.push_back(fd.Release());
  return Done(absl::StrJoin(fds, " "),
              {reinterpret_cast<const char*>(in.bytes().data()), in.bytes().size()});
}

Outcome Close(Step& step) { return ::close(step.Int(1)) == 0 ? Done() : FailedBy("close"); }

Outcome Duplicate(Step& step) {
  const int fd = ::fcntl(step.Int(1), F_DUPFD_CLOEXEC, 0);
  return fd < 0 ? FailedBy("dup") : Done(absl::StrCat(fd));
}

// give FD: a copy of it for whoever commands
Outcome Give(Step& step) {
  Outcome outcome = Done();
  outcome.fd = UniqueFd(::fcntl(step.Int(1), F_DUPFD_CLOEXEC, 0));
  return outcome;
}

// take, with a descriptor: its number here
Outcome Take(Step& step) { return Done(absl::StrCat(step.fd.Release())); }

// map FD BYTES: the address
Outcome Map(Step& step) {
  void* const at =
      ::mmap(nullptr, step.Number(2), PROT_READ | PROT_WRITE, MAP_SHARED, step.Int(1), 0);
  return at == MAP_FAILED ? FailedBy("mmap")
                          : Done(absl::StrCat(reinterpret_cast<std::uintptr_t>(at)));
}

Outcome Unmap(Step& step) {
  return ::munmap(reinterpret_cast<void*>(step.Number(1)), step.Number(2)) == 0
             ? Done()
             : FailedBy("munmap");
}

// peek ADDRESS BYTES: what is there
Outcome Peek(Step& step) {
  return Done("", std::string(reinterpret_cast<const char*>(step.Number(1)), step.Number(2)));
}

// poke ADDRESS, with what to write there
Outcome Poke(Step& step) {
  std::memcpy(reinterpret_cast<void*>(step.Number(1)), step.bytes.data(), step.bytes.size());
  return Done();
}

// sync FD FLAGS: brackets access to a dma-buf's bytes; other memory needs none.
Outcome Sync(Step& step) {
  dma_buf_sync sync = {.flags = step.Number(2)};
  if (::ioctl(step.Int(1), DMA_BUF_IOCTL_SYNC, &sync) == 0 || errno == ENOTTY || errno == EINVAL)
    return Done();
  return FailedBy("DMA_BUF_IOCTL_SYNC");
}

Outcome Count(Step&) { return Done(absl::StrCat(CountDescriptors())); }

// leave-descriptors COUNT: so many more can be opened, and no more than that
Outcome LeaveDescriptors(Step& step) {
  const int next = ::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);
  if (next < 0) return FailedBy("dup");
  ::close(next);
  rlimit limit = {};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = static_cast<rlim_t>(next) + step.Number(1);
  return ::setrlimit(RLIMIT_NOFILE, &limit) == 0 ? Done() : FailedBy("setrlimit");
}

volatile std::sig_atomic_t terminations = 0;

// count-terminations: SIGTERM ends this process no more
Outcome CountTerminations(Step&) {
  struct sigaction action = {};
  action.sa_handler = [](int) { terminations = terminations + 1; };
  return ::sigaction(SIGTERM, &action, nullptr) == 0 ? Done() : FailedBy("sigaction");
}

// terminations: how often it came
Outcome Terminations(Step&) { return Done(absl::StrCat(static_cast<int>(terminations))); }

}  // namespace

Outcome Done(const std::string& words, const std::string& bytes) {
  Outcome outcome;
  outcome.words = words;
  outcome.bytes = bytes;
  return outcome;
}

Outcome Failed(const std::string& words) {
  Outcome outcome;
  outcome.ok = false;
  outcome.words = words;
  return outcome;
}

Outcome FailedBy(const char* call) {
  return Failed(absl::StrCat(errno, " ", call, ": ", std::strerror(errno)));
}

void AddRawSteps(StepTable& table) {
  table.insert({{"connect", Connect},
                {"flood", Flood},
                {"send", Send},
                {"receive", Receive},
                {"close", Close},
                {"dup", Duplicate},
                {"give", Give},
                {"take", Take},
                {"map", Map},
                {"unmap", Unmap},
                {"peek", Peek},
                {"poke", Poke},
                {"sync", Sync},
                {"count", Count},
                {"count-terminations", CountTerminations},
                {"terminations", Terminations},
                {"leave-descriptors", LeaveDescriptors}});
}

}  // namespace hlbuf
