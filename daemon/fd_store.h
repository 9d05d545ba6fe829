// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_FD_STORE_H_
#define HLBUF_DAEMON_FD_STORE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/btree_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "daemon/notify_socket.h"
#include "daemon/passed_descriptors.h"
#include "daemon/stored_count.h"
#include "proto/wire/unique_fd.h"

namespace hlbuf {

// What the service manager keeps for the next life of this service: a few descriptors, each under
// a name of its own (FDSTORE=1 of sd_notify(3)). They come back after a crash, a kill and a
// restart; a stop closes them.
//
// The manager answers nothing. It drops in silence what it has no room for
// (FileDescriptorStoreMax=), and a file that it has already, under whatever name; a removal may be
// lost on its way. So nothing counts as stored, or as removed, before a Verification() has said so,
// and each life begins with removing what it does not know.
//
// It stores a duplicate: a file is open until it was removed here, too, and a peer sees no end of a
// connection before that. Each costs the manager a comparison with all others, and all names
// together are one environment string: this is for tens of descriptors, not for thousands.
//
// Broker thread. Tells the manager without waiting for it (NotifySocket).
class FdStore {
 public:
  // How many descriptors the manager keeps for this service. Any thread; may block.
  using CountStored = std::function<absl::StatusOr<std::uint32_t>()>;
  // For the manager to have read all that it was told.
  static constexpr absl::Duration kPatience = absl::Seconds(10);
  static constexpr std::size_t kNameBytesMax = 255;

  // `passed` has what came from the last life; sockets of socket units were taken out of it.
  // `notify` lives longer.
  FdStore(NotifySocket& notify, PassedDescriptors passed,
          CountStored count = CountStoredDescriptors);

  // What is stored, as far as it is known here, in their order.
  std::vector<std::string> Names() const { return {names_.begin(), names_.end()}; }
  // The descriptor that came from the last life under this name, once. It stays stored.
  std::optional<UniqueFd> Take(absl::string_view name);
  // Closes and removes what came and was not taken; returns its names.
  std::vector<std::string> RemoveUntaken();

  // Stores a duplicate of `fd`, which is borrowed, whatever becomes of what is at its other end.
  //
  // Errors: INVALID_ARGUMENT  a name that is empty, too long, or not of [A-Za-z0-9._-]
  //         ALREADY_EXISTS    something is stored under it; remove that first
  //         UNAVAILABLE       there is no service manager
  //         others            of NotifySocket::Send()
  absl::Status Push(const std::string& name, int fd);
  // No error: nothing is stored under this name. Else it is still, until this or a Verification()
  // has been able to tell the manager. Errors: those of NotifySocket::Send()
  absl::Status Remove(const std::string& name);

  // Asks whether the manager has what was pushed and not removed until now, and no more; call what
  // it returns where nothing waits, on any thread. OK also where there is no service manager. One
  // at a time: with the next one, this one is no question any more.
  //
  // Errors: DATA_LOSS            it keeps less
  //         FAILED_PRECONDITION  it keeps more
  //         DEADLINE_EXCEEDED    it has not read what it was told within kPatience
  //         UNAVAILABLE          it could not be counted
  //         others               of pipe2() and NotifySocket::Send()
  std::function<absl::Status()> Verification();

 private:
  NotifySocket& notify_;
  CountStored count_;
  std::vector<std::pair<std::string, UniqueFd>> came_;  // from the last life, not taken yet
  absl::btree_set<std::string> names_;
  absl::btree_set<std::string> unwanted_;  // of these: the manager could not be told to remove it
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_FD_STORE_H_
