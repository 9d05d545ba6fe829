// SPDX-License-Identifier: Apache-2.0
#include "daemon/device/software_exporter.h"

#include <fcntl.h>

#include <utility>

#include "daemon/base/status_macros.h"

namespace hlbuf {

SoftwareExporter::SoftwareExporter(const DeviceConfig& config, Syscalls& syscalls, Keeping keeping)
    : HostMemoryExporter(
          {.kind = "software",
           .page_bytes = PageBytes(),
           .buffer_bytes_max = config.size_bytes > 0 ? config.size_bytes : PhysicalMemoryBytes(),
           .total_bytes = config.size_bytes,
           .cpu_map = true,
           .counts_references = false,
           .simulated = true,
           .can_drill = config.drills},
          syscalls, std::move(keeping)) {}

absl::StatusOr<HostMemoryExporter::Piece> SoftwareExporter::Make(const AllocationSpec& spec,
                                                                 const std::string& name) {
  ASSIGN_OR_RETURN(UniqueFd memfd, MakeMemfd(syscalls(), name, spec.size_bytes,
                                             F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL));
  return Piece{.fd = std::move(memfd), .window = serial()};
}

}  // namespace hlbuf
