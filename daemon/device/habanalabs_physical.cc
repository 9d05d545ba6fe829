// SPDX-License-Identifier: Apache-2.0
// Memory of cards with physical addresses (Gaudi). Nobody but us allocates there, so an address is
// the same byte for ever, and the history of each is exact over any number of resets.
#include <map>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "daemon/core/error.h"
#include "daemon/core/window_allocator.h"
#include "daemon/device/error_text.h"
#include "daemon/device/habanalabs_memory.h"

namespace hlbuf {
namespace {

class PhysicalMemory final : public HabanalabsMemory {
 public:
  explicit PhysicalMemory(const CardMemory& memory)
      : memory_(memory), windows_(memory.total_bytes, memory.page_bytes) {}

  void OnOpened(const HabanalabsDriver&, bool cleared) override {
    if (cleared) windows_.MarkClean({.offset = 0, .size_bytes = memory_.total_bytes});
  }
  void OnClosed() override;
  absl::StatusOr<Place> Take(std::uint64_t size_bytes, const Domain& domain) override;
  absl::Status GiveBack(std::uint64_t window) override;
  Usage usage() const override {
    return {.out_bytes = out_bytes_,
            .reserved_bytes = memory_.isolates ? windows_.reserved_bytes() : 0};
  }

 private:
  absl::Status NoRoom(std::uint64_t size_bytes, const Domain& domain) const;

  const CardMemory memory_;
  WindowAllocator windows_;
  std::map<std::uint64_t, Window> out_;  // by name
  std::uint64_t out_bytes_ = 0;
  std::uint64_t last_window_ = 0;
  std::uint64_t last_window_before_ = 0;  // of earlier openings
};

void PhysicalMemory::OnClosed() {
  for (const auto& [name, window] : out_) (void)windows_.Free(window.offset);
  out_.clear();
  out_bytes_ = 0;
  last_window_before_ = last_window_;
}

absl::StatusOr<HabanalabsMemory::Place> PhysicalMemory::Take(std::uint64_t size_bytes,
                                                             const Domain& domain) {
  const Domain user = memory_.isolates ? domain : Domain();
  const std::optional<Window> window = windows_.Allocate(size_bytes, user);
  if (!window) return NoRoom(size_bytes, user);
  out_.emplace(++last_window_, *window);
  out_bytes_ += window->size_bytes;
  return Place{.window = last_window_, .address = memory_.base + window->offset, .offset = 0};
}

absl::Status PhysicalMemory::GiveBack(std::uint64_t name) {
  const auto it = out_.find(name);
  if (it == out_.end()) {
    if (name <= last_window_before_) return absl::OkStatus();
    return Error(ErrorCode::kDeviceError, absl::StrCat("no window ", name, " is out"));
  }
  out_bytes_ -= it->second.size_bytes;
  (void)windows_.Free(it->second.offset);
  out_.erase(it);
  return absl::OkStatus();
}

absl::Status PhysicalMemory::NoRoom(std::uint64_t size_bytes, const Domain& domain) const {
  return NoRoomOnCard({.wanted_bytes = size_bytes,
                       .total_bytes = memory_.total_bytes,
                       .others_bytes = windows_.reserved_bytes() - windows_.ReservedBytes(domain),
                       .largest_bytes = windows_.LargestBytes(domain)},
                      usage());
}

}  // namespace

absl::Status NoRoomOnCard(const Shortage& shortage, const HabanalabsMemory::Usage& usage) {
  std::string text = absl::StrCat("no room for ", BytesText(shortage.wanted_bytes), ": of ",
                                  BytesText(shortage.total_bytes), ", ", BytesText(usage.out_bytes),
                                  " are in use");
  if (shortage.others_bytes > 0)
    absl::StrAppend(&text, ", ", BytesText(shortage.others_bytes),
                    " are reserved to other domains, whose bytes are still there");
  if (usage.withheld_bytes > 0)
    absl::StrAppend(&text, ", ", BytesText(usage.withheld_bytes),
                    " are withheld because the driver says that they are still exported");
  absl::StrAppend(&text, ", and the largest free piece at hand has ",
                  BytesText(shortage.largest_bytes), "; release buffers");
  if (shortage.others_bytes > 0)
    absl::StrAppend(&text, ", or let the driver clear memory at resets (memory_scrub=1)");
  return Error(ErrorCode::kNoMemory, text);
}

std::unique_ptr<HabanalabsMemory> MakePhysicalMemory(const CardMemory& memory) {
  return std::make_unique<PhysicalMemory>(memory);
}

}  // namespace hlbuf
