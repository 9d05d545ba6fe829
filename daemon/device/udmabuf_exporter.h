// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_DEVICE_UDMABUF_EXPORTER_H_
#define HLBUF_DAEMON_DEVICE_UDMABUF_EXPORTER_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "daemon/core/window_allocator.h"
#include "daemon/device/device_config.h"
#include "daemon/device/host_memory_exporter.h"

namespace hlbuf {

// Windows of one arena memfd, each exported once as a dma-buf by /dev/udmabuf: what a chunk of card
// memory is on a real accelerator. The arena is made at the first Open() and kept for ever, so that
// windows that are out survive resets.
//
// A window is cleared when it is freed, by punching a hole: its pages go back to the machine, and
// the next user gets new ones. Even a holder that never let go keeps only the old pages, and sees
// nothing of what comes after. With isolation "none" nothing is punched then: pages stay, with
// their contents, for whoever gets the window next.
//
// A window that could not be cleared goes to its last domain only. That is tried again when the
// device is opened, and before somebody is refused for want of room. After a restart, nothing that
// is free is given out before it was cleared, whatever isolation is wanted: whose bytes are there
// is not known, nor whether somebody still has them.
class UdmabufExporter final : public HostMemoryExporter {
 public:
  static constexpr absl::string_view kDefaultPath = "/dev/udmabuf";
  static constexpr std::uint64_t kDefaultArenaBytes = kUdmabufDefaultBytes;
  static constexpr absl::string_view kParameters = "/sys/module/udmabuf/parameters/";
  // Under which the arena is kept; no inode has such a number.
  static constexpr std::uint64_t kKeptArena = ~std::uint64_t{0};

  // config.size_bytes: of the arena; 0: kDefaultArenaBytes. An arena takes memory only where it is
  // in use.
  UdmabufExporter(const DeviceConfig& config, Syscalls& syscalls, Keeping keeping = {});

 private:
  absl::Status OpenNode() override;
  void CloseNode() override { node_.Reset(); }
  absl::StatusOr<Piece> Make(const AllocationSpec& spec, const std::string& name) override;
  absl::Status TakeBack(std::uint64_t window) override;
  bool ClaimNode(KeptCopies& copies) override;
  absl::Status KeepNode(DeviceOpener& opener) override;
  bool TakeAgain(const Resumption::Buffer& buffer, bool lost) override;
  void CleanTheRest() override;

  absl::Status ReadLimits();
  absl::Status Clear(Window window);
  void ClearReserved();

  const std::string path_;
  bool clears_;
  UniqueFd node_;
  UniqueFd arena_;
  WindowAllocator windows_;
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_DEVICE_UDMABUF_EXPORTER_H_
