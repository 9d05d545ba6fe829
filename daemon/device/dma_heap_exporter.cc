// SPDX-License-Identifier: Apache-2.0
#include "daemon/device/dma_heap_exporter.h"

#include <fcntl.h>
#include <linux/dma-heap.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "daemon/device/error_text.h"

namespace hlbuf {

DmaHeapExporter::DmaHeapExporter(const DeviceConfig& config, Syscalls& syscalls, Keeping keeping)
    : HostMemoryExporter(
          {.kind = "dma-heap",
           .page_bytes = PageBytes(),
           .buffer_bytes_max = config.size_bytes > 0 ? config.size_bytes : PhysicalMemoryBytes(),
           .total_bytes = config.size_bytes,
           .cpu_map = true,
           .counts_references = true,
           .simulated = false,
           .can_drill = config.drills},
          syscalls, std::move(keeping)),
      path_(config.path.empty() ? kDefaultPath : config.path) {}

absl::Status DmaHeapExporter::OpenNode() {
  heap_ = syscalls().Open(path_, O_RDONLY | O_CLOEXEC);
  if (heap_) return absl::OkStatus();
  return CannotOpen(path_, errno,
                    "the kernel has no such heap (CONFIG_DMABUF_HEAPS, and one option per heap); "
                    "`ls /dev/dma_heap` shows those that it has");
}

absl::StatusOr<HostMemoryExporter::Piece> DmaHeapExporter::Make(const AllocationSpec& spec,
                                                                const std::string& name) {
  dma_heap_allocation_data request = {};
  request.len = spec.size_bytes;
  request.fd_flags = O_RDWR | O_CLOEXEC;
  if (syscalls().Ioctl(heap_.get(), DMA_HEAP_IOCTL_ALLOC, &request) != 0)
    return CallFailed(absl::StrCat(path_, ": DMA_HEAP_IOCTL_ALLOC of ", BytesText(spec.size_bytes)),
                      errno);
  Piece piece{.fd = UniqueFd(static_cast<int>(request.fd)), .window = serial()};
  NameDmaBuf(syscalls(), piece.fd.get(), name);
  return piece;
}

}  // namespace hlbuf
