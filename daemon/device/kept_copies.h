// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_DEVICE_KEPT_COPIES_H_
#define HLBUF_DAEMON_DEVICE_KEPT_COPIES_H_

#include <sys/types.h>

#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/types/span.h"
#include "daemon/device/device_opener.h"
#include "daemon/device/syscalls.h"

namespace hlbuf {

// Of which descriptors an opener keeps copies, by their inodes. They are borrowed; that their owner
// closes them is none of this class's business. Worker thread.
//
// After a restart: Resume(), the claims, DropUnclaimed().
class KeptCopies {
 public:
  KeptCopies(Syscalls& syscalls, DeviceOpener& opener) : syscalls_(syscalls), opener_(opener) {}

  // An error leaves no copy behind, or one that is dropped with the next ones.
  absl::Status Keep(int fd, ino_t inode);
  bool Has(int fd) const { return kept_.contains(fd); }
  // Descriptors of which there is no copy are fine. What could not be dropped is tried again with
  // the next ones. Until then the kernel counts it, so nothing is taken for proven that is not.
  absl::Status Drop(absl::Span<const int> fds);
  absl::Status DropAll();
  // The same, sooner or later: for what nobody counts.
  absl::Status DropSoon(int fd);
  // After a Drop() for a count that proved nothing: it is not known to be of this service alone, so
  // a copy has to outlive this process.
  absl::Status GiveBack(int fd);
  // Gives everything to an opener that has none of it: not what was to be dropped, and no number
  // that is another file's by now. Stops at the first that it does not take.
  absl::Status KeepAgain();
  // The same in two steps. The second can be tried again: nothing is given twice, for a second copy
  // would look like somebody's.
  void LoseAll();
  absl::Status KeepRest();

  // Has the opener of an earlier process of this service, and what that keeps given out below.
  // Errors: those of DeviceOpener::Resume()
  absl::Status Resume();
  // What is kept by its inode, once; it goes on to be kept. No descriptor: it is lost.
  UniqueFd Claim(ino_t inode);
  // What is kept under an id that is no inode, likewise; its copy is the caller's affair.
  UniqueFd ClaimById(std::uint64_t id);
  // Closes what was not claimed, for another Resume(); it goes on to be kept.
  void LeaveUnclaimed() { found_.clear(); }
  // What nobody claimed is nobody's.
  absl::Status DropUnclaimed();

 private:
  struct Copy {
    ino_t inode = 0;
    bool is_there = false;  // or the opener has yet to get it
  };
  absl::Status DropRest();

  Syscalls& syscalls_;
  DeviceOpener& opener_;
  absl::flat_hash_map<int, Copy> kept_;
  std::vector<std::uint64_t> to_drop_;                  // what the opener may still have
  absl::flat_hash_map<std::uint64_t, UniqueFd> found_;  // until it is claimed
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_DEVICE_KEPT_COPIES_H_
