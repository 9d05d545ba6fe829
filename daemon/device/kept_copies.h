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
class KeptCopies {
 public:
  KeptCopies(Syscalls& syscalls, DeviceOpener& opener) : syscalls_(syscalls), opener_(opener) {}

  // An error leaves no copy behind, or one that is dropped with the next ones.
  absl::Status Keep(int fd, ino_t inode);
  // Descriptors of which there is no copy are fine. What could not be dropped is tried again with
  // the next ones. Until then the kernel counts it, so nothing is taken for proven that is not.
  absl::Status Drop(absl::Span<const int> fds);
  absl::Status DropAll();
  // Gives everything to an opener that has none of it: not what was to be dropped, and no number
  // that is another file's by now. Stops at the first that it does not take.
  absl::Status KeepAgain();

 private:
  absl::Status DropRest();

  Syscalls& syscalls_;
  DeviceOpener& opener_;
  absl::flat_hash_map<int, ino_t> kept_;
  std::vector<std::uint64_t> to_drop_;  // what the opener may still have
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_DEVICE_KEPT_COPIES_H_
