// SPDX-License-Identifier: Apache-2.0
#include "daemon/persist/journal.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "daemon/base/crash_point.h"
#include "daemon/base/status_macros.h"

namespace hlbuf {
namespace {

using journal::Header;
using journal::Slot;

constexpr std::size_t kFirstSlots = 1024;   // half a MiB
constexpr std::size_t kSpareSlots = 256;    // beside what is reserved
constexpr std::size_t kGrowthMax = 32'768;  // slots, 16 MiB: what one Put() may have to wait for

// The next process reads what this one had stored when it was killed. Stores of one thread are
// seen in their order then; the compiler must not change it.
void Commit(Slot& slot, std::uint64_t sequence) {
  std::atomic_ref(slot.sequence).store(sequence, std::memory_order_release);
}

std::string VersionIn(const Header& header) {
  const auto& text = header.written_by;
  return std::string(text.begin(), std::find(text.begin(), text.end(), '\0'));
}

std::size_t FileBytes(std::size_t slots) {
  return journal::kHeaderBytes + slots * journal::kSlotBytes;
}

}  // namespace

Journal::Journal(UniqueFd file, const BootId& boot_id)
    : file_(std::move(file)), boot_id_(boot_id) {}

Journal::~Journal() {
  if (mapping_ != nullptr) ::munmap(mapping_, mapped_bytes_);
}

absl::StatusOr<std::unique_ptr<Journal>> Journal::Create(UniqueFd file, const BootId& boot_id,
                                                         absl::string_view written_by) {
  auto journal = std::unique_ptr<Journal>(new Journal(std::move(file), boot_id));
  RETURN_IF_ERROR(journal->Resize(kFirstSlots));
  journal->StoreHeader(0, journal->NewHeader(written_by));
  return journal;
}

absl::StatusOr<std::unique_ptr<Journal>> Journal::Adopt(UniqueFd file, const BootId& boot_id,
                                                        absl::string_view written_by) {
  auto journal = std::unique_ptr<Journal>(new Journal(std::move(file), boot_id));
  RETURN_IF_ERROR(journal->Map());
  RETURN_IF_ERROR(journal->CheckHeader());
  RETURN_IF_ERROR(journal->CheckBoot());
  journal->ReadSlots();
  if (journal->damaged_ == 0) journal->ReplaceHeader(written_by);
  return journal;
}

absl::StatusOr<std::unique_ptr<Journal>> Journal::View(UniqueFd file) {
  auto journal = std::unique_ptr<Journal>(new Journal(std::move(file), BootId()));
  journal->view_ = true;
  RETURN_IF_ERROR(journal->Map());
  RETURN_IF_ERROR(journal->CheckHeader());
  journal->boot_id_ = journal->ReadHeader().boot_id;
  journal->ReadSlots();
  return journal;
}

absl::Status Journal::Map() {
  struct stat stat = {};
  if (::fstat(file_.get(), &stat) != 0) return absl::ErrnoToStatus(errno, "fstat()");
  const auto bytes = static_cast<std::size_t>(std::max<off_t>(stat.st_size, 0));
  if (bytes < FileBytes(1)) return absl::DataLossError("it is too short for a journal");
  return Resize((bytes - journal::kHeaderBytes) / journal::kSlotBytes);
}

// Takes the memory at once: a store into a page that the kernel then cannot give is a SIGBUS.
absl::Status Journal::Resize(std::size_t slots) {
  const std::size_t bytes = FileBytes(slots);
  const auto from = static_cast<off_t>(mapped_bytes_);
  const int error =
      view_ ? 0 : ::posix_fallocate(file_.get(), from, static_cast<off_t>(bytes) - from);
  if (error != 0)
    return absl::ResourceExhaustedError(
        absl::StrCat("the journal cannot grow to ", bytes, " bytes: ", std::strerror(error)));
  // What is only looked at is changed in a copy.
  const int flags = view_ ? MAP_PRIVATE : MAP_SHARED;
  void* mapping = mapping_ == nullptr
                      ? ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, flags, file_.get(), 0)
                      : ::mremap(mapping_, mapped_bytes_, bytes, MREMAP_MAYMOVE);
  if (mapping == MAP_FAILED) return absl::ErrnoToStatus(errno, "map the journal");
  mapping_ = static_cast<std::byte*>(mapping);
  mapped_bytes_ = bytes;
  for (std::size_t index = slots; index > capacity_; --index)
    free_.push_back(static_cast<std::uint32_t>(index - 1));
  capacity_ = slots;
  return absl::OkStatus();
}

journal::Header Journal::HeaderAt(std::size_t at) const {
  Header header;
  std::memcpy(&header, mapping_ + at, sizeof(header));
  return header;
}

// The one that counts.
journal::Header Journal::ReadHeader() const {
  const Header first = HeaderAt(0);
  if (IsWhole(first)) return first;
  const Header copy = HeaderAt(journal::kHeaderCopyAt);
  return IsWhole(copy) ? copy : first;
}

journal::Header Journal::NewHeader(absl::string_view written_by) const {
  Header header = {.magic = journal::kMagic,
                   .hash = 0,
                   .header_bytes = journal::kHeaderBytes,
                   .slot_bytes = journal::kSlotBytes,
                   .compatible = journal::kCompatible,
                   .incompatible = journal::kIncompatible,
                   .boot_id = boot_id_,
                   .written_by = {}};
  written_by.copy(header.written_by.data(), header.written_by.size() - 1);
  header.hash = HashOf(header);
  return header;
}

