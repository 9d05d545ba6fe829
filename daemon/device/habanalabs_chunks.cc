// SPDX-License-Identifier: Apache-2.0
#include "daemon/device/habanalabs_chunks.h"

#include <algorithm>
#include <iterator>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "daemon/base/status_macros.h"
#include "daemon/core/error.h"
#include "daemon/device/error_text.h"

namespace hlbuf {

std::unique_ptr<HabanalabsMemory> MakeMappedMemory(const CardMemory& memory, Notebook& notes) {
  return std::make_unique<HabanalabsChunks>(memory, notes);
}

void HabanalabsChunks::OnOpened(const HabanalabsDriver& driver, std::uint32_t opening,
                                bool cleared) {
  driver_ = &driver;
  opening_ = opening;
  if (cleared) UnsuspectAll();
}

// Whom to suspect is noted before the reason for it is forgotten.
void HabanalabsChunks::OnClosed() {
  for (const Chunk& chunk : chunks_)
    for (const BytesNote& bytes : chunk.history.all()) (void)Suspect(bytes.domain);
  for (const auto& [name, out] : out_)
    if (out.is_blind)
      notes_.Write(ForgetBlind({.chunk = out.chunk->note.number, .window = out.window}));
  for (Chunk& chunk : chunks_) {
    notes_.Write(ForgetChunk(chunk.note.number));
    chunk.history.Clear(notes_);
  }
  out_.clear();
  back_already_.clear();
  chunks_.clear();
  chunk_bytes_ = lost_bytes_ = 0;
  driver_ = nullptr;
}

std::uint64_t HabanalabsChunks::UnallocatedBytes() const {
  return memory_.total_bytes - std::min(chunk_bytes_ + lost_bytes_, memory_.total_bytes);
}

std::uint64_t HabanalabsChunks::ChunkBytesFor(std::uint64_t size_bytes) const {
  const std::uint64_t page = memory_.driver_page_bytes;
  return (size_bytes + page - 1) / page * page;
}

absl::StatusOr<HabanalabsMemory::Place> HabanalabsChunks::Take(std::uint64_t size_bytes,
                                                               const Domain& domain) {
  const Domain user = memory_.isolates ? domain : Domain();
  absl::StatusOr<ChunkList::iterator> chunk = FindChunk(size_bytes, user);
  if (ErrorCodeOf(chunk.status()) == ErrorCode::kNoMemory &&
      (AskWitnessesAgain() || Regroup(size_bytes, user)))
    chunk = FindChunk(size_bytes, user);
  if (!chunk.ok()) return chunk.status();
  return TakeFrom(*chunk, size_bytes, user);
}

absl::StatusOr<HabanalabsChunks::ChunkList::iterator> HabanalabsChunks::FindChunk(
    std::uint64_t size_bytes, const Domain& domain) {
  const auto chunk = BestChunk(size_bytes, domain);
  if (chunk != chunks_.end()) return chunk;
  return AddChunk(size_bytes, domain);
}

// Not where a blind window waits for the rest of its chunk; where the domain's own bytes are, so
// that what is clean stays there for others; then where no MAP is needed; then the tightest.
HabanalabsChunks::ChunkList::iterator HabanalabsChunks::BestChunk(std::uint64_t size_bytes,
                                                                  const Domain& domain) {
  auto best = chunks_.end();
  std::tuple<bool, bool, bool, std::uint64_t> best_rank;
  for (auto it = chunks_.begin(); it != chunks_.end(); ++it) {
    const std::uint64_t room = it->windows.LargestBytes(domain);
    const std::uint64_t wanted = memory_.one_window_each ? it->note.size_bytes : size_bytes;
    if (it->is_withheld || room < size_bytes || room < wanted) continue;
    const std::tuple rank(!it->kept.empty(), it->windows.ReservedBytes(domain) == 0,
                          !it->note.address.has_value(), room);
    if (best == chunks_.end() || rank < best_rank) {
      best = it;
      best_rank = rank;
    }
  }
  return best;
}

absl::StatusOr<HabanalabsMemory::Place> HabanalabsChunks::TakeFrom(ChunkList::iterator chunk,
                                                                   std::uint64_t size_bytes,
                                                                   const Domain& domain) {
  if (!chunk->note.address) {
    ASSIGN_OR_RETURN(chunk->note.address, driver_->Map(chunk->note.handle));
    notes_.Write(NoteOf(chunk->note));
  }
  const std::uint64_t wanted = memory_.one_window_each ? chunk->note.size_bytes : size_bytes;
  const std::optional<Window> window = chunk->windows.Allocate(wanted, domain);
  if (!window) return NoRoom(size_bytes, domain);
  chunk->history.Add(*window, domain, notes_);
  ++chunk->windows_out;
  const std::uint64_t name =
      WindowName{.opening = opening_, .chunk = chunk->note.number, .offset = window->offset}
          .number();
  out_.emplace(name, Out{.chunk = chunk, .window = *window});
  return Place{.window = name, .address = *chunk->note.address, .offset = window->offset};
}

absl::StatusOr<HabanalabsChunks::ChunkList::iterator> HabanalabsChunks::AddChunk(
    std::uint64_t size_bytes, const Domain& domain) {
  const std::uint64_t bytes = ChunkBytesFor(size_bytes);
  if (bytes > UnallocatedBytes()) return NoRoom(size_bytes, domain);
  RETURN_IF_ERROR(MayUseFreshMemory(domain));
  const absl::StatusOr<std::uint64_t> handle = driver_->Alloc(bytes);
  if (!handle.ok()) {
    if (ErrorCodeOf(handle.status()) != ErrorCode::kNoMemory) return handle.status();
    return Error(ErrorCode::kNoMemory, absl::StrCat(NoRoom(size_bytes, domain).message(), "; ",
                                                    handle.status().message()));
  }
  const absl::StatusOr<std::uint64_t> address = driver_->Map(*handle);
  ChunkNote note = {.number = FreshNumber(), .handle = *handle, .size_bytes = bytes};
  if (address.ok()) note.address = *address;
  const auto chunk = chunks_.emplace(chunks_.end(), note, memory_.page_bytes);
  chunk_bytes_ += bytes;
  notes_.Write(NoteOf(note));
  if (memory_.isolates && !suspected_.empty()) ReserveSuspected(*chunk, domain);
  if (address.ok()) return chunk;
  if (chunk->windows.reserved_bytes() == 0) (void)FreeChunk(chunk);
  return address.status();
}

// What is suspected to be this domain's, all of it may be.
void HabanalabsChunks::ReserveSuspected(Chunk& chunk, const Domain& domain) {
  const Window all = {.offset = 0, .size_bytes = chunk.note.size_bytes};
  if (chunk.windows.AllocateAt(all, domain)) (void)chunk.windows.Free(0);
  chunk.history.Add(all, domain, notes_);
  // Nothing that it could be true of is left. What was lost comes back to the driver, though.
  if (const auto left = driver_->DramUsage();
      left.ok() && left->dram_free_mem < memory_.driver_page_bytes && lost_bytes_ == 0)
    UnsuspectAll();
}

// A chunk that cannot be freed stays, for later use.
absl::Status HabanalabsChunks::FreeChunk(ChunkList::iterator chunk) {
  std::vector<Domain> suspects;
  for (const BytesNote& bytes : chunk->history.all())
    if (Suspect(bytes.domain)) suspects.push_back(bytes.domain);
  if (!notes_.WriteAhead(ForgetChunk(chunk->note.number)))
    return Error(ErrorCode::kDeviceUnavailable, "the service ends");
  if (const absl::Status freed = driver_->Free(chunk->note.handle); !freed.ok()) {
    notes_.Write(NoteOf(chunk->note));
    for (const Domain& domain : suspects) Unsuspect(domain);
    return freed;
  }
  chunk->history.Clear(notes_);
  chunk_bytes_ -= chunk->note.size_bytes;
  chunks_.erase(chunk);
  return absl::OkStatus();
}

// Makes a large piece of the domain's own small ones. Frees no more than that takes.
bool HabanalabsChunks::Regroup(std::uint64_t size_bytes, const Domain& domain) {
  std::vector<ChunkList::iterator> own;
  std::uint64_t room = UnallocatedBytes();
  for (auto it = chunks_.begin(); it != chunks_.end(); ++it) {
    const bool others = it->windows.reserved_bytes() > it->windows.ReservedBytes(domain);
    if (it->windows_out > 0 || others) continue;
    own.push_back(it);
    room += it->note.size_bytes;
  }
  const std::uint64_t wanted = ChunkBytesFor(size_bytes);
  if (own.empty() || room < wanted || !MayUseFreshMemory(domain).ok()) return false;
  for (const auto chunk : own) {
    if (UnallocatedBytes() >= wanted) break;
    (void)FreeChunk(chunk);
  }
  return true;
}

absl::Status HabanalabsChunks::GiveBack(std::uint64_t name) {
  const auto it = out_.find(name);
  if (it == out_.end()) {
    if (WindowName::Of(name).IsBefore(opening_, driver_ != nullptr)) return absl::OkStatus();
    if (back_already_.erase(name) > 0) return absl::OkStatus();
    return Error(ErrorCode::kDeviceError, absl::StrCat("no window ", name, " is out"));
  }
  Out& out = it->second;
  const bool is_last = out.chunk->windows_out == out.chunk->kept.size() + 1;
  if (is_last || out.is_blind || out.is_kept) return KeepOut(name, out);
  (void)out.chunk->windows.Free(out.window.offset);
  --out.chunk->windows_out;
  out_.erase(it);
  return absl::OkStatus();
}

// Until nothing of the chunk is out any more, which may be at once.
absl::Status HabanalabsChunks::KeepOut(std::uint64_t name, Out& out) {
  Chunk& chunk = *out.chunk;
  if (!out.is_kept) chunk.kept.push_back(name);
  out.is_kept = true;
  if (chunk.windows_out == chunk.kept.size()) return Empty(out.chunk);
  return Error(
      ErrorCode::kDeviceError,
      absl::StrCat("its descriptor was lost in a restart, so nobody knows whether somebody "
                   "has it; ",
                   BytesText(out.window.size_bytes),
                   " are withheld until all buffers of this chunk of the card's memory "
                   "were released, or the card was reset"));
}

// All windows that are out were given back.
absl::Status HabanalabsChunks::Empty(ChunkList::iterator chunk) {
  if (const absl::Status unmapped = driver_->Unmap(*chunk->note.address); !unmapped.ok()) {
    chunk->is_withheld = true;
    return Error(ErrorCodeOf(unmapped),
                 absl::StrCat(unmapped.message(), "; ", BytesText(chunk->note.size_bytes),
                              " are withheld until the driver lets go of them"));
  }
  chunk->note.address.reset();
  notes_.Write(NoteOf(chunk->note));
  chunk->is_withheld = false;
  for (const std::uint64_t name : chunk->kept) {
    const auto it = out_.find(name);
    const Window window = it->second.window;
    if (it->second.is_blind) {
      notes_.Write(ForgetBlind({.chunk = chunk->note.number, .window = window}));
      back_already_.insert(name);  // who asked for it asks again
    }
    (void)chunk->windows.Free(window.offset);
    out_.erase(it);
  }
  chunk->kept.clear();
  chunk->windows_out = 0;
  return memory_.isolates ? absl::OkStatus() : FreeChunk(chunk);
}

// Whether that has made room.
bool HabanalabsChunks::AskWitnessesAgain() {
  bool changed = false;
  for (auto it = chunks_.begin(); it != chunks_.end();) {
    const auto chunk = it++;
    changed |= chunk->is_withheld && Empty(chunk).ok();
  }
  return changed;
}

absl::Status HabanalabsChunks::MayUseFreshMemory(const Domain& domain) const {
  if (suspected_.empty() || (suspected_.size() == 1 && suspected_.contains(domain)) ||
      !memory_.isolates)
    return absl::OkStatus();
  return Error(ErrorCode::kNoMemory,
               "free memory of the card may have bytes of other domains: it went back to the "
               "driver since they used it, which did not clear it; load habanalabs with "
               "memory_scrub=1 and reset the card, or set isolation = \"none\"");
}

absl::Status HabanalabsChunks::NoRoom(std::uint64_t size_bytes, const Domain& domain) const {
  std::uint64_t largest = 0;
  std::uint64_t others = 0;
  for (const Chunk& chunk : chunks_) {
    largest = std::max(largest, chunk.is_withheld ? 0 : chunk.windows.LargestBytes(domain));
    others += chunk.windows.reserved_bytes() - chunk.windows.ReservedBytes(domain);
  }
  return NoRoomOnCard({.wanted_bytes = size_bytes,
                       .total_bytes = memory_.total_bytes,
                       .others_bytes = others,
                       .largest_bytes = largest},
                      usage());
}

HabanalabsMemory::Usage HabanalabsChunks::usage() const {
  Usage usage = {.lost_bytes = lost_bytes_};
  for (const Chunk& chunk : chunks_) {
    const std::uint64_t size = chunk.note.size_bytes;
    std::uint64_t withheld = chunk.is_withheld ? size : 0;
    for (const std::uint64_t name : chunk.kept)
      if (!chunk.is_withheld) withheld += out_.at(name).window.size_bytes;
    usage.withheld_bytes += withheld;
    usage.out_bytes += size - (chunk.is_withheld ? 0 : chunk.windows.free_bytes()) - withheld;
    if (memory_.isolates) usage.reserved_bytes += chunk.windows.reserved_bytes();
  }
  if (memory_.isolates && !suspected_.empty()) usage.reserved_bytes += UnallocatedBytes();
  return usage;
}

}  // namespace hlbuf
