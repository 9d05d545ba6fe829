// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_DEVICE_HABANALABS_CHUNKS_H_
#define HLBUF_DAEMON_DEVICE_HABANALABS_CHUNKS_H_

#include <cstdint>
#include <list>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "daemon/core/window_allocator.h"
#include "daemon/device/habanalabs_memory.h"
#include "daemon/device/window_history.h"

namespace hlbuf {

// Memory of cards whose driver allocates it, in pages of hundreds of MiB (Gaudi2: 768 MiB, about
// 127 of them). A chunk is one ALLOC of whole such pages; windows are cut out of chunks.
//
// A chunk is mapped while windows of it are out. UNMAP fails while anything of it is exported,
// which makes it the second witness, after our own count, that everybody let go: a chunk that
// cannot be unmapped is withheld, with the window whose return would have emptied it, until it can.
// It is the only witness of a blind window, which stays out with everybody else of its chunk.
//
// With isolation an empty chunk keeps its allocation: which memory ALLOC hands out the driver does
// not tell, so to free a chunk is to lose track of whose bytes are where. That happens when the
// card is closed. Unless the driver clears its memory then, all of it is suspected of bytes of
// every domain that had used it, and can be given to such a domain only if there was but one.
//
// The driver hands a handle out again once it is free, so a chunk is out of the notes before FREE.
// ALLOC, MAP and UNMAP are noted when they are done: a process that is killed before that leaves an
// allocation that nobody has the handle of, which shows in what the driver counts as ours, or a
// chunk that cannot be unmapped. Both come back when the card is closed.
class HabanalabsChunks final : public HabanalabsMemory {
 public:
  HabanalabsChunks(const CardMemory& memory, Notebook& notes) : memory_(memory), notes_(notes) {}

  void OnOpened(const HabanalabsDriver& driver, std::uint32_t opening, bool cleared) override;
  absl::Status OnResumed(const HabanalabsDriver& driver, const CardNotes& notes,
                         absl::Span<const Held> out) override;
  void Remember(const CardNotes& notes) override;
  void SuspectEverybody() override { (void)Suspect(Anybody()); }
  CardNotes Remembered() const override;
  void OnClosed() override;
  absl::StatusOr<Place> Take(std::uint64_t size_bytes, const Domain& domain) override;
  absl::Status GiveBack(std::uint64_t window) override;
  Usage usage() const override;

 private:
  struct Chunk {
    Chunk(const ChunkNote& noted, std::uint64_t page_bytes)
        : note(noted), windows(noted.size_bytes, page_bytes), history(noted.number) {}
    ChunkNote note;
    WindowAllocator windows;
    WindowHistory history;
    std::uint64_t windows_out = 0;
    std::vector<std::uint64_t> kept;  // windows that stay out though they were given back
    bool is_withheld = false;         // all of it: the driver did not unmap it
  };
  using ChunkList = std::list<Chunk>;
  struct Out {
    ChunkList::iterator chunk;
    Window window;
    bool is_blind = false;
    bool is_kept = false;
  };

  absl::StatusOr<ChunkList::iterator> FindChunk(std::uint64_t size_bytes, const Domain& domain);
  ChunkList::iterator BestChunk(std::uint64_t size_bytes, const Domain& domain);
  absl::StatusOr<Place> TakeFrom(ChunkList::iterator chunk, std::uint64_t size_bytes,
                                 const Domain& domain);
  absl::StatusOr<ChunkList::iterator> AddChunk(std::uint64_t size_bytes, const Domain& domain);
  void ReserveSuspected(Chunk& chunk, const Domain& domain);
  absl::Status FreeChunk(ChunkList::iterator chunk);
  absl::Status KeepOut(std::uint64_t name, Out& out);
  absl::Status Empty(ChunkList::iterator chunk);
  bool AskWitnessesAgain();
  bool Regroup(std::uint64_t size_bytes, const Domain& domain);
  absl::Status MayUseFreshMemory(const Domain& domain) const;
  absl::Status NoRoom(std::uint64_t size_bytes, const Domain& domain) const;
  std::uint64_t ChunkBytesFor(std::uint64_t size_bytes) const;
  std::uint64_t UnallocatedBytes() const;
  std::uint32_t FreshNumber();
  void LoadSuspects(const CardNotes& notes);
  bool Suspect(const Domain& domain);
  void Unsuspect(const Domain& domain);
  void UnsuspectAll();

  ChunkList::iterator Numbered(std::uint32_t number);
  absl::Status LoadChunks(const CardNotes& notes);
  absl::Status LoadBytes(const CardNotes& notes);
  absl::Status LoadWindow(const Held& held);
  absl::Status LoadBlind(const PlaceOnCard& place);
  void FindLostBytes();

  const CardMemory memory_;
  Notebook& notes_;
  const HabanalabsDriver* driver_ = nullptr;
  ChunkList chunks_;
  std::uint64_t chunk_bytes_ = 0;                // of all chunks
  absl::flat_hash_map<std::uint64_t, Out> out_;  // by name
  // Names that were given back before they came here: of an earlier process that could not say so.
  absl::flat_hash_set<std::uint64_t> back_already_;
  // Whose bytes a new chunk may have; and the number of the note of it.
  absl::flat_hash_map<Domain, std::uint32_t> suspected_;
  std::uint64_t lost_bytes_ = 0;
  std::uint32_t opening_ = 0;
  std::uint32_t last_number_ = 0;
  std::uint32_t last_suspect_ = 0;
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_DEVICE_HABANALABS_CHUNKS_H_
