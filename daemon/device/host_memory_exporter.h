// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_DEVICE_HOST_MEMORY_EXPORTER_H_
#define HLBUF_DAEMON_DEVICE_HOST_MEMORY_EXPORTER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "daemon/core/backend.h"
#include "daemon/device/device_opener.h"
#include "daemon/device/exporter.h"
#include "daemon/device/kept_copies.h"
#include "daemon/device/ready_fds.h"
#include "daemon/device/retry_timer.h"
#include "daemon/device/syscalls.h"

namespace hlbuf {

// Who keeps an exporter's descriptors over the end of this process.
struct Keeping {
  // Told what concerns no caller.
  using Told = std::function<void(const std::string&)>;

  std::unique_ptr<DeviceOpener> opener;  // nullptr: nobody
  // Who kept died.
  Told lost = [](const std::string&) {};
  // Not all is kept, and would not survive the end of this process. Once, until all is.
  Told unkept = [](const std::string&) {};
  // All is kept, after that.
  Told kept = [](const std::string&) {};
};

// What every exporter of host memory has in common: whether it is open, how much of its size is
// out, and resets, which are drills: no device is behind it, so buffers that are out stay as they
// are, and keep their share of the size until they are freed.
//
// A copy of each buffer is kept before it is given out. Without anybody who keeps it all goes on,
// but does not outlive this process. Who dies is followed by another one, at once; who cannot be
// begun is tried again and again by Mend(), so that no caller waits for it, and takes copies of
// everything then. So is who did not take everything, who is not ended for that: he may have the
// only copies, and another one need not begin.
class HostMemoryExporter : public Exporter {
 public:
  // Of one whose successors die as well no more are tried, until the next Open().
  static constexpr int kSuccessorsMax = 3;

  const BackendTraits& traits() const final { return traits_; }
  KeeperRole keeper() const final;
  absl::Status Open() final;
  // What was lost stays out, with its window, until it is freed.
  absl::StatusOr<Resumed> Resume(const Resumption& from) final;
  absl::StatusOr<Allocation> Export(const AllocationSpec& spec) final;
  absl::Status Free(Allocation allocation) final;
  // After Reset(kFails), Open() fails until the next Reset(kNone). UNIMPLEMENTED, and nothing
  // happens, where traits().can_drill does not allow that.
  absl::Status Reset(Drill drill) final;
  bool HasCopy(int fd) const final { return copies_.Has(fd); }
  void DropCopies(absl::Span<const int> fds) final { (void)copies_.Drop(fds); }
  void KeepCopies(absl::Span<const int> fds) final;
  int damage_fd() const final { return damage_.fd(); }
  // Gives copies of everything to a successor of who kept them and died, or to whom could not be
  // begun before; and what he has not to who did not take it before.
  void Mend() final;

 protected:
  struct Piece {
    UniqueFd fd;
    std::uint64_t window = 0;
  };

  // traits.total_bytes bounds all buffers together; 0: no bound. An incomplete last page of it is
  // not used.
  HostMemoryExporter(BackendTraits traits, Syscalls& syscalls, Keeping keeping);

  virtual absl::Status OpenNode() = 0;
  virtual void CloseNode() = 0;
  // `name` is unique in this life of the daemon, and at most kNameBytesMax long.
  virtual absl::StatusOr<Piece> Make(const AllocationSpec& spec, const std::string& name) = 0;
  // The descriptor is closed already.
  virtual absl::Status TakeBack(std::uint64_t window) = 0;

  // Of Resume(), before OpenNode(): what of the device itself an earlier process had kept. False:
  // it is not kept, so KeepNode() is to follow.
  virtual bool ClaimNode(KeptCopies& /*copies*/) { return true; }
  // Gives `opener` that.
  virtual absl::Status KeepNode(DeviceOpener& /*opener*/) { return absl::OkStatus(); }
  // An earlier process gave out the window. `lost`: who has it now does not show any more. False:
  // there is no such window.
  virtual bool TakeAgain(const Resumption::Buffer& buffer, bool lost);
  // All windows that are out were taken again.
  virtual void CleanTheRest() {}

  Syscalls& syscalls() { return syscalls_; }
  // Of the buffer being made; never 0, and of no buffer that is out already, where that is what its
  // window is called.
  std::uint64_t serial() const { return serial_; }
  absl::Status NoRoom(std::uint64_t wanted_bytes, std::uint64_t largest_bytes) const;

  // Open() alone may change them.
  BackendTraits traits_;

 private:
  void BeginKeeping();
  absl::Status BeginKeeper();
  absl::Status KeepRest();
  // Of an attempt to have all kept.
  void Judge(const absl::Status& kept);

  Syscalls& syscalls_;
  const Keeping::Told lost_, unkept_, kept_;
  const bool has_keeper_;
  const std::unique_ptr<DeviceOpener> opener_;
  KeptCopies copies_;
  RetryTimer retry_;  // of who cannot be begun
  const ReadyFds damage_;
  bool has_begun_ = false;  // who keeps, here or in an earlier process, and has not died
  bool has_node_ = false;   // whoever keeps: what KeepNode() gives
  bool told_unkept_ = false;
  bool keeps_ = false;       // all, or it is not tried until the next Open()
  bool has_copies_ = false;  // likewise: of all
  int successors_ = 0;       // that were tried
  bool open_ = false;
  bool drilled_away_ = false;
  std::uint64_t out_bytes_ = 0;
  std::uint64_t serial_ = 0;
};

// DMA_BUF_NAME_LEN less its terminator: linux/dma-buf.h does not tell it.
inline constexpr std::size_t kNameBytesMax = 31;

// "hlbuf-udmabuf-1a": what maps, fdinfo and debugfs show of a buffer.
std::string BufferName(absl::string_view kind, std::uint64_t serial);
// Names a dma-buf, where the kernel can (5.3 and later). For people only, so a failure is nobody's
// loss.
void NameDmaBuf(Syscalls& syscalls, int dmabuf, const std::string& name);

// A memfd of `size_bytes` with `seals` (F_SEAL_*), not executable where the kernel can (6.3).
absl::StatusOr<UniqueFd> MakeMemfd(Syscalls& syscalls, const std::string& name,
                                   std::uint64_t size_bytes, int seals);

std::uint64_t PageBytes();
std::uint64_t PhysicalMemoryBytes();

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_DEVICE_HOST_MEMORY_EXPORTER_H_
