// SPDX-License-Identifier: Apache-2.0
#include "daemon/persist/shared_epoch_page.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "daemon/base/status_macros.h"

namespace hlbuf {
namespace {

constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
constexpr mode_t kMode = 0400;

std::size_t BytesOf(std::uint32_t end) { return std::size_t{end} * sizeof(std::uint64_t); }

// Whole pages: no client maps words that are not there.
std::uint32_t EndFor(std::uint32_t slots) {
  const auto page = static_cast<std::uint32_t>(::sysconf(_SC_PAGESIZE));
  const std::uint32_t words = page / sizeof(std::uint64_t);
  const std::uint32_t least = EpochPage::kFirstSlot + std::min(slots, SharedEpochPage::kSlotsMax);
  return (least + words - 1) / words * words;
}

// As many words as its size says. DATA_LOSS: it is no epoch page.
absl::StatusOr<std::uint32_t> EndOf(const UniqueFd& memory) {
  struct stat stat = {};
  if (::fstat(memory.get(), &stat) != 0) return absl::ErrnoToStatus(errno, "fstat()");
  const int seals = ::fcntl(memory.get(), F_GET_SEALS);
  if (!S_ISREG(stat.st_mode) || (stat.st_mode & 07777) != kMode || stat.st_uid != ::geteuid() ||
      seals < 0 || (seals & kSeals) != kSeals)
    return absl::DataLossError("it is not sealed as one, or not this user's alone");
  const auto bytes = static_cast<std::uint64_t>(stat.st_size);
  if (bytes < BytesOf(EndFor(0)) || bytes > BytesOf(EndFor(SharedEpochPage::kSlotsMax)) ||
      bytes % sizeof(std::uint64_t) != 0)
    return absl::DataLossError(absl::StrCat("none has ", bytes, " bytes"));
  return static_cast<std::uint32_t>(bytes / sizeof(std::uint64_t));
}

// Takes the memory at once: a store into a page that the kernel then cannot give is a SIGBUS, here
// and in clients.
absl::StatusOr<UniqueFd> NewMemory(std::uint32_t end) {
  UniqueFd memory(::memfd_create("hl-bufd-epochs", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!memory) return absl::ErrnoToStatus(errno, "memfd_create()");
  if (const int error = ::posix_fallocate(memory.get(), 0, static_cast<off_t>(BytesOf(end)));
      error != 0)
    return absl::ErrnoToStatus(error, "posix_fallocate()");
  if (::fchmod(memory.get(), kMode) != 0) return absl::ErrnoToStatus(errno, "fchmod()");
  if (::fcntl(memory.get(), F_ADD_SEALS, kSeals) != 0)
    return absl::ErrnoToStatus(errno, "F_ADD_SEALS");
  return memory;
}

}  // namespace

SharedEpochPage::~SharedEpochPage() { Drop(); }

void SharedEpochPage::Drop() {
  if (words_ != nullptr) ::munmap(words_, BytesOf(end_));
  words_ = nullptr;
  end_ = 0;
  memory_.Reset();
  read_only_.Reset();
}

absl::Status SharedEpochPage::Map(std::uint32_t end) {
  void* mapping =
      ::mmap(nullptr, BytesOf(end), PROT_READ | PROT_WRITE, MAP_SHARED, memory_.get(), 0);
  if (mapping == MAP_FAILED) return absl::ErrnoToStatus(errno, "mmap()");
  words_ = static_cast<std::uint64_t*>(mapping);
  end_ = end;
  return absl::OkStatus();
}

// The mode binds whoever opens it by the descriptor that clients get; that one must not write, too.
absl::Status SharedEpochPage::OpenReadOnly() {
  const std::string path = absl::StrCat("/proc/self/fd/", memory_.get());
  read_only_.Reset(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  return read_only_ ? absl::OkStatus() : absl::ErrnoToStatus(errno, absl::StrCat("open ", path));
}

absl::Status SharedEpochPage::Create(std::uint32_t slots) {
  const std::uint32_t end = EndFor(slots);
  ASSIGN_OR_RETURN(memory_, NewMemory(end));
  absl::Status made = OpenReadOnly();
  if (made.ok()) made = Map(end);
  if (!made.ok()) {
    Drop();
    return made;
  }
  Store(0, kMagic);
  return absl::OkStatus();
}

absl::Status SharedEpochPage::Adopt(UniqueFd memory, std::uint32_t slots) {
  ASSIGN_OR_RETURN(const std::uint32_t end, EndOf(memory));
  memory_ = std::move(memory);
  absl::Status adopted = Map(end);
  if (adopted.ok() && end < EndFor(slots)) {
    for (std::uint32_t slot = kFirstSlot; slot < end; ++slot) Store(slot, 0);
    adopted = absl::FailedPreconditionError(
        absl::StrCat("it has room for ", end - kFirstSlot, " buffers, not for ", slots));
  }
  if (adopted.ok()) adopted = OpenReadOnly();
  if (!adopted.ok()) Drop();
  return adopted;
}

// The system call that sends comes behind it, for whoever receives.
void SharedEpochPage::Store(std::uint32_t slot, std::uint64_t value) {
  std::atomic_ref(words_[slot]).store(value, std::memory_order_release);
}

}  // namespace hlbuf
