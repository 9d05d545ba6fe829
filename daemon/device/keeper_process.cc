// SPDX-License-Identifier: Apache-2.0
#include "daemon/device/keeper_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "daemon/device/deadline.h"
#include "daemon/device/error_text.h"
#include "daemon/keeper/keeper_wire.h"

namespace hlbuf {
namespace {

// posix_spawn() and not fork(): other threads may hold any lock, and the child shares their memory
// until it executes.
int Spawn(const std::string& program, int channel, const KeeperProcess::Wait& wait, pid_t& pid) {
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_t actions;
  if (const int error = ::posix_spawnattr_init(&attributes); error != 0) return error;
  const absl::Cleanup no_attributes = [&] { ::posix_spawnattr_destroy(&attributes); };
  if (const int error = ::posix_spawn_file_actions_init(&actions); error != 0) return error;
  const absl::Cleanup no_actions = [&] { ::posix_spawn_file_actions_destroy(&actions); };

  sigset_t none;
  sigset_t all;
  sigemptyset(&none);
  sigfillset(&all);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setsigdefault(&attributes, &all);
  ::posix_spawnattr_setflags(&attributes,
                             POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  int last = HLBUF_KEEPER_CHANNEL;
  int error = ::posix_spawn_file_actions_adddup2(&actions, channel, HLBUF_KEEPER_CHANNEL);
  if (error == 0 && wait.listener)
    error =
        ::posix_spawn_file_actions_adddup2(&actions, wait.listener.get(), last = HLBUF_KEEPER_NEXT);
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO && error == 0; ++fd)
    error = ::posix_spawn_file_actions_addclose(&actions, fd);
  if (error == 0) error = ::posix_spawn_file_actions_addclosefrom_np(&actions, last + 1);
  if (error != 0) return error;

  std::string name = program;
  std::string option = "--wait";
  std::string seconds = absl::StrCat(wait.seconds);
  char* const arguments[] = {name.data(), wait.listener ? option.data() : nullptr, seconds.data(),
                             nullptr};
  char* const environment[] = {nullptr};
  return ::posix_spawn(&pid, program.c_str(), &actions, &attributes, arguments, environment);
}

std::string EndText(const siginfo_t& info) {
  if (info.si_code == CLD_EXITED) return absl::StrCat("ended with status ", info.si_status);
  const char* const signal = ::sigabbrev_np(info.si_status);
  return absl::StrCat("killed by SIG", signal != nullptr ? signal : "?");
}

}  // namespace

absl::StatusOr<KeeperProcess> KeeperProcess::Start(const std::string& program, int channel,
                                                   const Wait& wait) {
  // Out of the way of the numbers that they get there.
  const UniqueFd connection(::fcntl(channel, F_DUPFD_CLOEXEC, HLBUF_KEEPER_NEXT + 1));
  Wait moved{.listener = {}, .seconds = wait.seconds};
  if (wait.listener)
    moved.listener.Reset(::fcntl(wait.listener.get(), F_DUPFD_CLOEXEC, HLBUF_KEEPER_NEXT + 1));
  if (!connection || (wait.listener && !moved.listener))
    return CallFailed("fcntl(F_DUPFD_CLOEXEC)", errno);
  pid_t pid = -1;
  if (const int error = Spawn(program, connection.get(), moved, pid); error != 0)
    return CallFailed(absl::StrCat("cannot start ", program), error);
  UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (pidfd) return KeeperProcess(pid, std::move(pidfd));
  const int error = errno;
  ::kill(pid, SIGKILL);  // it was not reaped: the number is still its own
  ::waitpid(pid, nullptr, 0);
  return CallFailed("pidfd_open()", error);
}

std::string KeeperProcess::Fate() const {
  siginfo_t info = {};
  const int result =
      ::waitid(P_PIDFD, static_cast<id_t>(pidfd_.get()), &info, WEXITED | WNOHANG | WNOWAIT);
  if (result != 0 || info.si_pid == 0) return "runs";
  return EndText(info);
}

std::optional<std::string> KeeperProcess::End(absl::Duration patience, absl::Duration after_kill) {
  if (Await(pidfd_.get(), POLLIN, Deadline(patience)) == 0) {
    ::syscall(SYS_pidfd_send_signal, pidfd_.get(), SIGKILL, nullptr, 0);
    if (Await(pidfd_.get(), POLLIN, Deadline(after_kill)) == 0) return std::nullopt;
  }
  siginfo_t info = {};
  if (::waitid(P_PIDFD, static_cast<id_t>(pidfd_.get()), &info, WEXITED) != 0) return std::nullopt;
  return EndText(info);
}

}  // namespace hlbuf
