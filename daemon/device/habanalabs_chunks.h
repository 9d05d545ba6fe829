// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_DEVICE_HABANALABS_CHUNKS_H_
#define HLBUF_DAEMON_DEVICE_HABANALABS_CHUNKS_H_

#include <cstdint>
#include <list>
#include <optional>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "daemon/core/window_allocator.h"
#include "daemon/device/habanalabs_memory.h"

namespace hlbuf {

// Memory of cards whose driver allocates it, in pages of hundreds of MiB (Gaudi2: 768 MiB, about
// 127 of them). A chunk is one ALLOC of whole such pages; windows are cut out of chunks.
//
// A chunk is mapped while windows of it are out. UNMAP fails while anything of it is exported,
// which makes it the second witness, after our own count, that everybody let go: a chunk that
// cannot be unmapped is withheld, with the window whose return would have emptied it, until it can.
//
// With isolation an empty chunk keeps its allocation: which memory ALLOC hands out the driver does
// not tell, so to free a chunk is to lose track of whose bytes are where. That happens when the
// card is closed. Unless the driver clears its memory then, all of it is suspected of bytes of
// every domain that had used it, and can be given to such a domain only if there was but one.
class HabanalabsChunks final : public HabanalabsMemory {
 public:
  explicit HabanalabsChunks(const CardMemory& memory) : memory_(memory) {}

  void OnOpened(const HabanalabsDriver& driver, bool cleared) override;
  void OnClosed() override;
  absl::StatusOr<Place> Take(std::uint64_t size_bytes, const Domain& domain) override;
  absl::Status GiveBack(std::uint64_t window) override;
  Usage usage() const override;

 private:
  struct Chunk {
    std::uint64_t handle;
    std::uint64_t size_bytes;
    std::optional<std::uint64_t> address;  // nullopt: not mapped
    WindowAllocator windows;
    std::uint64_t windows_out = 0;
    std::optional<std::uint64_t> withheld;  // the window that stays out though it was given back
  };
  using ChunkList = std::list<Chunk>;
  struct Out {
    ChunkList::iterator chunk;
    Window window;
  };

  absl::StatusOr<ChunkList::iterator> FindChunk(std::uint64_t size_bytes, const Domain& domain);
  ChunkList::iterator BestChunk(std::uint64_t size_bytes, const Domain& domain);
  absl::StatusOr<Place> TakeFrom(ChunkList::iterator chunk, std::uint64_t size_bytes,
                                 const Domain& domain);
  absl::StatusOr<ChunkList::iterator> AddChunk(std::uint64_t size_bytes, const Domain& domain);
  absl::Status FreeChunk(ChunkList::iterator chunk);
  absl::Status Empty(ChunkList::iterator chunk, std::uint64_t name);
  bool AskWitnessesAgain();
  bool Regroup(std::uint64_t size_bytes, const Domain& domain);
  absl::Status MayUseFreshMemory(const Domain& domain) const;
  absl::Status NoRoom(std::uint64_t size_bytes, const Domain& domain) const;
  std::uint64_t ChunkBytesFor(std::uint64_t size_bytes) const;

  const CardMemory memory_;
  const HabanalabsDriver* driver_ = nullptr;
  ChunkList chunks_;
  std::uint64_t chunk_bytes_ = 0;                // of all chunks
  absl::flat_hash_map<std::uint64_t, Out> out_;  // by name
  absl::flat_hash_set<Domain> suspected_;        // whose bytes a new chunk may have
  std::uint64_t last_window_ = 0;
  std::uint64_t last_window_before_ = 0;  // of earlier openings
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_DEVICE_HABANALABS_CHUNKS_H_
