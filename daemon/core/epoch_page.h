// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_CORE_EPOCH_PAGE_H_
#define HLBUF_DAEMON_CORE_EPOCH_PAGE_H_

#include <cstdint>

namespace hlbuf {

// Memory that every client can look at without asking: words, each of them a slot. A buffer that is
// current has one, which has its id; ids are never used twice, so whoever finds another value there
// knows that the buffer is not current any more, and never will be again.
//
// Broker thread. This one has no slots.
class EpochPage {
 public:
  // As in proto/hlbuf_wire.h: what the first word is, and where slots begin; 0 stands for none.
  static constexpr std::uint64_t kMagic = 0x31484350454c4248;
  static constexpr std::uint32_t kFirstSlot = 8;

  virtual ~EpochPage() = default;

  // Slots are those from kFirstSlot to below this.
  virtual std::uint32_t end() const { return 0; }
  // Clients see it before anything that is sent later.
  virtual void Store(std::uint32_t /*slot*/, std::uint64_t /*value*/) {}

  static EpochPage& None();
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_CORE_EPOCH_PAGE_H_
