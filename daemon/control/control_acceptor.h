// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_CONTROL_CONTROL_ACCEPTOR_H_
#define HLBUF_DAEMON_CONTROL_CONTROL_ACCEPTOR_H_

#include <memory>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "daemon/base/clock.h"
#include "daemon/base/event_loop.h"
#include "daemon/core/deadlines.h"
#include "proto/wire/unique_fd.h"

namespace hlbuf {

// Has the kernel refuse descriptors that peers send to connections of `listener`: they get EPERM.
// False: Linux before 6.16 cannot.
bool RefuseDescriptors(int listener);

// Accepts connections of a listening stream socket until it is destroyed. Broker thread.
//
// gRPC 1.51 must never accept itself: after one EMFILE its listener is dead for good
// (CVE-2023-4785), and it cannot tell who connected.
//
// When the process has no descriptor left, one that is kept in reserve is given up to accept and
// close a few connections, whose peers so learn at once that they are refused; then nothing is
// accepted for kBackOff. Left in the backlog they would keep the socket readable, and the loop
// busy.
class ControlAcceptor {
 public:
  static constexpr absl::Duration kBackOff = absl::Milliseconds(100);

  using Accepted = absl::AnyInvocable<void(UniqueFd)>;
  using Refused = absl::AnyInvocable<void()>;
  // `accepted` gets each connection; `refused` is told when some were closed for want of
  // descriptors.
  static absl::StatusOr<std::unique_ptr<ControlAcceptor>> Start(EventLoop& loop, const Clock& clock,
                                                                Deadlines& deadlines,
                                                                UniqueFd listener,
                                                                Accepted accepted, Refused refused);
  ~ControlAcceptor();

 private:
  ControlAcceptor(const Clock& clock, Deadlines& deadlines, UniqueFd listener, Accepted accepted,
                  Refused refused);
  UniqueFd Accept();
  void OnReadable();
  void Shed();
  void BackOff();

  const Clock& clock_;
  Deadlines& deadlines_;
  UniqueFd listener_;
  UniqueFd reserve_;
  Accepted accepted_;
  Refused refused_;
  Deadlines::Handle resume_;
  std::unique_ptr<EventLoop::Watch> watch_;
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_CONTROL_CONTROL_ACCEPTOR_H_
