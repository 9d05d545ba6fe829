// SPDX-License-Identifier: Apache-2.0
// What the next process of this service has to know of a card, as notes (core/backend.h). Each is
// small and of its own: a note takes the place of the earlier one about the same thing alone.
#ifndef HLBUF_DAEMON_DEVICE_HABANALABS_NOTES_H_
#define HLBUF_DAEMON_DEVICE_HABANALABS_NOTES_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "daemon/core/backend.h"
#include "daemon/core/window_allocator.h"
#include "daemon/device/card_memory.h"

namespace hlbuf {

// The card, and its last opening.
struct CardNote {
  bool is_open = false;
  // GET_EVENTS is about to be called, which forgets what it tells. Found by the next process, it
  // means that a reset may have been announced.
  bool reads_events = false;
  bool scrubs = false;        // the driver clears the card's memory when it is closed
  bool is_physical = false;   // Gaudi
  std::uint32_t opening = 0;  // its number, counted over all processes
  std::uint32_t resets = 0;   // RESET_COUNT then: which incarnation of the card this is about
  std::uint64_t events = 0;   // hl::Event bits that were read since
  absl::Duration quiet_at;    // since boot: when no reset was announced yet
  CardMemory memory;
  std::string opener_lost;  // what that means, if so; cut to 200 bytes

  friend bool operator==(const CardNote&, const CardNote&) = default;
};

// An allocation of the driver.
struct ChunkNote {
  std::uint32_t number = 0;
  std::uint64_t handle = 0;
  std::uint64_t size_bytes = 0;
  std::optional<std::uint64_t> address;  // nullopt: not mapped

  friend bool operator==(const ChunkNote&, const ChunkNote&) = default;
};

// A part of a chunk. On a Gaudi all memory is chunk 0.
struct PlaceOnCard {
  std::uint32_t chunk = 0;
  Window window;

  friend bool operator==(const PlaceOnCard&, const PlaceOnCard&) = default;
};

// Whose bytes are there, in use or free, until they were cleared.
struct BytesNote {
  PlaceOnCard place;
  Domain domain;

  friend bool operator==(const BytesNote&, const BytesNote&) = default;
};

// Whose bytes memory may have that the driver has now. `number` is the noter's own, and small.
struct SuspectNote {
  std::uint32_t number = 0;
  Domain domain;

  friend bool operator==(const SuspectNote&, const SuspectNote&) = default;
};

// All that was noted of one card.
struct CardNotes {
  std::optional<CardNote> card;
  std::vector<ChunkNote> chunks;
  std::vector<BytesNote> bytes;
  std::vector<PlaceOnCard> blind;  // nobody here has the descriptor any more; others may
  std::vector<SuspectNote> suspects;
};

DeviceNote NoteOf(const CardNote& card);
DeviceNote NoteOf(const ChunkNote& chunk);
DeviceNote NoteOf(const BytesNote& bytes);
DeviceNote BlindNote(const PlaceOnCard& place);
DeviceNote NoteOf(const SuspectNote& suspect);

DeviceNote ForgetChunk(std::uint32_t number);
DeviceNote ForgetBytes(std::uint32_t chunk, std::uint64_t offset);
DeviceNote ForgetBlind(const PlaceOnCard& place);
DeviceNote ForgetSuspect(std::uint32_t number);

// DATA_LOSS: something of it was not written by this version or one that it knows.
absl::StatusOr<CardNotes> ReadCardNotes(absl::Span<const DeviceNote> notes);

// The name of a window: a later opening's has another one, as has another place's.
struct WindowName {
  static constexpr std::uint32_t kOpeningMax = (1U << 20) - 1;
  static constexpr std::uint32_t kChunkMax = (1U << 18) - 1;
  std::uint32_t opening = 0;
  std::uint32_t chunk = 0;
  std::uint64_t offset = 0;  // below 256 GiB

  static WindowName Of(std::uint64_t number);
  std::uint64_t number() const;
  // Of a card that was closed since: the last opening was the `last`th. Openings begin with 1.
  bool IsBefore(std::uint32_t last, bool is_open) const {
    return opening > 0 && (opening < last || (opening == last && !is_open));
  }
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_DEVICE_HABANALABS_NOTES_H_
