// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_DEVICE_HABANALABS_EXPORTER_H_
#define HLBUF_DAEMON_DEVICE_HABANALABS_EXPORTER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "daemon/device/device_config.h"
#include "daemon/device/device_opener.h"
#include "daemon/device/exporter.h"
#include "daemon/device/habanalabs_card.h"
#include "daemon/device/habanalabs_memory.h"
#include "daemon/device/kept_copies.h"
#include "daemon/device/ready_fds.h"
#include "daemon/device/syscalls.h"

namespace hlbuf {

// Memory of one Gaudi card. Each window is exported once; which ones there are, and for whom, is
// HabanalabsMemory's affair, and the state of the card HabanalabsCard's.
//
// What a reset takes away cannot be held: a dma-buf that is still open keeps the card from being
// opened again, ours too. So every Allocation has to be freed, or its descriptor closed, for
// Reset() to succeed; freed later, it is nothing but closed.
//
// When this is destroyed with an opener that outlives it, everything stays open for Resume().
//
// An opener that dies without a reset is followed by another one, which keeps copies as the first
// did; but it did not open the card, so the driver does not kill it.
class HabanalabsExporter final : public Exporter {
 public:
  // Of an opener whose successors die as well, or do not begin, no more are tried.
  static constexpr int kSuccessorsMax = 3;

  // The opener keeps a copy of every dma-buf, by its inode. nullptr: a DirectOpener.
  HabanalabsExporter(const DeviceConfig& config, Syscalls& syscalls,
                     std::unique_ptr<DeviceOpener> opener = nullptr, SystemRoots roots = {},
                     HabanalabsLimits limits = {});
  ~HabanalabsExporter() override;

  const BackendTraits& traits() const override { return traits_; }
  std::uint64_t reserved_bytes() const override { return usage().reserved_bytes; }
  KeeperRole keeper() const override;
  absl::Status Open() override;
  // What was kept is taken back; what was not, and a reset since, is told.
  absl::StatusOr<Resumed> Resume(const Resumption& from) override;
  void WriteNotesTo(Notebook& notebook) override;
  absl::StatusOr<Allocation> Export(const AllocationSpec& spec) override;
  absl::Status Free(Allocation allocation) override;
  // Closes the card, and waits until the driver says that it works. Where drills are allowed and
  // the card has given no reason for a reset by itself, asks the driver for a hard one in between.
  // UNIMPLEMENTED for Drill::kFails: a real card cannot be asked to stay away.
  absl::Status Reset(Drill drill) override;
  std::vector<bool> FreeBlind(const std::vector<std::uint64_t>& windows) override;
  bool HasCopy(int fd) const override { return copies_.Has(fd); }
  void DropCopies(absl::Span<const int> fds) override;
  void KeepCopies(absl::Span<const int> fds) override;
  std::optional<Alarm> CheckAlarm() override;
  int alarm_fd() const override { return alarms_.fd(); }
  void Interrupt() override { card_.Interrupt(); }

  HabanalabsMemory::Usage usage() const;

 private:
  absl::Status SetUpMemory();
  void MakeMemory(const CardMemory& shape, bool is_physical);
  void DescribeItself();
  absl::StatusOr<Resumed> GoOn(const Resumption& from, const CardNotes& notes);
  std::vector<UniqueFd> ClaimBuffers(const Resumption& from);
  Resumed GiveUp(const Resumption& from, const CardNotes& notes, absl::string_view why);
  std::string WhatIsLost() const;
  absl::Status CheckSpec(const AllocationSpec& spec) const;
  absl::StatusOr<Allocation> ExportPlace(const HabanalabsMemory::Place& place,
                                         std::uint64_t size_bytes);
  absl::Status ExplainExport(const absl::Status& failed) const;
  std::string WayToOpenAnew() const;
  void LoseOpener();
  void BeginSuccessor();
  absl::Status Close();

  const DeviceConfig config_;
  Syscalls& syscalls_;
  const bool has_keeper_;
  const std::unique_ptr<DeviceOpener> opener_;
  KeptCopies copies_;
  HabanalabsCard card_;
  const ReadyFds alarms_;
  BackendTraits traits_;
  Notebook forgetful_;
  Notebook* notebook_ = &forgetful_;
  std::unique_ptr<HabanalabsMemory> memory_;  // from the first Open() or Resume() on
  CardMemory shape_;                          // of memory_
  bool is_physical_ = false;                  // likewise
  bool shape_is_noted_ = false;  // by an earlier process, which may have been configured otherwise
  bool suspects_everybody_ = false;  // when there is memory
  bool cleared_at_close_ = false;
  std::uint64_t serial_ = 0;
  std::string opener_lost_;  // of this opening: that, and what it means; or empty
  std::string unkept_;       // behind it: of what there are no copies; or empty
  bool wants_successor_ = false;
  int successors_ = 0;  // that were tried
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_DEVICE_HABANALABS_EXPORTER_H_
