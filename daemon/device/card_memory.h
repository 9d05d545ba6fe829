// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_DEVICE_CARD_MEMORY_H_
#define HLBUF_DAEMON_DEVICE_CARD_MEMORY_H_

#include <cstdint>

namespace hlbuf {

// What a card has of memory, and how it is cut.
struct CardMemory {
  std::uint64_t base = 0;               // where the card has physical addresses: of the first byte
  std::uint64_t total_bytes = 0;        // that may be given out
  std::uint64_t driver_page_bytes = 0;  // what ALLOC rounds up to
  std::uint64_t page_bytes = 4096;      // of windows: the machine's page
  bool one_window_each = false;  // an allocation can be exported from its beginning only, and once
  bool isolates = true;          // no domain gets memory with another one's bytes

  friend bool operator==(const CardMemory&, const CardMemory&) = default;
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_DEVICE_CARD_MEMORY_H_
