// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_DEVICE_KEEPER_PROCESS_H_
#define HLBUF_DAEMON_DEVICE_KEEPER_PROCESS_H_

#include <sys/types.h>

#include <optional>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "proto/wire/unique_fd.h"

namespace hlbuf {

// A child of this process, seen by its pidfd, so that no other process is ever taken for it.
class KeeperProcess {
 public:
  // Where its successor's connection comes from: --wait in hl-bufd-keeper --help.
  struct Wait {
    UniqueFd listener;
    int seconds = 0;
  };

  // Runs `program` as the leader of a new session, without environment, with default signals, and
  // with `channel`, which is borrowed, as descriptor 3; with `wait`, if there is one, as descriptor
  // 4 and as its only arguments; with no other descriptor. That it could be executed is known when
  // this returns.
  //
  // Errors: those of posix_spawn() and pidfd_open(), in words
  static absl::StatusOr<KeeperProcess> Start(const std::string& program, int channel,
                                             const Wait& wait);

  KeeperProcess(KeeperProcess&& other) noexcept
      : pid_(std::exchange(other.pid_, -1)), pidfd_(std::move(other.pidfd_)) {}

  pid_t pid() const { return pid_; }
  // Readable once it has ended; then the kernel has closed all its files, too.
  int pidfd() const { return pidfd_.get(); }
  // "killed by SIGKILL", "ended with status 1", "runs".
  std::string Fate() const;
  // Waits for its end, kills it if that does not come in `patience`, reaps it, and says how it
  // ended, as Fate() does. nullopt: it has not ended in `after_kill` either; a driver does not let
  // it go, and a zombie will stay.
  std::optional<std::string> End(absl::Duration patience, absl::Duration after_kill);

 private:
  explicit KeeperProcess(pid_t pid, UniqueFd pidfd) : pid_(pid), pidfd_(std::move(pidfd)) {}

  pid_t pid_;
  UniqueFd pidfd_;
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_DEVICE_KEEPER_PROCESS_H_
