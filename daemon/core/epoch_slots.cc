// SPDX-License-Identifier: Apache-2.0
#include "daemon/core/epoch_slots.h"

#include <algorithm>
#include <utility>

namespace hlbuf {

EpochPage& EpochPage::None() {
  static EpochPage none;
  return none;
}

std::uint32_t EpochSlots::Take() {
  if (!free_.empty()) {
    const std::uint32_t slot = free_.back();
    free_.pop_back();
    return slot;
  }
  return next_ < page_.end() ? next_++ : 0;
}

void EpochSlots::MakeCurrent(BufferRecord& buffer) {
  buffer.epoch_slot = Take();
  if (buffer.epoch_slot != 0) page_.Store(buffer.epoch_slot, buffer.id.value);
}

void EpochSlots::End(BufferRecord& buffer) {
  const std::uint32_t slot = std::exchange(buffer.epoch_slot, 0);
  if (slot == 0) return;
  page_.Store(slot, 0);
  free_.push_back(slot);
}

std::vector<BufferRecord*> EpochSlots::Restore(absl::Span<BufferRecord* const> current) {
  std::vector<std::uint64_t> words(page_.end());
  std::vector<BufferRecord*> moved;
  for (BufferRecord* buffer : current) {
    const std::uint32_t slot = buffer->epoch_slot;
    if (slot >= EpochPage::kFirstSlot && slot < words.size() && words[slot] == 0) {
      words[slot] = buffer->id.value;
      next_ = std::max(next_, slot + 1);
    } else {
      moved.push_back(buffer);
    }
  }
  for (std::uint32_t slot = EpochPage::kFirstSlot; slot < page_.end(); ++slot) {
    page_.Store(slot, words[slot]);
    if (slot < next_ && words[slot] == 0) free_.push_back(slot);
  }
  for (BufferRecord* buffer : moved) MakeCurrent(*buffer);
  return moved;
}

}  // namespace hlbuf
