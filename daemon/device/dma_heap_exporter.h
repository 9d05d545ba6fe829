// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_DEVICE_DMA_HEAP_EXPORTER_H_
#define HLBUF_DAEMON_DEVICE_DMA_HEAP_EXPORTER_H_

#include "daemon/device/device_config.h"
#include "daemon/device/host_memory_exporter.h"

namespace hlbuf {

// A heap below /dev/dma_heap: each buffer is an allocation of its own, which the kernel clears
// before it gives it out, and takes back with the last reference. Only then is the memory free
// again; the size that config bounds counts a buffer until Free().
class DmaHeapExporter final : public HostMemoryExporter {
 public:
  static constexpr absl::string_view kDefaultPath = "/dev/dma_heap/system";

  // config.size_bytes bounds all buffers together; 0: whatever the heap has.
  DmaHeapExporter(const DeviceConfig& config, Syscalls& syscalls, Keeping keeping = {});

 private:
  absl::Status OpenNode() override;
  void CloseNode() override { heap_.Reset(); }
  absl::StatusOr<Piece> Make(const AllocationSpec& spec, const std::string& name) override;
  absl::Status TakeBack(std::uint64_t) override { return absl::OkStatus(); }

  const std::string path_;
  UniqueFd heap_;
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_DEVICE_DMA_HEAP_EXPORTER_H_
