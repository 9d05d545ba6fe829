// SPDX-License-Identifier: Apache-2.0
// Any bytes as the journal of an earlier process: it is refused, or a broker goes on from it, and
// comes to its end with nothing left.
//
// An input is a journal whose hashes need not be right: they are made so, or nothing but refusals
// would ever be found.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "daemon/core/broker.h"
#include "daemon/persist/journal_reader.h"
#include "tests/support/fake_backend.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_observer.h"

namespace {

using hlbuf::journal::Header;
using hlbuf::journal::Slot;

constexpr std::size_t kSlotsMax = 64;

void Check(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "journal_fuzz: not so: %s\n", what);
  std::abort();
}

// Whole slots behind a good header, each with a sequence of its own and the hash that it needs.
std::vector<std::uint8_t> Mended(const std::uint8_t* bytes, std::size_t size) {
  const std::size_t slots = std::min(kSlotsMax, size / sizeof(Slot) + 1);
  std::vector<std::uint8_t> file(hlbuf::journal::kHeaderBytes + slots * sizeof(Slot));
  Header header = {.magic = hlbuf::journal::kMagic,
                   .header_bytes = hlbuf::journal::kHeaderBytes,
                   .slot_bytes = hlbuf::journal::kSlotBytes};
  header.hash = HashOf(header);
  std::memcpy(file.data(), &header, sizeof(header));
  for (std::size_t i = 0; i < slots && i * sizeof(Slot) < size; ++i) {
    Slot slot = {};
    std::memcpy(&slot, bytes + i * sizeof(Slot), std::min(sizeof(Slot), size - i * sizeof(Slot)));
    if (slot.sequence == 0) continue;
    slot.sequence = i + 1;
    slot.bytes = std::min(slot.bytes, hlbuf::journal::kContentBytesMax);
    slot.hash = HashOf(slot, slot.sequence);
    std::memcpy(file.data() + hlbuf::journal::kHeaderBytes + i * sizeof(Slot), &slot, sizeof(slot));
  }
  return file;
}

hlbuf::QuotaLimits SomeLimits() {
  hlbuf::Amounts most;
  most.fill(1'000);
  return {.service = most, .uid = most, .domain = most};
}

void GoOn(hlbuf::Kept kept) {
  hlbuf::FakeClock clock;
  hlbuf::FakeObserver observer;
  observer.remember = false;
  hlbuf::Broker broker({.limits = SomeLimits(), .first_id = std::uint64_t{1} << 40},
                       hlbuf::Policy({}, {.clients_gid = 900}), clock, observer);
  auto backend = std::make_unique<hlbuf::FakeBackend>();
  hlbuf::FakeBackend& device = *backend;
  std::vector<hlbuf::NewDevice> devices;
  devices.push_back({.name = "fake0", .backend = std::move(backend)});
  broker.Restore(std::move(kept), std::move(devices));
  // Deadlines that nobody would live to see stay.
  const absl::Time end = clock.Now() + absl::Minutes(10);
  for (device.Run(); broker.NextDeadline() <= end; device.Run()) {
    clock.AdvanceTo(broker.NextDeadline());
    broker.RunDeadlines();
  }
  Check(broker.ledger().sessions.empty(), "nobody came back, so no session is left");
  Check(broker.ledger().leases.empty(), "no lease outlives its session");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  const std::vector<std::uint8_t> file = Mended(bytes, size);
  hlbuf::UniqueFd memory(::memfd_create("journal", MFD_CLOEXEC));
  Check(::write(memory.get(), file.data(), file.size()) == static_cast<ssize_t>(file.size()),
        "there is memory");
  const auto journal = hlbuf::Journal::Adopt(std::move(memory), {}, "");
  if (!journal.ok()) return 0;
  absl::StatusOr<hlbuf::ReadJournal> read = hlbuf::Read(**journal);
  if (read.ok()) GoOn(std::move(read->kept));
  return 0;
}
