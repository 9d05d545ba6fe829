// SPDX-License-Identifier: Apache-2.0
// Memory of cards with physical addresses (Gaudi). Nobody but us allocates there, so an address is
// the same byte for ever, and the history of each is exact over any number of resets.
#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "daemon/base/status_macros.h"
#include "daemon/core/error.h"
#include "daemon/core/window_allocator.h"
#include "daemon/device/error_text.h"
#include "daemon/device/habanalabs_memory.h"
#include "daemon/device/window_history.h"

namespace hlbuf {
namespace {

class PhysicalMemory final : public HabanalabsMemory {
 public:
  PhysicalMemory(const CardMemory& memory, Notebook& notes)
      : memory_(memory), notes_(notes), windows_(memory.total_bytes, memory.page_bytes) {}

  void OnOpened(const HabanalabsDriver&, std::uint32_t opening, bool cleared) override;
  absl::Status OnResumed(const HabanalabsDriver&, const CardNotes& notes,
                         absl::Span<const Held> out) override;
  void Remember(const CardNotes& notes) override;
  void SuspectEverybody() override;
  CardNotes Remembered() const override;
  void OnClosed() override;
  absl::StatusOr<Place> Take(std::uint64_t size_bytes, const Domain& domain) override;
  absl::Status GiveBack(std::uint64_t window) override;
  Usage usage() const override {
    return {.out_bytes = out_bytes_ - blind_bytes_,
            .reserved_bytes = memory_.isolates ? windows_.reserved_bytes() : 0,
            .withheld_bytes = blind_bytes_};
  }

 private:
  struct Out {
    Window window;
    bool is_blind = false;
    bool is_kept = false;
  };
  std::uint64_t NameOf(Window window) const {
    return WindowName{.opening = opening_, .chunk = 0, .offset = window.offset}.number();
  }
  absl::Status Load(Window window, const Domain& domain, bool is_blind);
  absl::Status LoadBlind(Window window);
  absl::Status NoRoom(std::uint64_t size_bytes, const Domain& domain) const;

