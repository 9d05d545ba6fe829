// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_NOTIFY_SOCKET_H_
#define HLBUF_DAEMON_NOTIFY_SOCKET_H_

#include <sys/socket.h>
#include <sys/un.h>

#include <cstddef>
#include <deque>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "daemon/base/clock.h"
#include "proto/wire/unique_fd.h"

namespace hlbuf {

// What sd_notify(3) and its relatives do, without waiting: the service manager may stand still, and
// then its socket is full after some messages, and the next one of libsystemd's blocks for ever.
// What it does not take at once waits here, in order, and is tried again.
//
// Broker thread.
class NotifySocket {
 public:
  static constexpr std::size_t kWaitingMax = 256;
  // Between two tries; each pause is twice the one before.
  static constexpr absl::Duration kFirstPause = absl::Milliseconds(5);
  static constexpr absl::Duration kLongestPause = absl::Seconds(1);

  // To where $NOTIFY_SOCKET leads now. `clock` lives longer.
  explicit NotifySocket(const Clock& clock);

  // There is a service manager.
  bool is_there() const { return static_cast<bool>(socket_); }
  bool idle() const { return waiting_.empty(); }

  // Sends lines, and a duplicate of `fd` unless that is -1, behind all that was sent before. What
  // says how the service is now (status, readiness, life, a barrier) takes the place of what has
  // not been read and says the same; being one each, these are not counted by kWaitingMax.
  //
  // Errors: UNAVAILABLE         there is no service manager, or it is gone
  //         RESOURCE_EXHAUSTED  kWaitingMax messages wait, or there is no descriptor left
  //         others              of sendmsg()
  absl::Status Send(const std::string& lines, int fd = -1);

  // For the end of a process: waits for up to `patience` until all was told, and drops the rest.
  void Finish(absl::Duration patience);

  absl::Time NextDeadline() const { return idle() ? absl::InfiniteFuture() : next_try_; }
  void RunDeadlines();

 private:
  struct Message {
    std::string lines;
    UniqueFd fd;
  };

  // None: there is no room for it now.
  std::optional<absl::Status> TrySend(const std::string& lines, int fd) const;
  // Whether nothing waits any more.
  bool SendWaiting();
  absl::Status Enqueue(const std::string& lines, int fd);

  const Clock& clock_;
  UniqueFd socket_;  // none: there is no service manager
  sockaddr_un address_ = {};
  socklen_t address_bytes_ = 0;
  std::deque<Message> waiting_;
  absl::Duration pause_;
  absl::Time next_try_;
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_NOTIFY_SOCKET_H_
