// SPDX-License-Identifier: Apache-2.0
#include "daemon/device/kept_copies.h"

#include <fcntl.h>

#include <cerrno>

#include "daemon/base/status_macros.h"
#include "daemon/device/error_text.h"

namespace hlbuf {

absl::Status KeptCopies::Keep(int fd, ino_t inode) {
  // Before the attempt: a failed one can leave a copy, too.
  kept_.insert_or_assign(fd, inode);
  const absl::Status kept = opener_.Keep(inode, fd);
  if (!kept.ok()) (void)Drop({fd});
  return kept;
}

absl::Status KeptCopies::Drop(absl::Span<const int> fds) {
  for (const int fd : fds)
    if (auto kept = kept_.extract(fd); !kept.empty()) to_drop_.push_back(kept.mapped());
  return DropRest();
}

absl::Status KeptCopies::DropAll() {
  for (const auto& [fd, inode] : kept_) to_drop_.push_back(inode);
  kept_.clear();
  return DropRest();
}

absl::Status KeptCopies::DropRest() {
  if (to_drop_.empty()) return absl::OkStatus();
  RETURN_IF_ERROR(opener_.Drop(to_drop_));
  to_drop_.clear();
  return absl::OkStatus();
}

// Their owner can close a number at any time, and another file get it: what is judged and sent is a
// duplicate.
absl::Status KeptCopies::KeepAgain() {
  for (const auto& [fd, inode] : kept_) {
    const UniqueFd copy(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
    if (!copy && errno != EBADF) return CallFailed("fcntl(F_DUPFD_CLOEXEC)", errno);
    ino_t found = 0;
    if (!copy || syscalls_.Inode(copy.get(), &found) != 0 || found != inode) continue;
    RETURN_IF_ERROR(opener_.Keep(inode, copy.get()));
  }
  return absl::OkStatus();
}

}  // namespace hlbuf
