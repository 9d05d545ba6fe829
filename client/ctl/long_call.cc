// SPDX-License-Identifier: Apache-2.0
#include "client/ctl/long_call.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <csignal>

#include "absl/cleanup/cleanup.h"
#include "absl/time/clock.h"
#include "client/ctl/console.h"
#include "client/ctl/rpc_error.h"

namespace hlbuf::ctl {
namespace {

constexpr const char* kGoesOn = "what was begun goes on, and `hl-bufctl watch` tells how it ends";

// The signal that comes before `done_fd` is readable; 0 when none does.
int SignalBefore(int done_fd, int signal_fd) {
  pollfd fds[] = {{.fd = done_fd, .events = POLLIN}, {.fd = signal_fd, .events = POLLIN}};
  while (::poll(fds, 2, -1) < 0) continue;
  signalfd_siginfo came = {};
  const bool over = fds[0].revents != 0;
  if (over || ::read(signal_fd, &came, sizeof(came)) != sizeof(came)) return 0;
  return static_cast<int>(came.ssi_signo);
}

}  // namespace

grpc::Status LongCall::Await(absl::Duration patience,
                             const std::function<void(grpc::ClientContext&, Done)>& start) {
  const int done_fd = ::eventfd(0, EFD_CLOEXEC);
  const absl::Cleanup close = [done_fd] { ::close(done_fd); };
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + patience));
  grpc::Status status;
  start(context, [&status, done_fd](const grpc::Status& ended) {
    status = ended;
    ::eventfd_write(done_fd, 1);
  });
  signal_ = SignalBefore(done_fd, signals_->fd());
  if (signal_ != 0) context.TryCancel();
  eventfd_t ended = 0;
  while (::eventfd_read(done_fd, &ended) != 0) continue;
  return status;
}

ExitCode LongCall::Conclude(const grpc::Status& status) {
  const ExitCode code = ExitCodeOf(status);
  if (signal_ != 0 && code != ExitCode::kOk) {
    PrintError(std::string("interrupted; ") + kGoesOn);
    signals_.reset();
    // As it would have ended without this: shells stop their scripts by that.
    ::raise(signal_);
  } else if (status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) {
    PrintError(std::string("no answer from the daemon in time; ") + kGoesOn);
  } else {
    return ctl::Conclude(status);
  }
  return code;
}

}  // namespace hlbuf::ctl
