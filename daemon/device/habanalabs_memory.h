// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_DEVICE_HABANALABS_MEMORY_H_
#define HLBUF_DAEMON_DEVICE_HABANALABS_MEMORY_H_

#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "daemon/core/peer.h"
#include "daemon/device/card_memory.h"
#include "daemon/device/habanalabs_driver.h"
#include "daemon/device/habanalabs_notes.h"
#include "daemon/device/notebook.h"

namespace hlbuf {

// What of a card's memory is given out, and to which domain it was before: the driver does not
// clear memory, so that history ends only with memory_scrub, and goes on over resets otherwise.
//
// Everything that the next process has to know of that is noted as it changes. Worker thread.
class HabanalabsMemory {
 public:
  // A range that can be exported once.
  struct Place {
    std::uint64_t window = 0;   // its name, of no other range: a WindowName
    std::uint64_t address = 0;  // as EXPORT_DMABUF_FD takes it, with the offset
    std::uint64_t offset = 0;
  };
  struct Usage {
    std::uint64_t out_bytes = 0;
    // Free, but for one domain each, or for none, since bytes of others are suspected there.
    std::uint64_t reserved_bytes = 0;
    std::uint64_t withheld_bytes = 0;  // free by our count, exported by the driver's, or blind
    std::uint64_t lost_bytes = 0;      // the driver counts them as ours, but nobody has a handle
  };
  // A window that was out when an earlier process ended.
  struct Held {
    std::uint64_t window = 0;
    std::uint64_t size_bytes = 0;
    Domain domain;
    // Its descriptor is lost here, though others may have it: no count will ever tell.
    bool is_blind = false;
    bool has_fd = true;
  };
  // Has bytes of everybody, for all that is known: it is no peer's.
  static const Domain& Anybody();

  virtual ~HabanalabsMemory() = default;

  // The card was opened for the `opening`th time. `cleared`: the driver has cleared its memory
  // since OnClosed().
  virtual void OnOpened(const HabanalabsDriver& driver, std::uint32_t opening, bool cleared) = 0;
  // Instead of the first OnOpened(): an earlier process had it open, and left `notes` and what was
  // out then. A window that came back blind is not given out before the driver has shown that
  // nobody has it, or the card was closed.
  // DATA_LOSS: they contradict each other. Then this can only be destroyed.
  virtual absl::Status OnResumed(const HabanalabsDriver& driver, const CardNotes& notes,
                                 absl::Span<const Held> out) = 0;
  // Before the first OnOpened(): whose bytes are where, of an earlier process or another cut of the
  // same memory.
  virtual void Remember(const CardNotes& notes) = 0;
  // Likewise, where that is not known any more.
  virtual void SuspectEverybody() = 0;
  // What of the notes holds over OnClosed().
  virtual CardNotes Remembered() const = 0;
  // Nothing on the card is left. Windows that are out are given back by that.
  virtual void OnClosed() = 0;

  // `size_bytes` are whole pages. Only between OnOpened() and OnClosed().
  //
  // Errors: NO_MEMORY (and why, where there seems to be enough), or the driver's
  virtual absl::StatusOr<Place> Take(std::uint64_t size_bytes, const Domain& domain) = 0;
  // No export of the window is left, as far as we know. An error tells why it stays out anyway.
  virtual absl::Status GiveBack(std::uint64_t window) = 0;
  virtual Usage usage() const = 0;
};

struct Shortage {
  std::uint64_t wanted_bytes = 0;
  std::uint64_t total_bytes = 0;
  std::uint64_t others_bytes = 0;   // reserved to other domains than the one that asks
  std::uint64_t largest_bytes = 0;  // that it could get
};
// NO_MEMORY, with what there is instead.
absl::Status NoRoomOnCard(const Shortage& shortage, const HabanalabsMemory::Usage& usage);

// Gaudi: the card has physical addresses, and no allocator.
std::unique_ptr<HabanalabsMemory> MakePhysicalMemory(const CardMemory& memory, Notebook& notes);
// Gaudi2: the driver allocates pages, and maps them.
std::unique_ptr<HabanalabsMemory> MakeMappedMemory(const CardMemory& memory, Notebook& notes);

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_DEVICE_HABANALABS_MEMORY_H_