  const CardMemory memory_;
  Notebook& notes_;
  WindowAllocator windows_;
  WindowHistory history_ = WindowHistory(0);
  std::map<std::uint64_t, Out> out_;  // by name
  std::uint64_t out_bytes_ = 0;
  std::uint64_t blind_bytes_ = 0;  // of those, given back
  std::uint32_t opening_ = 0;
  bool is_open_ = false;
};

void PhysicalMemory::OnOpened(const HabanalabsDriver&, std::uint32_t opening, bool cleared) {
  opening_ = opening;
  is_open_ = true;
  if (!cleared) return;
  windows_.MarkClean({.offset = 0, .size_bytes = memory_.total_bytes});
  history_.Clear(notes_);
}

absl::Status PhysicalMemory::OnResumed(const HabanalabsDriver&, const CardNotes& notes,
                                       absl::Span<const Held> out) {
  Remember(notes);
  opening_ = notes.card->opening;
  is_open_ = true;
  for (const Held& held : out) {
    const WindowName name = WindowName::Of(held.window);
    if (name.opening != opening_) continue;  // of a card that was closed since
    RETURN_IF_ERROR(Load({.offset = name.offset, .size_bytes = held.size_bytes},
                         memory_.isolates ? held.domain : Domain(), held.is_blind));
  }
  for (const PlaceOnCard& place : notes.blind) RETURN_IF_ERROR(LoadBlind(place.window));
  return absl::OkStatus();
}

// Blind once, blind until the card is closed, though its buffer was forgotten.
absl::Status PhysicalMemory::LoadBlind(Window window) {
  const auto known = out_.find(NameOf(window));
  if (known != out_.end()) {
    known->second.is_blind = true;
    return absl::OkStatus();
  }
  const Domain* const domain = history_.DomainOf(window);
  RETURN_IF_ERROR(Load(window, domain == nullptr ? Anybody() : *domain, /*is_blind=*/true));
  out_.at(NameOf(window)).is_kept = true;
  blind_bytes_ += window.size_bytes;
  return absl::OkStatus();
}

absl::Status PhysicalMemory::Load(Window window, const Domain& domain, bool is_blind) {
  if (!windows_.AllocateAt(window, domain))
    return absl::DataLossError(
        absl::StrCat("what was noted of the card's memory contradicts "
                     "itself: the window at ",
                     window.offset, " is not its owner's alone"));
  history_.Add(window, domain, notes_);
  out_bytes_ += window.size_bytes;
  out_.emplace(NameOf(window), Out{.window = window, .is_blind = is_blind});
  if (is_blind) notes_.Write(BlindNote({.chunk = 0, .window = window}));
  return absl::OkStatus();
}

// What lies beyond a smaller cut than before is nobody's.
void PhysicalMemory::Remember(const CardNotes& notes) {
  for (const auto& [place, domain] : notes.bytes) {
    if (!history_.Load(place.window, domain)) continue;
    Window window = place.window;
    window.size_bytes =
        std::min(window.end(), std::max(memory_.total_bytes, window.offset)) - window.offset;
    if (windows_.AllocateAt(window, domain)) (void)windows_.Free(window.offset);
  }
}

void PhysicalMemory::SuspectEverybody() {
  const Window all = {.offset = 0, .size_bytes = memory_.total_bytes};
  history_.Clear(notes_);
  history_.Add(all, Anybody(), notes_);
  if (windows_.AllocateAt(all, Anybody())) (void)windows_.Free(0);
}

CardNotes PhysicalMemory::Remembered() const {
  CardNotes notes;
  notes.bytes = history_.all();
  return notes;
}

void PhysicalMemory::OnClosed() {
  for (const auto& [name, out] : out_) {
    (void)windows_.Free(out.window.offset);
    if (out.is_blind) notes_.Write(ForgetBlind({.chunk = 0, .window = out.window}));
  }
  out_.clear();
  out_bytes_ = blind_bytes_ = 0;
  is_open_ = false;
}

absl::StatusOr<HabanalabsMemory::Place> PhysicalMemory::Take(std::uint64_t size_bytes,
                                                             const Domain& domain) {
  const Domain user = memory_.isolates ? domain : Domain();
  const std::optional<Window> window = windows_.Allocate(size_bytes, user);
  if (!window) return NoRoom(size_bytes, user);
  history_.Add(*window, user, notes_);
  out_.emplace(NameOf(*window), Out{.window = *window});
  out_bytes_ += window->size_bytes;
  return Place{.window = NameOf(*window), .address = memory_.base + window->offset, .offset = 0};
}

absl::Status PhysicalMemory::GiveBack(std::uint64_t name) {
  const auto it = out_.find(name);
  if (it == out_.end()) {
    if (WindowName::Of(name).IsBefore(opening_, is_open_)) return absl::OkStatus();
    return Error(ErrorCode::kDeviceError, absl::StrCat("no window ", name, " is out"));
  }
  Out& out = it->second;
  if (out.is_blind) {
    if (!std::exchange(out.is_kept, true)) blind_bytes_ += out.window.size_bytes;
    return Error(
        ErrorCode::kDeviceError,
        absl::StrCat("its descriptor was lost in a restart, so nobody knows whether "
                     "somebody has it; ",
                     BytesText(out.window.size_bytes), " are withheld until the card was reset"));
  }
  out_bytes_ -= out.window.size_bytes;
  (void)windows_.Free(out.window.offset);
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

const Domain& HabanalabsMemory::Anybody() {
  static const Domain anybody = {.uid = kNobodyUid, .container = "?"};
  return anybody;
}

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

std::unique_ptr<HabanalabsMemory> MakePhysicalMemory(const CardMemory& memory, Notebook& notes) {
  return std::make_unique<PhysicalMemory>(memory, notes);
}

}  // namespace hlbuf
