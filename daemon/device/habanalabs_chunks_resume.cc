// SPDX-License-Identifier: Apache-2.0
// Chunks that an earlier process of this service has left; and whom to suspect after that.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "daemon/base/status_macros.h"
#include "daemon/device/habanalabs_chunks.h"

namespace hlbuf {
namespace {

absl::Status Contradiction(const std::string& what) {
  return absl::DataLossError(
      absl::StrCat("what was noted of the card's memory contradicts itself: ", what));
}

}  // namespace

absl::Status HabanalabsChunks::OnResumed(const HabanalabsDriver& driver, const CardNotes& notes,
                                         absl::Span<const Held> out) {
  driver_ = &driver;
  opening_ = notes.card->opening;
  LoadSuspects(notes);
  RETURN_IF_ERROR(LoadChunks(notes));
  RETURN_IF_ERROR(LoadBytes(notes));
  for (const Held& held : out) RETURN_IF_ERROR(LoadWindow(held));
  for (const PlaceOnCard& place : notes.blind) RETURN_IF_ERROR(LoadBlind(place));
  FindLostBytes();
  for (auto it = chunks_.begin(); it != chunks_.end();) {
    const auto chunk = it++;
    if (chunk->note.address && chunk->windows_out == chunk->kept.size()) (void)Empty(chunk);
  }
  return absl::OkStatus();
}

HabanalabsChunks::ChunkList::iterator HabanalabsChunks::Numbered(std::uint32_t number) {
  return std::find_if(chunks_.begin(), chunks_.end(),
                      [number](const Chunk& chunk) { return chunk.note.number == number; });
}

absl::Status HabanalabsChunks::LoadChunks(const CardNotes& notes) {
  for (const ChunkNote& note : notes.chunks) {
    const std::uint64_t size = note.size_bytes;
    if (size == 0 || size % memory_.driver_page_bytes != 0 || size > memory_.total_bytes ||
        Numbered(note.number) != chunks_.end())
      return Contradiction(absl::StrCat("chunk ", note.number));
    chunks_.emplace(chunks_.end(), note, memory_.page_bytes);
    chunk_bytes_ += size;
    last_number_ = std::max(last_number_, note.number);
  }
  return absl::OkStatus();
}

// Bytes of a chunk that is not there any more are those of a process that was killed while it
// forgot them, after it had noted whom to suspect.
absl::Status HabanalabsChunks::LoadBytes(const CardNotes& notes) {
  for (const auto& [place, domain] : notes.bytes) {
    const auto chunk = Numbered(place.chunk);
    if (chunk == chunks_.end()) {
      notes_.Write(ForgetBytes(place.chunk, place.window.offset));
    } else if (!chunk->history.Load(place.window, domain)) {
      return Contradiction(absl::StrCat("whose bytes are in chunk ", place.chunk));
    }
  }
  for (Chunk& chunk : chunks_) {
    for (const auto& [place, domain] : chunk.history.all()) {
      if (!chunk.windows.AllocateAt(place.window, domain))
        return Contradiction(absl::StrCat("whose bytes are in chunk ", place.chunk));
      (void)chunk.windows.Free(place.window.offset);
    }
  }
  return absl::OkStatus();
}

absl::Status HabanalabsChunks::LoadWindow(const Held& held) {
  const WindowName name = WindowName::Of(held.window);
  if (name.opening != opening_) return absl::OkStatus();  // of a card that was closed since
  const auto chunk = Numbered(name.chunk);
  if (chunk == chunks_.end() || !chunk->note.address) {
    if (held.has_fd) return Contradiction(absl::StrCat("window ", held.window, " has no chunk"));
    // Given back, and the chunk unmapped, by one that was killed before it forgot the buffer.
    back_already_.insert(held.window);
    return absl::OkStatus();
  }
  const Window window = {
      .offset = name.offset,
      .size_bytes = memory_.one_window_each ? chunk->note.size_bytes : held.size_bytes};
  const Domain user = memory_.isolates ? held.domain : Domain();
  if (!chunk->windows.AllocateAt(window, user))
    return Contradiction(absl::StrCat("window ", held.window, " is not its owner's alone"));
  chunk->history.Add(window, user, notes_);
  ++chunk->windows_out;
  out_.emplace(held.window, Out{.chunk = chunk, .window = window, .is_blind = held.is_blind});
  if (held.is_blind) notes_.Write(BlindNote({.chunk = name.chunk, .window = window}));
  return absl::OkStatus();
}

// Blind once, blind until the driver has shown that nobody has it, though its buffer was forgotten
// or its descriptor found.
absl::Status HabanalabsChunks::LoadBlind(const PlaceOnCard& place) {
  const WindowName name = {
      .opening = opening_, .chunk = place.chunk, .offset = place.window.offset};
  if (const auto known = out_.find(name.number()); known != out_.end()) {
    known->second.is_blind = true;
    return absl::OkStatus();
  }
  const auto chunk = Numbered(place.chunk);
  if (chunk == chunks_.end() || !chunk->note.address) {
    notes_.Write(ForgetBlind(place));  // left by one that was killed while it forgot all this
    return absl::OkStatus();
  }
  const Domain* const domain = chunk->history.DomainOf(place.window);
  if (domain == nullptr || !chunk->windows.AllocateAt(place.window, *domain))
    return Contradiction(absl::StrCat("a blind window in chunk ", place.chunk));
  ++chunk->windows_out;
  chunk->kept.push_back(name.number());
  out_.emplace(name.number(),
               Out{.chunk = chunk, .window = place.window, .is_blind = true, .is_kept = true});
  return absl::OkStatus();
}

// An allocation whose handle a killed process did not come to note.
void HabanalabsChunks::FindLostBytes() {
  const auto usage = driver_->DramUsage();
  if (usage.ok() && usage->ctx_dram_mem > chunk_bytes_)
    lost_bytes_ = usage->ctx_dram_mem - chunk_bytes_;
}

void HabanalabsChunks::Remember(const CardNotes& notes) {
  LoadSuspects(notes);
  for (const auto& [place, domain] : notes.bytes) {
    (void)Suspect(domain);
    notes_.Write(ForgetBytes(place.chunk, place.window.offset));
  }
  for (const ChunkNote& chunk : notes.chunks) notes_.Write(ForgetChunk(chunk.number));
  for (const PlaceOnCard& place : notes.blind) notes_.Write(ForgetBlind(place));
}

CardNotes HabanalabsChunks::Remembered() const {
  CardNotes notes;
  for (const auto& [domain, number] : suspected_)
    notes.suspects.push_back({.number = number, .domain = domain});
  return notes;
}

void HabanalabsChunks::LoadSuspects(const CardNotes& notes) {
  for (const auto& [number, domain] : notes.suspects) {
    suspected_.try_emplace(domain, number);
    last_suspect_ = std::max(last_suspect_, number);
  }
}

// Whether it was not suspected before.
bool HabanalabsChunks::Suspect(const Domain& domain) {
  const auto [it, is_new] = suspected_.try_emplace(domain, last_suspect_ + 1);
  if (!is_new) return false;
  notes_.Write(NoteOf(SuspectNote{.number = ++last_suspect_, .domain = domain}));
  return true;
}

void HabanalabsChunks::Unsuspect(const Domain& domain) {
  const auto it = suspected_.find(domain);
  if (it == suspected_.end()) return;
  notes_.Write(ForgetSuspect(it->second));
  suspected_.erase(it);
}

void HabanalabsChunks::UnsuspectAll() {
  for (const auto& [domain, number] : suspected_) notes_.Write(ForgetSuspect(number));
  suspected_.clear();
}

std::uint32_t HabanalabsChunks::FreshNumber() {
  do last_number_ = last_number_ % WindowName::kChunkMax + 1;
  while (Numbered(last_number_) != chunks_.end());
  return last_number_;
}

}  // namespace hlbuf
