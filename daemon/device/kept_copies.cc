// SPDX-License-Identifier: Apache-2.0
#include "daemon/device/kept_copies.h"

#include <fcntl.h>

#include <cerrno>

#include "daemon/base/status_macros.h"
#include "daemon/device/error_text.h"

namespace hlbuf {

absl::Status KeptCopies::Keep(int fd, ino_t inode) {
  // Before the attempt: a failed one can leave a copy, too.
  kept_.insert_or_assign(fd, Copy{.inode = inode, .is_there = true});
  const absl::Status kept = opener_.Keep(inode, fd);
  if (!kept.ok()) (void)Drop({fd});
  return kept;
}

absl::Status KeptCopies::Drop(absl::Span<const int> fds) {
  for (const int fd : fds)
    if (auto kept = kept_.extract(fd); !kept.empty()) to_drop_.push_back(kept.mapped().inode);
  return DropRest();
}

absl::Status KeptCopies::DropSoon(int fd) {
  if (auto kept = kept_.extract(fd); !kept.empty()) to_drop_.push_back(kept.mapped().inode);
  if (to_drop_.empty()) return absl::OkStatus();
  RETURN_IF_ERROR(opener_.DropSoon(to_drop_));
  to_drop_.clear();
  return absl::OkStatus();
}

absl::Status KeptCopies::GiveBack(int fd) {
  ino_t inode = 0;
  if (syscalls_.Inode(fd, &inode) != 0) return CallFailed("fstat()", errno);
  return Keep(fd, inode);
}

absl::Status KeptCopies::DropAll() {
  for (const auto& [fd, copy] : kept_) to_drop_.push_back(copy.inode);
  kept_.clear();
  return DropRest();
}

absl::Status KeptCopies::DropRest() {
  if (to_drop_.empty()) return absl::OkStatus();
  RETURN_IF_ERROR(opener_.Drop(to_drop_));
  to_drop_.clear();
  return absl::OkStatus();
}

absl::Status KeptCopies::KeepAgain() {
  LoseAll();
  return KeepRest();
}

void KeptCopies::LoseAll() {
  for (auto& [fd, copy] : kept_) copy.is_there = false;
}

// Their owner can close a number at any time, and another file get it: what is judged and sent is a
// duplicate.
absl::Status KeptCopies::KeepRest() {
  for (auto& [fd, copy] : kept_) {
    if (copy.is_there) continue;
    const UniqueFd file(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
    if (!file && errno != EBADF) return CallFailed("fcntl(F_DUPFD_CLOEXEC)", errno);
    ino_t found = 0;
    if (!file || syscalls_.Inode(file.get(), &found) != 0 || found != copy.inode) continue;
    RETURN_IF_ERROR(opener_.Keep(copy.inode, file.get()));
    copy.is_there = true;
  }
  return absl::OkStatus();
}

absl::Status KeptCopies::Resume() {
  ASSIGN_OR_RETURN(std::vector<KeptCopy> copies, opener_.Resume());
  // Of one that was kept twice under an id, one is enough; both are dropped by that id.
  for (KeptCopy& copy : copies) found_.try_emplace(copy.id, std::move(copy.fd));
  return absl::OkStatus();
}

UniqueFd KeptCopies::ClaimById(std::uint64_t id) {
  auto found = found_.extract(id);
  return found.empty() ? UniqueFd() : std::move(found.mapped());
}

// By what the file is, not by what it is called.
UniqueFd KeptCopies::Claim(ino_t inode) {
  const auto it = found_.find(inode);
  ino_t really = 0;
  if (it == found_.end() || syscalls_.Inode(it->second.get(), &really) != 0 || really != inode)
    return UniqueFd();
  UniqueFd fd = ClaimById(inode);
  kept_.insert_or_assign(fd.get(), Copy{.inode = inode, .is_there = true});
  return fd;
}

absl::Status KeptCopies::DropUnclaimed() {
  for (const auto& [id, fd] : found_) to_drop_.push_back(id);
  found_.clear();
  return DropRest();
}

}  // namespace hlbuf
