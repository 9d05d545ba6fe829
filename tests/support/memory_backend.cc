// SPDX-License-Identifier: Apache-2.0
#include "tests/support/memory_backend.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/core/error.h"

namespace hlbuf {
namespace {

UniqueFd CopyOf(const UniqueFd& fd) { return UniqueFd(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 0)); }

}  // namespace

void MemoryBackend::Resume(Resumption from, Done<absl::StatusOr<Resumed>> done) {
  Resumed resumed;
  KeptFds claimed;
  for (const Resumption::Buffer& buffer : from.buffers) {
    auto entry = kept_.extract(buffer.inode);
    resumed.fds.push_back(entry.empty() ? UniqueFd() : CopyOf(entry.mapped()));
    if (!entry.empty()) claimed.insert(std::move(entry));
  }
  // What was made and never recorded is nobody's.
  kept_ = std::move(claimed);
  Later<absl::StatusOr<Resumed>>(std::move(done), std::move(resumed));
}

void MemoryBackend::Allocate(AllocationSpec spec, Done<absl::StatusOr<Allocation>> done) {
  UniqueFd fd(::memfd_create("kept", MFD_CLOEXEC));
  struct stat file = {};
  if (!fd || ::ftruncate(fd.get(), static_cast<off_t>(spec.size_bytes)) != 0 ||
      ::fstat(fd.get(), &file) != 0)
    return Later<absl::StatusOr<Allocation>>(
        std::move(done), Error(ErrorCode::kNoMemory, "this machine has no memory for it"));
  kept_[file.st_ino] = CopyOf(fd);
  Later<absl::StatusOr<Allocation>>(
      std::move(done),
      Allocation{.fd = std::move(fd), .size_bytes = spec.size_bytes, .inode = file.st_ino});
}

}  // namespace hlbuf
