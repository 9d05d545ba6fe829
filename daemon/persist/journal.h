// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_PERSIST_JOURNAL_H_
#define HLBUF_DAEMON_PERSIST_JOURNAL_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "daemon/persist/journal_layout.h"
#include "proto/wire/unique_fd.h"

namespace hlbuf {

// What a record is about. `kind` and `key` are the caller's; no two records of a journal have the
// same.
struct JournalKey {
  std::uint16_t kind = 0;
  std::uint64_t key = 0;

  friend bool operator==(const JournalKey&, const JournalKey&) = default;
  template <class H>
  friend H AbslHashValue(H h, const JournalKey& k) {
    return H::combine(std::move(h), k.kind, k.key);
  }
};

using BootId = std::array<std::uint8_t, 16>;

// Records that outlive this process, in a memfd or a file of a tmpfs: as long as somebody holds its
// descriptor, and no longer than the kernel runs. One writer at a time. Writing is a few stores
// into shared memory: no system call, but for one in many when the file grows.
//
// A process that is killed at any instruction leaves every record either as it was or as it was
// written: a record is written into a free slot, and that is committed by one store before the
// slot of its predecessor is freed. Of two records of one key the later one counts.
//
// Nothing is synced to a disk: power takes the descriptors that the records are about, too.
class Journal {
 public:
  // An empty journal in `file`, which is empty as well. `written_by`: this program's version.
  // Errors: of ftruncate() and mmap().
  static absl::StatusOr<std::unique_ptr<Journal>> Create(UniqueFd file, const BootId& boot_id,
                                                         absl::string_view written_by);
  // What an earlier process wrote, to go on with.
  //
  // Errors: DATA_LOSS            no journal, or one whose header is damaged
  //         FAILED_PRECONDITION  of a later version, or of an earlier boot
  //         and those of fstat() and mmap()
  static absl::StatusOr<std::unique_ptr<Journal>> Adopt(UniqueFd file, const BootId& boot_id,
                                                        absl::string_view written_by);
  // Only to be looked at, also while its writer lives: nothing is written into `file`. Of whatever
  // boot. Errors: those of Adopt()
  static absl::StatusOr<std::unique_ptr<Journal>> View(UniqueFd file);
  ~Journal();
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;

  // Writes a record, in the place of the one of its key if there is one. At most
  // journal::kContentBytesMax bytes.
  //
  // Errors: RESOURCE_EXHAUSTED  the file cannot grow; everything is as before
  absl::Status Put(JournalKey key, absl::Span<const std::uint8_t> content);
  // One that is not there is none.
  void Erase(JournalKey key);
  // Makes room, so that the next `records` new ones, and some for what was promised before, can be
  // written. Errors: those of Put()
  absl::Status Reserve(std::size_t records);
  // What was written last under this key, until the next call; empty: nothing.
  absl::Span<const std::uint8_t> Find(JournalKey key) const;
  // It is not what it should be any more: Adopt() refuses it from now on.
  void GiveUp();

  struct Record {
    JournalKey key;
    absl::Span<const std::uint8_t> content;  // in the journal: until the next call
  };
  // In the order in which they were written.
  std::vector<Record> Records() const;

  std::size_t size() const { return slot_of_.size(); }
  std::size_t capacity() const { return capacity_; }
  // Slots that were neither free nor whole when this journal was adopted: who is killed while he
  // writes leaves none, so each is damage. They are left alone.
  std::size_t damaged() const { return damaged_; }
  int fd() const { return file_.get(); }
  const BootId& boot_id() const { return boot_id_; }
  std::string written_by() const;  // the version that opened it last

 private:
  Journal(UniqueFd file, const BootId& boot_id);
  absl::Status Map();
  journal::Header HeaderAt(std::size_t at) const;
  journal::Header ReadHeader() const;
  journal::Header NewHeader(absl::string_view written_by) const;
  void StoreHeader(std::size_t at, const journal::Header& header);
  void ReplaceHeader(absl::string_view written_by);
  absl::Status CheckHeader() const;
  absl::Status CheckBoot() const;
  absl::Status Resize(std::size_t slots);
  absl::Status Grow();
  void ReadSlots();
  void ReadSlot(std::uint32_t index);
  void FreeSlot(std::uint32_t index);
  journal::Slot& SlotAt(std::uint32_t index) const;

  UniqueFd file_;
  BootId boot_id_;
  bool view_ = false;
  std::byte* mapping_ = nullptr;
  std::size_t mapped_bytes_ = 0;
  std::size_t capacity_ = 0;
  std::size_t damaged_ = 0;
  std::uint64_t next_sequence_ = 1;
  absl::flat_hash_map<JournalKey, std::uint32_t> slot_of_;
  std::vector<std::uint32_t> free_;
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_PERSIST_JOURNAL_H_
