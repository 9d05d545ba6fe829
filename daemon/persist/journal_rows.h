// SPDX-License-Identifier: Apache-2.0
// What the records of a journal contain: a RowHead, then one of the structs below, then texts.
// Later versions read this; so members never change their meaning or place, and new ones are only
// added at the end of a struct: what a record is too short for reads as zeros.
#ifndef HLBUF_DAEMON_PERSIST_JOURNAL_ROWS_H_
#define HLBUF_DAEMON_PERSIST_JOURNAL_ROWS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace hlbuf::journal {

// The lower four bits of a JournalKey::kind; the others number the parts of a record that is too
// long for one slot, from 1.
enum class RowKind : std::uint16_t {
  kDevice = 1,   // by the hash of its name
  kSession = 2,  // by its id, as the next three
  kBuffer = 3,
  kLease = 4,
  kRevocation = 5,
  kNote = 6,    // of a device, by the hash of both
  kShares = 7,  // part 0 and on: kGranteesPerRow each, of a buffer, by its id
};
inline constexpr int kKindBits = 4;
inline constexpr std::size_t kPartsMax = (std::size_t{1} << (16 - kKindBits)) - 1;

// Texts follow each other, each behind its length of four bytes. Where they have no room in the
// record itself, they are in parts, written before it: of the same kind, by `text_key`, which is
// made of the record's key, of what the texts say, and of what its writer alone knows. So a text is
// never changed in its place.
struct RowHead {
  std::uint16_t fixed_bytes;
  std::uint16_t text_parts;  // 0: the texts are in this record
  std::uint32_t text_bytes;
  std::uint64_t text_key;
};
static_assert(sizeof(RowHead) == 16);

// Times are nanoseconds of CLOCK_BOOTTIME. A `bool` is 0 or 1.

struct DeviceRow {  // texts: name, who drained it, why it is reset
  std::uint64_t epoch;
  std::int64_t drained_since;
  std::int64_t closing_deadline;
  std::uint64_t closing_revocation;
  std::uint8_t drained;
  std::uint8_t closing;
  std::uint8_t drill;
  std::array<std::uint8_t, 5> reserved;
};
static_assert(sizeof(DeviceRow) == 40);

struct SessionRow {  // texts: client, container, unit, groups (four bytes each)
  std::int64_t since;
  std::uint64_t pidfd_inode;
  std::uint64_t start_ticks;
  std::uint32_t uid;
  std::uint32_t gid;
  std::int32_t pid;
  std::uint32_t job;
  std::array<std::uint8_t, 16> secret;
  std::array<std::uint8_t, 16> secret_before;
};
static_assert(sizeof(SessionRow) == 72);

struct BufferRow {  // texts: device, container of the owner, name, then labels
  std::uint64_t epoch;
  std::uint64_t size_bytes;
  std::uint64_t window;
  std::uint64_t inode;
  std::uint64_t allocated_by_session;
  std::uint64_t allocated_by_cookie;
  std::int64_t since;
  std::int64_t draining_since;
  std::int64_t unleased_since;
  std::array<std::uint64_t, 4> revocations;  // 0: none
  std::uint32_t owner_uid;
  std::uint32_t job;
  std::uint32_t references;
  std::uint32_t verdict_references;
  std::uint8_t state;
  std::uint8_t blind;
  std::uint8_t given_up;
  std::uint8_t revoked;  // the reason; 0: it is not
  std::uint8_t verdict;  // its kind and 1; 0: none
  std::uint8_t counted_late;
  std::uint16_t shares;  // how many rows of kShares are good
  std::uint32_t epoch_slot;
  std::uint32_t reserved;
};
static_assert(sizeof(BufferRow) == 136);

struct LeaseRow {
  std::uint64_t session;
  std::uint64_t buffer;
  std::uint64_t asked_alone_by;
  std::int64_t due;
  std::int64_t since;
  std::uint32_t share_id;
  std::uint8_t share_kind;  // 0: no SHARE allowed it
  std::uint8_t state;
  std::uint8_t signalled;
  std::uint8_t reserved;
};
static_assert(sizeof(LeaseRow) == 48);

struct RevocationRow {
  std::int64_t began;
  std::int64_t deadline;
  std::uint32_t sessions_told;
  std::uint32_t leases_told;
  std::uint8_t reason;
  std::array<std::uint8_t, 7> reserved;
};
static_assert(sizeof(RevocationRow) == 32);

struct NoteRow {  // texts: device, bytes
  std::uint64_t key;
};

struct SharesRow {
  static constexpr std::size_t kGranteesPerRow = 32;
  struct Entry {
    std::uint32_t kind;
    std::uint32_t id;
  };
  std::uint64_t count;
  std::array<Entry, kGranteesPerRow> entries;
};
static_assert(sizeof(SharesRow) == 264);

}  // namespace hlbuf::journal

#endif  // HLBUF_DAEMON_PERSIST_JOURNAL_ROWS_H_
