// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_DEVICE_WINDOW_HISTORY_H_
#define HLBUF_DAEMON_DEVICE_WINDOW_HISTORY_H_

#include <cstdint>
#include <vector>

#include "absl/container/btree_map.h"
#include "daemon/core/window_allocator.h"
#include "daemon/device/habanalabs_notes.h"
#include "daemon/device/notebook.h"

namespace hlbuf {

// Whose bytes are where in one chunk of a card, in use or free: the half of a WindowAllocator that
// must not be forgotten, noted as it grows. To take a window that had its domain's bytes already
// writes nothing, and neither does giving one back.
class WindowHistory {
 public:
  explicit WindowHistory(std::uint32_t chunk) : chunk_(chunk) {}

  // `window` is given to `domain`. Of each run of one domain's bytes there is one note.
  void Add(Window window, const Domain& domain, Notebook& notes);
  // As it was noted. False: two domains have bytes at one place, which cannot be.
  bool Load(Window window, const Domain& domain);
  // Nothing is left that it could be true of.
  void Clear(Notebook& notes);
  // Whose bytes the whole window has; nullptr: nobody's, or several people's.
  const Domain* DomainOf(Window window) const;
  std::vector<BytesNote> all() const;

 private:
  struct Run {
    std::uint64_t end;
    Domain domain;
  };
  using Runs = absl::btree_map<std::uint64_t, Run>;  // by offset; of one domain, none touch
  Runs::iterator FirstThatTouches(Window window);

  const std::uint32_t chunk_;
  Runs runs_;
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_DEVICE_WINDOW_HISTORY_H_