// In one piece for the compiler: what is stored before it and after it stays there.
void Journal::StoreHeader(std::size_t at, const Header& header) {
  std::atomic_signal_fence(std::memory_order_seq_cst);
  std::memcpy(mapping_ + at, &header, sizeof(header));
  std::atomic_signal_fence(std::memory_order_seq_cst);
}

// One of the two is whole at any instant, whoever was killed here before.
void Journal::ReplaceHeader(absl::string_view written_by) {
  const Header current = ReadHeader();
  const Header next = NewHeader(written_by);
  if (!IsWhole(HeaderAt(0))) StoreHeader(0, current);
  if (std::memcmp(&next, &current, sizeof(next)) != 0) {
    StoreHeader(journal::kHeaderCopyAt, next);
    StoreHeader(0, next);
  }
  StoreHeader(journal::kHeaderCopyAt, Header());
}

absl::Status Journal::CheckHeader() const {
  const Header header = ReadHeader();
  if (header.magic != journal::kMagic) return absl::DataLossError("it is no journal of hl-bufd");
  if (!IsWhole(header)) return absl::DataLossError("its header is damaged");
  const bool known = (header.incompatible & ~journal::kIncompatible) == 0 &&
                     header.header_bytes == journal::kHeaderBytes &&
                     header.slot_bytes == journal::kSlotBytes;
  if (!known)
    return absl::FailedPreconditionError(absl::StrCat("it is of hl-bufd ", VersionIn(header),
                                                      ", whose journals this version cannot read"));
  return absl::OkStatus();
}

absl::Status Journal::CheckBoot() const {
  if (ReadHeader().boot_id == boot_id_) return absl::OkStatus();
  return absl::FailedPreconditionError(
      "it is of an earlier boot of this machine, whose descriptors are gone");
}

std::string Journal::written_by() const { return VersionIn(ReadHeader()); }

void Journal::GiveUp() {
  Header gone = ReadHeader();
  gone.magic = 0;
  StoreHeader(journal::kHeaderCopyAt, gone);
  StoreHeader(0, gone);
}

journal::Slot& Journal::SlotAt(std::uint32_t index) const {
  return *reinterpret_cast<Slot*>(mapping_ + FileBytes(index));
}

void Journal::ReadSlots() {
  free_.clear();
  for (std::uint32_t index = 0; index < capacity_; ++index) ReadSlot(index);
}

void Journal::ReadSlot(std::uint32_t index) {
  Slot& slot = SlotAt(index);
  if (slot.sequence == 0) return free_.push_back(index);
  // It stays as it is: whoever reads this journal next has to find it as well.
  if (slot.bytes > journal::kContentBytesMax || slot.hash != HashOf(slot, slot.sequence)) {
    ++damaged_;
    return;
  }
  next_sequence_ = std::max(next_sequence_, slot.sequence + 1);
  const auto [it, only] = slot_of_.try_emplace({slot.kind, slot.key}, index);
  if (only) return;
  // The writer was killed before it could free the earlier one.
  const bool later = slot.sequence > SlotAt(it->second).sequence;
  FreeSlot(later ? std::exchange(it->second, index) : index);
}

void Journal::FreeSlot(std::uint32_t index) {
  Commit(SlotAt(index), 0);
  free_.push_back(index);
}

absl::Status Journal::Put(JournalKey key, absl::Span<const std::uint8_t> content) {
  if (content.size() > journal::kContentBytesMax)
    return absl::InvalidArgumentError("a record of the journal has at most 480 bytes");
  if (free_.empty()) RETURN_IF_ERROR(Grow());
  const std::uint32_t index = free_.back();
  free_.pop_back();
  Slot& slot = SlotAt(index);
  slot.key = key.key;
  slot.kind = key.kind;
  slot.bytes = static_cast<std::uint16_t>(content.size());
  std::copy(content.begin(), content.end(), slot.content.begin());
  slot.hash = HashOf(slot, next_sequence_);
  CrashPoint("before-journal-commit");
  Commit(slot, next_sequence_++);
  CrashPoint("after-journal-commit");
  const auto [it, first] = slot_of_.try_emplace(key, index);
  if (!first) FreeSlot(std::exchange(it->second, index));
  return absl::OkStatus();
}

absl::Status Journal::Grow() { return Resize(capacity_ + std::min(capacity_, kGrowthMax)); }

absl::Status Journal::Reserve(std::size_t records) {
  while (free_.size() < records + kSpareSlots) RETURN_IF_ERROR(Grow());
  return absl::OkStatus();
}

absl::Span<const std::uint8_t> Journal::Find(JournalKey key) const {
  const auto it = slot_of_.find(key);
  if (it == slot_of_.end()) return {};
  const Slot& slot = SlotAt(it->second);
  return absl::MakeSpan(slot.content.data(), slot.bytes);
}

void Journal::Erase(JournalKey key) {
  const auto it = slot_of_.find(key);
  if (it == slot_of_.end()) return;
  FreeSlot(it->second);
  slot_of_.erase(it);
}

std::vector<Journal::Record> Journal::Records() const {
  std::vector<const Slot*> slots;
  for (const auto& [key, index] : slot_of_) slots.push_back(&SlotAt(index));
  std::sort(slots.begin(), slots.end(),
            [](const Slot* a, const Slot* b) { return a->sequence < b->sequence; });
  std::vector<Record> records;
  for (const Slot* slot : slots)
    records.push_back({.key = {slot->kind, slot->key},
                       .content = absl::MakeSpan(slot->content.data(), slot->bytes)});
  return records;
}

}  // namespace hlbuf
