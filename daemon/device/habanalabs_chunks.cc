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

std::unique_ptr<HabanalabsMemory> MakeMappedMemory(const CardMemory& memory) {
  return std::make_unique<HabanalabsChunks>(memory);
}

void HabanalabsChunks::OnOpened(const HabanalabsDriver& driver, bool cleared) {
  driver_ = &driver;
  if (cleared) suspected_.clear();
}

void HabanalabsChunks::OnClosed() {
  for (const auto& [name, out] : out_) (void)out.chunk->windows.Free(out.window.offset);
  for (const Chunk& chunk : chunks_)
    for (const auto& reservation : chunk.windows.Reservations())
      suspected_.insert(reservation.domain);
  out_.clear();
  chunks_.clear();
  chunk_bytes_ = 0;
  last_window_before_ = last_window_;
  driver_ = nullptr;
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

// Where the domain's own bytes are, so that what is clean stays there for others; then where no MAP
// is needed; then the tightest.
HabanalabsChunks::ChunkList::iterator HabanalabsChunks::BestChunk(std::uint64_t size_bytes,
                                                                  const Domain& domain) {
  auto best = chunks_.end();
  std::tuple<bool, bool, std::uint64_t> best_rank;
  for (auto it = chunks_.begin(); it != chunks_.end(); ++it) {
    const std::uint64_t room = it->windows.LargestBytes(domain);
    const std::uint64_t wanted = memory_.one_window_each ? it->size_bytes : size_bytes;
    if (it->withheld || room < size_bytes || room < wanted) continue;
    const std::tuple rank(it->windows.ReservedBytes(domain) == 0, !it->address.has_value(), room);
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
  if (!chunk->address) {
    ASSIGN_OR_RETURN(chunk->address, driver_->Map(chunk->handle));
  }
  const std::uint64_t wanted = memory_.one_window_each ? chunk->size_bytes : size_bytes;
  const std::optional<Window> window = chunk->windows.Allocate(wanted, domain);
  if (!window) return NoRoom(size_bytes, domain);
  ++chunk->windows_out;
  out_.emplace(++last_window_, Out{.chunk = chunk, .window = *window});
  return Place{.window = last_window_, .address = *chunk->address, .offset = window->offset};
}

absl::StatusOr<HabanalabsChunks::ChunkList::iterator> HabanalabsChunks::AddChunk(
    std::uint64_t size_bytes, const Domain& domain) {
  const std::uint64_t bytes = ChunkBytesFor(size_bytes);
  if (bytes > memory_.total_bytes - std::min(chunk_bytes_, memory_.total_bytes))
    return NoRoom(size_bytes, domain);
  RETURN_IF_ERROR(MayUseFreshMemory(domain));
  const absl::StatusOr<std::uint64_t> handle = driver_->Alloc(bytes);
  if (!handle.ok()) {
    if (ErrorCodeOf(handle.status()) != ErrorCode::kNoMemory) return handle.status();
    return Error(ErrorCode::kNoMemory, absl::StrCat(NoRoom(size_bytes, domain).message(), "; ",
                                                    handle.status().message()));
  }
  chunk_bytes_ += bytes;
  const auto chunk =
      chunks_.insert(chunks_.end(), Chunk{.handle = *handle,
                                          .size_bytes = bytes,
                                          .windows = WindowAllocator(bytes, memory_.page_bytes)});
  // What is suspected to be this domain's, all of it may be.
  if (!suspected_.empty() && chunk->windows.Allocate(bytes, domain)) (void)chunk->windows.Free(0);
  if (const auto left = driver_->DramUsage();
      left.ok() && left->dram_free_mem < memory_.driver_page_bytes)
    suspected_.clear();  // nothing that it could be true of is left
  const absl::StatusOr<std::uint64_t> address = driver_->Map(*handle);
  if (address.ok()) {
    chunk->address = *address;
    return chunk;
  }
  if (chunk->windows.reserved_bytes() == 0) (void)FreeChunk(chunk);
  return address.status();
}

// A chunk that cannot be freed stays, for later use.
absl::Status HabanalabsChunks::FreeChunk(ChunkList::iterator chunk) {
  RETURN_IF_ERROR(driver_->Free(chunk->handle));
  chunk_bytes_ -= chunk->size_bytes;
  chunks_.erase(chunk);
  return absl::OkStatus();
}

// Makes a large piece of the domain's own small ones. Frees no more than that takes.
bool HabanalabsChunks::Regroup(std::uint64_t size_bytes, const Domain& domain) {
  std::vector<ChunkList::iterator> own;
  std::uint64_t room = memory_.total_bytes - std::min(chunk_bytes_, memory_.total_bytes);
  for (auto it = chunks_.begin(); it != chunks_.end(); ++it) {
    const bool others = it->windows.reserved_bytes() > it->windows.ReservedBytes(domain);
    if (it->windows_out > 0 || others) continue;
    own.push_back(it);
    room += it->size_bytes;
  }
  const std::uint64_t wanted = ChunkBytesFor(size_bytes);
  if (own.empty() || room < wanted || !MayUseFreshMemory(domain).ok()) return false;
  for (const auto chunk : own) {
    if (memory_.total_bytes - std::min(chunk_bytes_, memory_.total_bytes) >= wanted) break;
    const bool clean = chunk->windows.reserved_bytes() == 0;
    if (FreeChunk(chunk).ok() && !clean) suspected_.insert(domain);
  }
  return true;
}

absl::Status HabanalabsChunks::GiveBack(std::uint64_t name) {
  const auto it = out_.find(name);
  if (it == out_.end()) {
    if (name <= last_window_before_) return absl::OkStatus();
    return Error(ErrorCode::kDeviceError, absl::StrCat("no window ", name, " is out"));
  }
  const auto chunk = it->second.chunk;
  if (chunk->windows_out == 1) return Empty(chunk, name);
  (void)chunk->windows.Free(it->second.window.offset);
  --chunk->windows_out;
  out_.erase(it);
  return absl::OkStatus();
}

// `name` is the last window that is out.
absl::Status HabanalabsChunks::Empty(ChunkList::iterator chunk, std::uint64_t name) {
  if (const absl::Status unmapped = driver_->Unmap(*chunk->address); !unmapped.ok()) {
    chunk->withheld = name;
    return Error(ErrorCodeOf(unmapped),
                 absl::StrCat(unmapped.message(), "; ", BytesText(chunk->size_bytes),
                              " are withheld until the driver lets go of them"));
  }
  chunk->address.reset();
  chunk->withheld.reset();
  const auto it = out_.find(name);
  (void)chunk->windows.Free(it->second.window.offset);
  chunk->windows_out = 0;
  out_.erase(it);
  return memory_.isolates ? absl::OkStatus() : FreeChunk(chunk);
}

// Whether that has made room.
bool HabanalabsChunks::AskWitnessesAgain() {
  bool changed = false;
  for (auto it = chunks_.begin(); it != chunks_.end();) {
    const auto chunk = it++;
    changed |= chunk->withheld && Empty(chunk, *chunk->withheld).ok();
  }
  return changed;
}

absl::Status HabanalabsChunks::MayUseFreshMemory(const Domain& domain) const {
  if (suspected_.empty() || (suspected_.size() == 1 && suspected_.contains(domain)))
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
    largest = std::max(largest, chunk.withheld ? 0 : chunk.windows.LargestBytes(domain));
    others += chunk.windows.reserved_bytes() - chunk.windows.ReservedBytes(domain);
  }
  return NoRoomOnCard({.wanted_bytes = size_bytes,
                       .total_bytes = memory_.total_bytes,
                       .others_bytes = others,
                       .largest_bytes = largest},
                      usage());
}

HabanalabsMemory::Usage HabanalabsChunks::usage() const {
  Usage usage;
  for (const Chunk& chunk : chunks_) {
    const std::uint64_t free = chunk.windows.free_bytes();
    if (chunk.withheld)
      usage.withheld_bytes += chunk.size_bytes;
    else
      usage.out_bytes += chunk.size_bytes - free;
    if (memory_.isolates) usage.reserved_bytes += chunk.windows.reserved_bytes();
  }
  if (memory_.isolates && !suspected_.empty())
    usage.reserved_bytes += memory_.total_bytes - std::min(chunk_bytes_, memory_.total_bytes);
  return usage;
}

}  // namespace hlbuf
