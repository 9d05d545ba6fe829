// SPDX-License-Identifier: Apache-2.0
#include "daemon/control/control_acceptor.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "daemon/base/status_macros.h"

// Linux 6.16; not in the C library's headers of Debian 12.
#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83
#endif

namespace hlbuf {
namespace {

// In one iteration of the loop; others have their turn between.
constexpr int kAcceptsAtOnce = 16;
constexpr int kShedAtOnce = 64;

UniqueFd Reserve() { return UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC)); }

// Errors after which the next accept() fails the same way, and the socket stays readable.
bool IsShortage(int error) {
  return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

}  // namespace

bool RefuseDescriptors(int listener) {
  const int off = 0;
  return ::setsockopt(listener, SOL_SOCKET, SO_PASSRIGHTS, &off, sizeof(off)) == 0;
}

ControlAcceptor::ControlAcceptor(const Clock& clock, Deadlines& deadlines, UniqueFd listener,
                                 Accepted accepted, Refused refused)
    : clock_(clock),
      deadlines_(deadlines),
      listener_(std::move(listener)),
      reserve_(Reserve()),
      accepted_(std::move(accepted)),
      refused_(std::move(refused)) {}

absl::StatusOr<std::unique_ptr<ControlAcceptor>> ControlAcceptor::Start(
    EventLoop& loop, const Clock& clock, Deadlines& deadlines, UniqueFd listener, Accepted accepted,
    Refused refused) {
  const int flags = ::fcntl(listener.get(), F_GETFL);
  if (flags < 0 || ::fcntl(listener.get(), F_SETFL, flags | O_NONBLOCK) != 0)
    return absl::ErrnoToStatus(errno, "make the control socket non-blocking");
  std::unique_ptr<ControlAcceptor> acceptor(new ControlAcceptor(
      clock, deadlines, std::move(listener), std::move(accepted), std::move(refused)));
  ASSIGN_OR_RETURN(acceptor->watch_,
                   loop.AddIo(acceptor->listener_.get(), EPOLLIN,
                              [self = acceptor.get()](std::uint32_t) { self->OnReadable(); }));
  return acceptor;
}

ControlAcceptor::~ControlAcceptor() { deadlines_.Cancel(resume_); }

UniqueFd ControlAcceptor::Accept() {
  return UniqueFd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
}

void ControlAcceptor::OnReadable() {
  for (int i = 0; i < kAcceptsAtOnce; ++i) {
    UniqueFd socket = Accept();
    if (socket) {
      accepted_(std::move(socket));
    } else if (IsShortage(errno)) {
      Shed();
      return BackOff();
    } else if (errno != ECONNABORTED && errno != EINTR) {
      return;  // EAGAIN; anything else is judged again when the socket is readable again
    }
  }
}

void ControlAcceptor::Shed() {
  for (int i = 0; i < kShedAtOnce; ++i) {
    reserve_.Reset();
    const bool accepted = static_cast<bool>(Accept());  // and closed
    reserve_ = Reserve();
    if (!accepted) break;
    if (i == 0) refused_();
  }
}

void ControlAcceptor::BackOff() {
  watch_->SetEvents(0);
  resume_ = deadlines_.At(clock_.Now() + kBackOff, [this] { watch_->SetEvents(EPOLLIN); });
}

}  // namespace hlbuf
