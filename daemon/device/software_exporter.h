// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_DEVICE_SOFTWARE_EXPORTER_H_
#define HLBUF_DAEMON_DEVICE_SOFTWARE_EXPORTER_H_

#include "daemon/device/device_config.h"
#include "daemon/device/host_memory_exporter.h"

namespace hlbuf {

// The device that every machine has: a buffer is a memfd. It can be mapped and passed on like a
// dma-buf, but no driver imports it, and the kernel does not count its references.
//
// Its size cannot be changed, nor can a holder add seals: both would let one client take the ground
// from under another (a mapping beyond the end of a file is SIGBUS). Pages come when they are
// touched; a machine that has none left then kills the toucher. New pages are zero.
class SoftwareExporter final : public HostMemoryExporter {
 public:
  // config.size_bytes bounds all buffers together; 0: none, and one buffer has at most as much as
  // the machine.
  SoftwareExporter(const DeviceConfig& config, Syscalls& syscalls, Keeping keeping = {});

 private:
  absl::Status OpenNode() override { return absl::OkStatus(); }
  void CloseNode() override {}
  absl::StatusOr<Piece> Make(const AllocationSpec& spec, const std::string& name) override;
  absl::Status TakeBack(std::uint64_t) override { return absl::OkStatus(); }
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_DEVICE_SOFTWARE_EXPORTER_H_
