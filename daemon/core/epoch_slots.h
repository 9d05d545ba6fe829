// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_CORE_EPOCH_SLOTS_H_
#define HLBUF_DAEMON_CORE_EPOCH_SLOTS_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "daemon/core/epoch_page.h"
#include "daemon/core/records.h"

namespace hlbuf {

// Which buffer is current, where in the epoch page. A buffer becomes it once, before its first
// grant, and stops being it before anybody hears of that.
class EpochSlots {
 public:
  explicit EpochSlots(EpochPage& page) : page_(page) {}

  // One for which there is no slot is current nowhere.
  void MakeCurrent(BufferRecord& buffer);
  // Its slot is free for others from now on. Nothing happens when it is not current.
  void End(BufferRecord& buffer);

  // After a restart, before anything else: these are current, whatever the page says, each where it
  // was if it can be; no other buffer is. Returns those that have another slot now.
  std::vector<BufferRecord*> Restore(absl::Span<BufferRecord* const> current);

 private:
  std::uint32_t Take();

  EpochPage& page_;
  std::uint32_t next_ = EpochPage::kFirstSlot;  // and all above it are free
  std::vector<std::uint32_t> free_;             // below it
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_CORE_EPOCH_SLOTS_H_
