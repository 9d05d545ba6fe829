// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_DEVICE_KEEPER_H_
#define HLBUF_DAEMON_DEVICE_KEEPER_H_

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "daemon/device/keeper_connection.h"
#include "daemon/device/keeper_process.h"
#include "daemon/device/kept_copy.h"
#include "proto/wire/unique_fd.h"

namespace hlbuf {

// How long each of a keeper's answers may take.
struct KeeperLimits {
  absl::Duration start = absl::Seconds(5);
  absl::Duration open = absl::Seconds(30);
  absl::Duration keep = absl::Seconds(5);  // it may have to wait for a processor
  // The last close of a dma-buf may run a reset of the device.
  absl::Duration drop = absl::Seconds(30);
  absl::Duration fetch = absl::Seconds(10);
  absl::Duration end = absl::Seconds(2);      // before it is killed
  absl::Duration killed = absl::Seconds(10);  // and after that, which may take as long as a close
};

struct KeeperCount {
  std::uint32_t kept = 0;
  std::uint32_t room = 0;  // for so many more
};

// hl-bufd-keeper beside this program's own file.
std::string DefaultKeeperPath();

// One process that opens a device, and keeps a duplicate of it and of all that is exported from it.
// The driver kills who opened the device at a hard reset: that is the keeper, and all that it kept
// is closed then. Why it died only the device's control node knows.
//
// It can be older than this process, which then is not its parent: how it ended is not known there.
//
// One thread at a time, and one that may wait, but for fd(), pid() and pidfd(). After a
// DEADLINE_EXCEEDED it is not known what was done. If that comes from Open(), or DATA_LOSS does (no
// descriptor is free here), destroy the keeper: it may have the device open.
//
// Errors of all calls: UNAVAILABLE        the keeper is dead; the text says of what
//                      DEADLINE_EXCEEDED  beyond KeeperLimits
class Keeper {
 public:
  // Starts `program` as a child, which answered when this returns.
  //
  // Errors: also those of socketpair() and posix_spawn(), in words
  static absl::StatusOr<std::unique_ptr<Keeper>> Spawn(const std::string& program,
                                                       KeeperLimits limits,
                                                       const KeeperProcess::Wait& wait = {});
  // The one at the other end of `connection`, which an earlier process of this service may have
  // used. It answered when this returns, so it has done all that it was told before.
  static absl::StatusOr<std::unique_ptr<Keeper>> Adopt(UniqueFd connection, KeeperLimits limits);
  // A new one, which somebody else has just begun there, or is about to: it has nothing to close,
  // so it is given no more time than a child.
  static absl::StatusOr<std::unique_ptr<Keeper>> Meet(UniqueFd connection, KeeperLimits limits);
  ~Keeper();  // End(), unless Leave() was called
  Keeper(const Keeper&) = delete;
  Keeper& operator=(const Keeper&) = delete;

  // Has the keeper open `path` and keep that, as HLBUF_KEEPER_DEVICE_ID.
  //
  // Errors: also INVALID_ARGUMENT for a path that is not absolute or has "..", and what
  //         CannotOpen() makes of the errno, which ErrnoOf() tells
  absl::StatusOr<UniqueFd> Open(const std::string& path);
  // Gives the keeper a duplicate of `fd`, which is borrowed. It is as durable as the keeper when
  // this returns, though the keeper may not have read it. What is kept under `id` already stays.
  //
  // Errors: also RESOURCE_EXHAUSTED when the keeper, or this user's queues, take no more
  absl::Status Keep(std::uint64_t id, int fd);
  // OK: the keeper has closed its duplicates of all `ids`, and of nothing else.
  absl::Status Drop(absl::Span<const std::uint64_t> ids);
  // The same, but without waiting for it, and without an error where the keeper is dead.
  absl::Status DropSoon(absl::Span<const std::uint64_t> ids);
  // Of the device, too.
  absl::Status DropAll();
  // Duplicates of everything that it keeps, in no order; it goes on keeping that.
  //
  // Errors: also UNIMPLEMENTED       it is of an earlier version, and gives nothing back
  //              RESOURCE_EXHAUSTED  this user's queues take no more
  //              DATA_LOSS           no descriptor is free here, or what it sends makes no sense
  absl::StatusOr<std::vector<KeptCopy>> Fetch();
  // After everything that was asked for before.
  absl::StatusOr<KeeperCount> Count();

  // Ends and reaps it, and says how it ended: "killed by SIGKILL". Waits for KeeperLimits::end, and
  // for KeeperLimits::killed after a SIGKILL of its own; nullopt: it lives on all the same. What
  // this process did not begin has closed all that it kept (KeeperLimits::drop), and ends with its
  // connection. After this it can only be destroyed.
  std::optional<std::string> End();
  // Lets it live on, if it can without this process. After this it can only be destroyed.
  void Leave();

  // It has ended, or is about to. Waits for nothing.
  bool HasHungUp() const;
  // Hangs up (EPOLLHUP) when the keeper ends. Not to be read: watch it with no event asked for.
  int fd() const { return connection_.fd(); }
  // "process 4711", for people.
  std::string Who() const;
  // Both -1 where this process did not begin it.
  pid_t pid() const { return process_ ? process_->pid() : -1; }
  // Readable when it has ended: then the kernel has closed all that it kept. fd() may come earlier.
  int pidfd() const { return process_ ? process_->pidfd() : -1; }

 private:
  Keeper(std::optional<KeeperProcess> process, UniqueFd connection, KeeperLimits limits);
  static absl::StatusOr<std::unique_ptr<Keeper>> At(UniqueFd connection, KeeperLimits limits,
                                                    absl::Duration answers_in);
  absl::StatusOr<KeeperAnswer> Ask(hlbuf_keeper_message message,
                                   absl::Span<const std::byte> following, hlbuf_keeper_verb answer,
                                   absl::Duration limit);
  absl::StatusOr<std::vector<KeptCopy>> FetchSome(std::size_t passed_over, Deadline deadline,
                                                  std::uint32_t& kept);
  absl::Status WithFate(absl::Status status) const;

  const KeeperLimits limits_;
  std::optional<KeeperProcess> process_;
  KeeperConnection connection_;
  std::uint32_t room_ = 0;  // as of the last answer, less what was told since
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_DEVICE_KEEPER_H_
