// SPDX-License-Identifier: Apache-2.0
#include "daemon/device/host_memory_exporter.h"

#include <linux/dma-buf.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "daemon/base/status_macros.h"
#include "daemon/core/error.h"
#include "daemon/device/error_text.h"

// Newer than the C library's headers.
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

namespace hlbuf {

HostMemoryExporter::HostMemoryExporter(BackendTraits traits, Syscalls& syscalls, Keeping keeping)
    : traits_(std::move(traits)),
      syscalls_(syscalls),
      lost_(std::move(keeping.lost)),
      unkept_(std::move(keeping.unkept)),
      kept_(std::move(keeping.kept)),
      has_keeper_(keeping.opener != nullptr),
      opener_(keeping.opener ? std::move(keeping.opener)
                             : std::make_unique<DirectOpener>(syscalls)),
      copies_(syscalls, *opener_),
      retry_(syscalls) {
  damage_.Add(retry_.fd(), EPOLLIN);
  traits_.total_bytes -= traits_.total_bytes % traits_.page_bytes;
  traits_.buffer_bytes_max -= traits_.buffer_bytes_max % traits_.page_bytes;
}

absl::Status HostMemoryExporter::Open() {
  if (drilled_away_)
    return Error(ErrorCode::kDeviceUnavailable,
                 absl::StrCat(traits_.kind,
                              ": a drill keeps the device away; end it by a reset that does not "
                              "fail"));
  RETURN_IF_ERROR(OpenNode());
  if (std::exchange(successors_, 0) > kSuccessorsMax) keeps_ = false;
  retry_.Clear();
  BeginKeeping();
  open_ = true;
  return absl::OkStatus();
}

void HostMemoryExporter::BeginKeeping() {
  if (keeps_ || !retry_.IsDue()) return;
  Judge(has_begun_ ? KeepRest() : BeginKeeper());
}

absl::Status HostMemoryExporter::BeginKeeper() {
  // One that could not be asked.
  damage_.Remove(opener_->death_fd());
  (void)opener_->End();
  has_node_ = false;
  const absl::Status begun = opener_->Begin();
  damage_.Add(opener_->death_fd(), 0);
  has_begun_ = begun.ok();
  RETURN_IF_ERROR(begun);
  copies_.LoseAll();
  return KeepRest();
}

absl::Status HostMemoryExporter::KeepRest() {
  if (!has_node_) RETURN_IF_ERROR(KeepNode(*opener_));
  has_node_ = true;
  return copies_.KeepRest();
}

void HostMemoryExporter::Judge(const absl::Status& kept) {
  keeps_ = has_copies_ = kept.ok();
  if (kept.ok()) {
    retry_.Clear();
    if (std::exchange(told_unkept_, false)) kept_("a keeper has copies of all that is allocated");
    return;
  }
  if (!retry_.Failed()) return;
  told_unkept_ = true;
  unkept_(
      absl::StrCat("not all that is allocated is kept, so it does not survive the end of this "
                   "service: ",
                   kept.message(), "; it is tried again and again, and all is kept then"));
}

KeeperRole HostMemoryExporter::keeper() const {
  return open_ && has_copies_ && has_keeper_ ? KeeperRole::kCopies : KeeperRole::kNone;
}

void HostMemoryExporter::Mend() {
  if (!opener_->Died()) {
    if (open_) BeginKeeping();
    return;
  }
  damage_.Remove(opener_->death_fd());
  const bool last = ++successors_ > kSuccessorsMax;
  lost_(absl::StrCat("its keeper died (", opener_->End(), "); ",
                     last ? "so did others, and nobody keeps what is allocated now, until the "
                            "device is opened again"
                          : "another one takes copies of everything"));
  keeps_ = last;
  has_begun_ = has_copies_ = false;
  BeginKeeping();
}

absl::StatusOr<Allocation> HostMemoryExporter::Export(const AllocationSpec& spec) {
  if (!open_) return Error(ErrorCode::kDeviceUnavailable, absl::StrCat(traits_.kind, ": not open"));
  if (spec.size_bytes == 0 || spec.size_bytes % traits_.page_bytes != 0 ||
      spec.size_bytes > traits_.buffer_bytes_max)
    return Error(
        ErrorCode::kDeviceError,
        absl::StrCat(traits_.kind, ": a buffer has whole pages of ", BytesText(traits_.page_bytes),
                     ", ", BytesText(traits_.buffer_bytes_max), " at most, not ",
                     BytesText(spec.size_bytes)));
  const std::uint64_t left_bytes = traits_.total_bytes - std::min(out_bytes_, traits_.total_bytes);
  if (traits_.total_bytes > 0 && spec.size_bytes > left_bytes)
    return NoRoom(spec.size_bytes, left_bytes);

  if (opener_->Died()) Mend();
  ++serial_;
  ASSIGN_OR_RETURN(Piece piece, Make(spec, BufferName(traits_.kind, serial_)));
  Allocation made{.fd = std::move(piece.fd), .size_bytes = spec.size_bytes, .window = piece.window};
  out_bytes_ += made.size_bytes;
  absl::Status kept;
  if (syscalls_.Inode(made.fd.get(), &made.inode) != 0) {
    kept = CallFailed("fstat()", errno);
  } else {
    kept = copies_.Keep(made.fd.get(), made.inode);
  }
  if (kept.ok()) return made;
  (void)Free(std::move(made));
  return kept;
}

absl::Status HostMemoryExporter::Free(Allocation allocation) {
  (void)copies_.DropSoon(allocation.fd.get());
  allocation.fd.Reset();
  out_bytes_ -= std::min(allocation.size_bytes, out_bytes_);
  return TakeBack(allocation.window);
}

void HostMemoryExporter::KeepCopies(absl::Span<const int> fds) {
  if (opener_->Died()) Mend();
  for (const int fd : fds) (void)copies_.GiveBack(fd);
}

absl::StatusOr<Resumed> HostMemoryExporter::Resume(const Resumption& from) {
  const absl::Status found = copies_.Resume();
  if (!found.ok() && !absl::IsNotFound(found))
    return Error(ErrorCode::kDeviceUnavailable,
                 absl::StrCat(traits_.kind, ": its keeper cannot be asked: ", found.message()));
  has_begun_ = found.ok();
  damage_.Add(opener_->death_fd(), 0);
  has_node_ = ClaimNode(copies_) && has_begun_;
  keeps_ = has_copies_ = has_node_;
  RETURN_IF_ERROR(Open());

  Resumed resumed;
  std::size_t lost = 0;
  for (const Resumption::Buffer& buffer : from.buffers) {
    UniqueFd fd = copies_.Claim(buffer.inode);
    if (!TakeAgain(buffer, !fd)) {
      (void)copies_.DropSoon(fd.get());
      fd.Reset();
    }
    if (!fd) ++lost;
    out_bytes_ += buffer.size_bytes;
    resumed.fds.push_back(std::move(fd));
  }
  (void)copies_.DropUnclaimed();
  CleanTheRest();
  if (lost > 0)
    resumed.lost = absl::StrCat(traits_.kind, ": of ", from.buffers.size(), " buffers, ", lost,
                                " were not kept", found.ok() ? "" : ": ", found.message());
  return resumed;
}

bool HostMemoryExporter::TakeAgain(const Resumption::Buffer& buffer, bool) {
  serial_ = std::max(serial_, buffer.window);
  return true;
}

absl::Status HostMemoryExporter::Reset(Drill drill) {
  if (drill == Drill::kFails && !traits_.can_drill)
    return Error(ErrorCode::kUnimplemented,
                 absl::StrCat(traits_.kind, ": drills are not allowed on this device"));
  CloseNode();
  open_ = false;
  drilled_away_ = drill == Drill::kFails;
  return absl::OkStatus();
}

absl::Status HostMemoryExporter::NoRoom(std::uint64_t wanted_bytes,
                                        std::uint64_t largest_bytes) const {
  return Error(ErrorCode::kNoMemory,
               absl::StrCat(traits_.kind, ": no room for ", BytesText(wanted_bytes), ": of ",
                            BytesText(traits_.total_bytes), ", ", BytesText(out_bytes_),
                            " are in use, and the largest free piece has ",
                            BytesText(largest_bytes), "; release buffers, or raise the size"));
}

std::string BufferName(absl::string_view kind, std::uint64_t serial) {
  return absl::StrCat("hlbuf-", kind, "-", absl::Hex(serial)).substr(0, kNameBytesMax);
}

void NameDmaBuf(Syscalls& syscalls, int dmabuf, const std::string& name) {
  std::string text = name;
  (void)syscalls.Ioctl(dmabuf, DMA_BUF_SET_NAME, text.data());
}

absl::StatusOr<UniqueFd> MakeMemfd(Syscalls& syscalls, const std::string& name,
                                   std::uint64_t size_bytes, int seals) {
  constexpr unsigned kFlags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  UniqueFd memfd = syscalls.MemfdCreate(name, kFlags | MFD_NOEXEC_SEAL);
  if (!memfd && errno == EINVAL) memfd = syscalls.MemfdCreate(name, kFlags);
  if (!memfd) return CallFailed("memfd_create()", errno);
  if (syscalls.Ftruncate(memfd.get(), size_bytes) != 0)
    return CallFailed(absl::StrCat("ftruncate() to ", BytesText(size_bytes)), errno);
  if (syscalls.AddSeals(memfd.get(), seals) != 0) return CallFailed("F_ADD_SEALS", errno);
  return memfd;
}

std::uint64_t PageBytes() { return static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE)); }

std::uint64_t PhysicalMemoryBytes() {
  return static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES)) * PageBytes();
}

}  // namespace hlbuf
