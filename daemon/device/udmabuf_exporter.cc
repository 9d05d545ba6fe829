// SPDX-License-Identifier: Apache-2.0
#include "daemon/device/udmabuf_exporter.h"

#include <fcntl.h>
#include <linux/udmabuf.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "daemon/base/status_macros.h"
#include "daemon/core/error.h"
#include "daemon/device/error_text.h"

namespace hlbuf {
namespace {

// The kernel's own defaults, taken where sysfs does not tell.
constexpr std::uint64_t kSizeLimitMib = 64;
constexpr std::uint64_t kListLimit = 1024;

// A parameter can be set to a negative number, which admits nothing.
std::uint64_t Parameter(Syscalls& syscalls, absl::string_view name, std::uint64_t otherwise) {
  const auto text = syscalls.ReadText(absl::StrCat(UdmabufExporter::kParameters, name));
  std::int64_t value = 0;
  if (!text || !absl::SimpleAtoi(absl::StripAsciiWhitespace(*text), &value)) return otherwise;
  return static_cast<std::uint64_t>(std::max<std::int64_t>(value, 0));
}

std::uint64_t ArenaBytes(const DeviceConfig& config) {
  const std::uint64_t bytes =
      config.size_bytes > 0 ? config.size_bytes : UdmabufExporter::kDefaultArenaBytes;
  return bytes - bytes % PageBytes();
}

}  // namespace

UdmabufExporter::UdmabufExporter(const DeviceConfig& config, Syscalls& syscalls, Keeping keeping)
    : HostMemoryExporter({.kind = "udmabuf",
                          .page_bytes = PageBytes(),
                          .buffer_bytes_max = std::min(ArenaBytes(config), kSizeLimitMib << 20),
                          .total_bytes = ArenaBytes(config),
                          .cpu_map = true,
                          .counts_references = true,
                          .simulated = false,
                          .can_drill = config.drills},
                         syscalls, std::move(keeping)),
      path_(config.path.empty() ? kDefaultPath : config.path),
      clears_(config.isolation != "none"),
      windows_(ArenaBytes(config), PageBytes()) {}

absl::Status UdmabufExporter::OpenNode() {
  RETURN_IF_ERROR(ReadLimits());
  if (!arena_) {
    ASSIGN_OR_RETURN(arena_, MakeMemfd(syscalls(), "hlbuf-arena", traits_.total_bytes,
                                       F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL));
  }
  ClearReserved();
  node_ = syscalls().Open(path_, O_RDWR | O_CLOEXEC);
  if (node_) return absl::OkStatus();
  return CannotOpen(path_, errno,
                    "load the driver (modprobe udmabuf), or use a kernel that has it");
}

absl::Status UdmabufExporter::ReadLimits() {
  const std::uint64_t size_limit_mib = Parameter(syscalls(), "size_limit_mb", kSizeLimitMib);
  const std::uint64_t list_limit = Parameter(syscalls(), "list_limit", kListLimit);
  if (size_limit_mib == 0 || list_limit == 0)
    return Error(ErrorCode::kDeviceUnavailable,
                 absl::StrCat("udmabuf: its parameters admit no buffer; raise ", kParameters,
                              size_limit_mib == 0 ? "size_limit_mb" : "list_limit"));
  traits_.buffer_bytes_max = std::min(traits_.total_bytes, size_limit_mib << 20);
  return absl::OkStatus();
}

absl::StatusOr<HostMemoryExporter::Piece> UdmabufExporter::Make(const AllocationSpec& spec,
                                                                const std::string& name) {
  std::optional<Window> window = windows_.Allocate(spec.size_bytes, spec.domain);
  if (!window && windows_.reserved_bytes() > 0) {
    ClearReserved();
    window = windows_.Allocate(spec.size_bytes, spec.domain);
  }
  if (!window) return NoRoom(spec.size_bytes, windows_.LargestBytes(spec.domain));

  udmabuf_create request = {};
  request.memfd = static_cast<std::uint32_t>(arena_.get());
  request.flags = UDMABUF_FLAGS_CLOEXEC;
  request.offset = window->offset;
  request.size = window->size_bytes;
  UniqueFd dmabuf(syscalls().Ioctl(node_.get(), UDMABUF_CREATE, &request));
  if (!dmabuf) {
    const absl::Status failed = CallFailed(
        absl::StrCat(path_, ": UDMABUF_CREATE of ", BytesText(window->size_bytes)), errno);
    (void)TakeBack(window->offset);
    return failed;
  }
  NameDmaBuf(syscalls(), dmabuf.get(), name);
  return Piece{.fd = std::move(dmabuf), .window = window->offset};
}

absl::Status UdmabufExporter::TakeBack(std::uint64_t offset) {
  const std::optional<Window> window = windows_.Free(offset);
  if (!window)
    return Error(ErrorCode::kDeviceError,
                 absl::StrCat("udmabuf: no window is out at offset ", offset));
  if (clears_) RETURN_IF_ERROR(Clear(*window));
  windows_.MarkClean(*window);
  return absl::OkStatus();
}

// An arena of another size goes on as it is: the configured one is for the next.
bool UdmabufExporter::ClaimNode(KeptCopies& copies) {
  UniqueFd arena = copies.ClaimById(kKeptArena);
  std::uint64_t size_bytes = 0;
  if (arena_) return bool(arena);  // Resume() is tried again
  if (!arena || syscalls().Size(arena.get(), &size_bytes) != 0 || size_bytes == 0) return false;
  arena_ = std::move(arena);
  traits_.total_bytes = size_bytes;
  windows_ = WindowAllocator(size_bytes, traits_.page_bytes);
  return true;
}

absl::Status UdmabufExporter::KeepNode(DeviceOpener& opener) {
  return opener.Keep(kKeptArena, arena_.get());
}

// Of what was lost no count tells when its last holder lets go. So its pages have to be left to him
// when the window is freed, whatever isolation is wanted.
bool UdmabufExporter::TakeAgain(const Resumption::Buffer& buffer, bool lost) {
  if (lost) clears_ = true;
  return windows_.AllocateAt({.offset = buffer.window, .size_bytes = buffer.size_bytes},
                             buffer.domain);
}

// A window that came back, or was made and given to nobody, may have been left as it was. One that
// the journal does not have may still be somebody's: its pages are left to him, whatever isolation
// is wanted.
void UdmabufExporter::CleanTheRest() {
  const Domain unknown{.uid = kNobodyUid, .container = "of an earlier process"};
  std::vector<std::uint64_t> taken;
  while (const auto window = windows_.Allocate(windows_.LargestBytes(unknown), unknown))
    taken.push_back(window->offset);
  for (const std::uint64_t offset : taken) (void)windows_.Free(offset);
  ClearReserved();
}

absl::Status UdmabufExporter::Clear(Window window) {
  const std::string what =
      absl::StrCat("udmabuf: clearing ", BytesText(window.size_bytes), " at offset ", window.offset,
                   ", which stay reserved to their last domain");
  if (syscalls().PunchHole(arena_.get(), window.offset, window.size_bytes) != 0)
    return CallFailed(what, errno);
  const off_t data = syscalls().SeekData(arena_.get(), window.offset);
  if (data < 0 && errno != ENXIO) return CallFailed(what, errno);
  if (data >= 0 && static_cast<std::uint64_t>(data) < window.end())
    return Error(ErrorCode::kDeviceError, absl::StrCat(what, ": it still has contents"));
  return absl::OkStatus();
}

void UdmabufExporter::ClearReserved() {
  for (const WindowAllocator::Reservation& reservation : windows_.Reservations())
    if (Clear(reservation.window).ok()) windows_.MarkClean(reservation.window);
}

}  // namespace hlbuf
