// SPDX-License-Identifier: Apache-2.0
#include "daemon/device/habanalabs_exporter.h"

#include <sys/epoll.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "daemon/base/status_macros.h"
#include "daemon/core/error.h"
#include "daemon/device/error_text.h"
#include "daemon/device/habanalabs_shape.h"
#include "daemon/device/host_memory_exporter.h"

namespace hlbuf {

HabanalabsExporter::HabanalabsExporter(const DeviceConfig& config, Syscalls& syscalls,
                                       std::unique_ptr<DeviceOpener> opener, SystemRoots roots,
                                       HabanalabsLimits limits)
    : config_(config),
      syscalls_(syscalls),
      has_keeper_(opener != nullptr),
      opener_(opener ? std::move(opener) : std::make_unique<DirectOpener>(syscalls)),
      copies_(syscalls, *opener_),
      card_(syscalls, *opener_, config.pci, std::move(roots), limits),
      traits_({.kind = "habanalabs",
               .page_bytes = PageBytes(),
               .buffer_bytes_max = config.size_bytes,
               .total_bytes = config.size_bytes,
               .cpu_map = false,
               .counts_references = true,
               .simulated = false,
               .can_drill = false,
               .survives_reset = false,
               .raises_alarms = true}) {}

// Nobody takes notes any more. The next process finds that the opener is gone, or not.
HabanalabsExporter::~HabanalabsExporter() {
  card_.WriteNotesTo(forgetful_);
  memory_.reset();
  if (!opener_->outlives()) (void)Close();
}

void HabanalabsExporter::WriteNotesTo(Notebook& notebook) {
  notebook_ = &notebook;
  card_.WriteNotesTo(notebook);
}

absl::Status HabanalabsExporter::Open() {
  RETURN_IF_ERROR(Close());
  RETURN_IF_ERROR(card_.Open());
  alarms_.Add(card_.notifier_fd(), EPOLLIN);
  alarms_.Add(opener_->death_fd(), 0);
  if (const absl::Status set_up = SetUpMemory(); !set_up.ok()) {
    (void)Close();
    return set_up;
  }
  DescribeItself();
  return absl::OkStatus();
}

void HabanalabsExporter::DescribeItself() {
  traits_.total_bytes = traits_.buffer_bytes_max = shape_.total_bytes;
  traits_.can_drill = config_.drills && card_.MayHardReset();
  traits_.reserved_hint = card_.ScrubsMemory()
                              ? "the driver clears it when the card is reset (memory_scrub=1)"
                              : "load habanalabs with memory_scrub=1 and reset the card, or set "
                                "isolation = \"none\"";
  traits_.reset_window = card_.ReleaseWindow();
}

absl::Status HabanalabsExporter::SetUpMemory() {
  ASSIGN_OR_RETURN(const CardMemory shape,
                   ShapeOf(config_, card_.nodes(), card_.driver(), card_.hw_ip()));
  const bool is_physical = HasPhysicalMemory(card_.nodes().device_type);
  if (memory_ != nullptr && shape != shape_ && !shape_is_noted_)
    return Error(ErrorCode::kDeviceError,
                 absl::StrCat(card_.nodes().pci,
                              ": this is another card, or another driver, than "
                              "before; restart the service to use it"));
  if (memory_ == nullptr || shape != shape_) MakeMemory(shape, is_physical);
  shape_is_noted_ = false;
  // The driver clears on the way out, with the parameter as it is then. That it let us in again
  // shows that it has been through that.
  memory_->OnOpened(card_.driver(), card_.note().opening,
                    cleared_at_close_ && card_.ScrubsMemory());
  card_.NoteOpened(shape_, is_physical_);
  return absl::OkStatus();
}

// Whose bytes are on the card, it knows from the one before.
void HabanalabsExporter::MakeMemory(const CardMemory& shape, bool is_physical) {
  const CardNotes before =
      memory_ != nullptr && is_physical == is_physical_ ? memory_->Remembered() : CardNotes();
  memory_ =
      is_physical ? MakePhysicalMemory(shape, *notebook_) : MakeMappedMemory(shape, *notebook_);
  shape_ = shape;
  is_physical_ = is_physical;
  memory_->Remember(before);
  if (std::exchange(suspects_everybody_, false)) memory_->SuspectEverybody();
}

absl::Status HabanalabsExporter::CheckSpec(const AllocationSpec& spec) const {
  if (!card_.is_open()) return Error(ErrorCode::kDeviceUnavailable, "habanalabs: not open");
  if (spec.size_bytes > 0 && spec.size_bytes % traits_.page_bytes == 0 &&
      spec.size_bytes <= traits_.buffer_bytes_max)
    return absl::OkStatus();
  return Error(ErrorCode::kDeviceError, absl::StrCat("habanalabs: a buffer has whole pages of ",
                                                     BytesText(traits_.page_bytes), ", ",
                                                     BytesText(traits_.buffer_bytes_max),
                                                     " at most, not ", BytesText(spec.size_bytes)));
}

absl::StatusOr<Allocation> HabanalabsExporter::Export(const AllocationSpec& spec) {
  RETURN_IF_ERROR(CheckSpec(spec));
  ASSIGN_OR_RETURN(const HabanalabsMemory::Place place,
                   memory_->Take(spec.size_bytes, spec.domain));
  absl::StatusOr<Allocation> made = ExportPlace(place, spec.size_bytes);
  if (!made.ok()) (void)memory_->GiveBack(place.window);
  return made;
}

absl::StatusOr<Allocation> HabanalabsExporter::ExportPlace(const HabanalabsMemory::Place& place,
                                                           std::uint64_t size_bytes) {
  absl::StatusOr<UniqueFd> dmabuf = card_.driver().Export(place.address, size_bytes, place.offset);
  if (!dmabuf.ok()) return ExplainExport(dmabuf.status());
  Allocation made{.fd = *std::move(dmabuf), .size_bytes = size_bytes, .window = place.window};
  if (syscalls_.Inode(made.fd.get(), &made.inode) != 0) return CallFailed("fstat()", errno);
  NameDmaBuf(syscalls_, made.fd.get(), BufferName("gaudi", ++serial_));
  RETURN_IF_ERROR(copies_.Keep(made.fd.get(), made.inode));
  return made;
}

// The driver's EINVAL has many reasons; one of them shows from here.
absl::Status HabanalabsExporter::ExplainExport(const absl::Status& failed) const {
  const auto& bar = card_.nodes().bar_bytes;
  if (ErrnoOf(failed) != EINVAL || !bar || *bar >= card_.hw_ip().dram_size) return failed;
  return Error(ErrorCode::kDeviceError,
               absl::StrCat(failed.message(), ": the BAR shows ", BytesText(*bar), " of ",
                            BytesText(card_.hw_ip().dram_size),
                            "; enable a large BAR in the machine's firmware"));
}

void HabanalabsExporter::DropCopies(absl::Span<const int> fds) { (void)copies_.Drop(fds); }

void HabanalabsExporter::KeepCopies(absl::Span<const int> fds) {
  if (!card_.is_open()) return;  // nothing of an epoch that is over may hold the next one up
  for (const int fd : fds) (void)copies_.GiveBack(fd);
}

absl::Status HabanalabsExporter::Free(Allocation allocation) {
  DropCopies({allocation.fd.get()});
  allocation.fd.Reset();
  if (memory_ == nullptr)
    return Error(ErrorCode::kDeviceError, "habanalabs: nothing was ever exported");
  return memory_->GiveBack(allocation.window);
}

std::vector<bool> HabanalabsExporter::FreeBlind(const std::vector<std::uint64_t>& windows) {
  std::vector<bool> freed;
  for (const std::uint64_t window : windows)
    freed.push_back(memory_ != nullptr && memory_->GiveBack(window).ok());
  return freed;
}

absl::Status HabanalabsExporter::Close() {
  const absl::Status dropped = copies_.DropAll();
  if (!card_.is_open()) return dropped;
  if (memory_ != nullptr) memory_->OnClosed();
  cleared_at_close_ = card_.ScrubsMemory();
  alarms_.Remove(card_.notifier_fd());
  alarms_.Remove(opener_->death_fd());
  opener_lost_.clear();
  unkept_.clear();
  wants_successor_ = false;
  successors_ = 0;
  const absl::Status closed = card_.Close();
  return dropped.ok() ? closed : dropped;
}

std::optional<Alarm> HabanalabsExporter::CheckAlarm() {
  // Before the card is asked: a reset that killed the opener shows there.
  const bool died = opener_->Died();
  if (std::optional<Alarm> alarm = card_.CheckAlarm()) return alarm;
  // A card that does not answer may be in that reset.
  if (died && card_.answered()) LoseOpener();
  if (wants_successor_ && card_.answered()) BeginSuccessor();
  if (opener_lost_.empty() || wants_successor_) return std::nullopt;
  return Alarm{.kind = Alarm::Kind::kOpenerLost, .text = absl::StrCat(opener_lost_, unkept_)};
}

KeeperRole HabanalabsExporter::keeper() const {
  if (!has_keeper_ || !card_.is_open()) return KeeperRole::kNone;
  if (opener_lost_.empty()) return KeeperRole::kOpened;
  return wants_successor_ || !unkept_.empty() ? KeeperRole::kNone : KeeperRole::kSuccessor;
}

// Of a card that a successor keeps a restart opens nothing: the next process goes on with it.
std::string HabanalabsExporter::WayToOpenAnew() const {
  if (traits_.can_drill) return absl::StrCat("`hl-bufctl simulate-reset ", config_.name, "`");
  return opener_->outlives() ? "a start after `systemctl stop hl-bufd.target`"
                             : "a restart of the service";
}

void HabanalabsExporter::LoseOpener() {
  alarms_.Remove(opener_->death_fd());
  const std::string end = opener_->End();
  opener_lost_ = absl::StrCat(
      card_.nodes().pci, ": ",
      opener_lost_.empty() ? "the opener of the card" : "a successor of it",
      " died without a reset (", end,
      "); the card goes on, but the next hard reset will find no process to kill, and waits until "
      "the service closes the card; ",
      WayToOpenAnew(), " at a quiet moment opens it anew");
  card_.NoteOpenerLost(opener_lost_);
  wants_successor_ = true;
}

// One that does not begin, as where there is no room for a process now, is tried again at the next
// look.
void HabanalabsExporter::BeginSuccessor() {
  const absl::Status begun = ++successors_ > kSuccessorsMax
                                 ? absl::ResourceExhaustedError(absl::StrCat(
                                       kSuccessorsMax, " successors died, too, or did not begin"))
                                 : opener_->Begin();
  wants_successor_ = !begun.ok() && successors_ < kSuccessorsMax;
  unkept_ = begun.ok() ? "" : absl::StrCat("; nobody keeps copies: ", begun.message());
  if (!begun.ok()) return;
  alarms_.Add(opener_->death_fd(), 0);
  absl::Status kept = card_.KeepAgain();
  if (kept.ok()) kept = copies_.KeepAgain();
  if (!kept.ok()) unkept_ = absl::StrCat("; not everything is kept: ", kept.message());
}

absl::Status HabanalabsExporter::Reset(Drill drill) {
  if (drill == Drill::kFails)
    return Error(ErrorCode::kUnimplemented,
                 "habanalabs: a real card cannot be made to stay away; drill it without failing");
  // A look that is missed says nothing; what was seen before goes on all the same.
  (void)card_.CheckAlarm();
  const bool resets_itself = card_.resets_itself();
  // What the opener could not drop shows below, as somebody who has the card.
  (void)Close();
  return config_.drills && card_.MayHardReset() && !resets_itself ? card_.HardReset()
                                                                  : card_.AwaitOperational();
}

HabanalabsMemory::Usage HabanalabsExporter::usage() const {
  return memory_ == nullptr ? HabanalabsMemory::Usage() : memory_->usage();
}

}  // namespace hlbuf
