// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_CORE_WINDOW_ALLOCATOR_H_
#define HLBUF_DAEMON_CORE_WINDOW_ALLOCATOR_H_

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"
#include "daemon/core/peer.h"

namespace hlbuf {

struct Window {
  std::uint64_t offset = 0;
  std::uint64_t size_bytes = 0;

  std::uint64_t end() const { return offset + size_bytes; }
  friend bool operator==(const Window&, const Window&) = default;
};

// Disjoint ranges of bytes; ranges that touch are one. Everything is O(log n) in their number.
class RangeSet {
 public:
  void Add(Window range);
  void Remove(Window range);  // what of it is in the set
  // The smallest range that is large enough; the lowest of several such.
  std::optional<Window> BestFit(std::uint64_t size_bytes) const;
  std::uint64_t largest_bytes() const { return by_size_.empty() ? 0 : by_size_.rbegin()->first; }

 private:
  void Insert(std::uint64_t begin, std::uint64_t end);

  absl::btree_map<std::uint64_t, std::uint64_t> by_offset_;           // offset to end
  absl::btree_set<std::pair<std::uint64_t, std::uint64_t>> by_size_;  // size and offset
};

// Gives out windows of one arena so that no domain meets another's bytes.
//
// A free byte is clean, or reserved to the domain that used it last: it goes to that domain only,
// until MarkClean(). A domain may get what is clean and what is reserved to it; where both touch, a
// window may span them. Best fit, own bytes first, so that what is clean stays there for others.
//
// O(log n) in the number of windows, amortised: an Allocate() can swallow several free ranges, each
// of which a Free() has made. Not thread-safe.
class WindowAllocator {
 public:
  struct Reservation {
    Window window;
    Domain domain;
  };

  // The arena starts clean. `page_bytes` is a power of two; an incomplete last page is not used.
  WindowAllocator(std::uint64_t arena_bytes, std::uint64_t page_bytes);

  // A window of `size_bytes`, rounded up to pages. nullopt: no room for this domain, or size 0.
  std::optional<Window> Allocate(std::uint64_t size_bytes, const Domain& domain);
  // This very window, as it was given out before: whole pages, free, and clean or the domain's own.
  // False: it is not.
  bool AllocateAt(Window window, const Domain& domain);
  // Takes back the window at `offset`; it is reserved to its domain now. nullopt: there is none.
  std::optional<Window> Free(std::uint64_t offset);
  // The free bytes of `window` were cleared. Windows in use are left alone.
  void MarkClean(Window window);

  std::uint64_t free_bytes() const { return free_bytes_; }          // reserved ones included
  std::uint64_t reserved_bytes() const { return reserved_bytes_; }  // free, but not for everyone
  std::uint64_t ReservedBytes(const Domain& domain) const;
  // The largest window that Allocate() can give to `domain` now.
  std::uint64_t LargestBytes(const Domain& domain) const;
  // What would have to be cleared to serve everyone; by offset, O(n).
  std::vector<Reservation> Reservations() const;

 private:
  using Last = std::optional<Domain>;  // nullopt: clean
  struct FreeRange {
    std::uint64_t size_bytes;
    Last last;
  };
  struct Live {
    std::uint64_t size_bytes;
    Domain domain;
  };
  // Where a domain with reserved bytes can be served from them: its own ranges and the clean ones
  // that touch them.
  struct Own {
    RangeSet usable;
    std::uint64_t reserved_bytes = 0;
  };

  std::optional<Window> Find(std::uint64_t size_bytes, const Domain& domain) const;
  void Take(Window window);
  void Attach(Window window, Last last);
  void Detach(Window window, const Last& last);
  std::vector<std::pair<Window, Last>> Neighbours(Window window) const;
  bool Touches(Window window, const Domain& domain) const;

  std::uint64_t page_bytes_;
  std::uint64_t free_bytes_ = 0;
  std::uint64_t reserved_bytes_ = 0;
  absl::btree_map<std::uint64_t, FreeRange> free_;  // by offset; equals never touch
  RangeSet clean_;
  absl::flat_hash_map<Domain, Own> own_;
  absl::flat_hash_map<std::uint64_t, Live> live_;
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_CORE_WINDOW_ALLOCATOR_H_
