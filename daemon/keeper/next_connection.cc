// SPDX-License-Identifier: Apache-2.0
#include "daemon/keeper/next_connection.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>

namespace hlbuf {
namespace {

using Clock = std::chrono::steady_clock;
constexpr int kPauseMs = 10;

bool IsOfThisUser(int socket) {
  ucred peer = {};
  socklen_t size = sizeof(peer);
  return ::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
         peer.uid == ::geteuid();
}

}  // namespace

UniqueFd AcceptNext(int listener, int seconds) {
  const Clock::time_point end = Clock::now() + std::chrono::seconds(seconds);
  while (true) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now());
    if (left.count() <= 0) return UniqueFd();
    pollfd p = {.fd = listener, .events = POLLIN, .revents = 0};
    if (::poll(&p, 1, static_cast<int>(left.count())) <= 0) continue;
    if ((p.revents & POLLIN) == 0) return UniqueFd();
    UniqueFd socket(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
    if (socket && IsOfThisUser(socket.get())) return socket;
    // What the whole machine lacks is no reason to let everything go.
    if (!socket) static_cast<void>(::poll(nullptr, 0, kPauseMs));
  }
}

}  // namespace hlbuf
