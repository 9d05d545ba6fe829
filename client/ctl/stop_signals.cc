// SPDX-License-Identifier: Apache-2.0
#include "client/ctl/stop_signals.h"

#include <sys/signalfd.h>
#include <unistd.h>

#include <csignal>

namespace hlbuf::ctl {
namespace {

sigset_t Signals() {
  sigset_t signals;
  ::sigemptyset(&signals);
  ::sigaddset(&signals, SIGINT);
  ::sigaddset(&signals, SIGTERM);
  return signals;
}

}  // namespace

StopSignals::StopSignals() {
  const sigset_t signals = Signals();
  fd_ = ::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
  if (fd_ >= 0) ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
}

StopSignals::~StopSignals() {
  if (fd_ < 0) return;
  // Those that came are done with; the next ones end the program as usual.
  signalfd_siginfo taken;
  while (::read(fd_, &taken, sizeof(taken)) > 0) continue;
  const sigset_t signals = Signals();
  ::pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
  ::close(fd_);
}

}  // namespace hlbuf::ctl
