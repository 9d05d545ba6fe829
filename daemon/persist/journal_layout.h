// SPDX-License-Identifier: Apache-2.0
// The bytes of a journal file: one header, then slots of equal size. It is read by later versions
// of hl-bufd, so nothing here ever changes its meaning or place; what is added is announced by a
// bit of the header.
#ifndef HLBUF_DAEMON_PERSIST_JOURNAL_LAYOUT_H_
#define HLBUF_DAEMON_PERSIST_JOURNAL_LAYOUT_H_

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <array>
#include <cstddef>
#include <cstdint>

namespace hlbuf::journal {

inline constexpr std::uint64_t kMagic = 0x314c4e4a46424c48;  // "HLBFJNL1", little-endian
inline constexpr std::uint32_t kHeaderBytes = 4096;          // slots begin at a page
inline constexpr std::uint32_t kSlotBytes = 512;

struct Header {
  std::uint64_t magic;
  std::uint64_t hash;  // XXH3 of the rest of this struct
  std::uint32_t header_bytes;
  std::uint32_t slot_bytes;
  // Who does not know one of these may read the journal, but loses what it does not know.
  std::uint64_t compatible;
  // Who does not know one of these must not read on.
  std::uint64_t incompatible;
  std::array<std::uint8_t, 16> boot_id;  // of the kernel whose descriptors this is about
  std::array<char, 64> written_by;       // version of hl-bufd, NUL-terminated; for people
};
static_assert(sizeof(Header) == 120);

// While a header takes the place of another, it is here as well: whole before a byte of the first
// changes, and gone when that is whole. Where the first is not whole, this one counts.
inline constexpr std::uint32_t kHeaderCopyAt = 2048;
static_assert(kHeaderCopyAt >= sizeof(Header) && kHeaderCopyAt + sizeof(Header) <= kHeaderBytes);

inline constexpr std::uint64_t kCompatible = 0;    // bits that this version writes
inline constexpr std::uint64_t kIncompatible = 0;  // likewise

struct Slot {
  // 0: free. Else its place in the order of all writes; stored last, so a slot whose writer was
  // killed half way is free.
  std::uint64_t sequence;
  std::uint64_t hash;  // XXH3 of the rest, as far as `bytes` goes, with `sequence` as its seed
  std::uint64_t key;   // with `kind`: what the record is about
  std::uint16_t kind;
  std::uint16_t bytes;  // of `content` in use
  std::uint32_t reserved;
  std::array<std::uint8_t, kSlotBytes - 32> content;
};
static_assert(sizeof(Slot) == kSlotBytes);

inline constexpr std::uint16_t kContentBytesMax = sizeof(Slot::content);

inline std::uint64_t HashOf(const Header& header) {
  constexpr std::size_t kFrom = offsetof(Header, header_bytes);
  return XXH3_64bits(reinterpret_cast<const std::byte*>(&header) + kFrom, sizeof(header) - kFrom);
}

inline bool IsWhole(const Header& header) {
  return header.magic == kMagic && header.hash == HashOf(header);
}

// As if the slot had this sequence already, which is stored after the hash. `bytes` is in bounds.
inline std::uint64_t HashOf(const Slot& slot, std::uint64_t sequence) {
  constexpr std::size_t kFrom = offsetof(Slot, key);
  return XXH3_64bits_withSeed(reinterpret_cast<const std::byte*>(&slot) + kFrom,
                              offsetof(Slot, content) - kFrom + slot.bytes, sequence);
}

}  // namespace hlbuf::journal

#endif  // HLBUF_DAEMON_PERSIST_JOURNAL_LAYOUT_H_
