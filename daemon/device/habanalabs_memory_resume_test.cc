// SPDX-License-Identifier: Apache-2.0
// Chunks and addresses that an earlier process has left: whose bytes may be where.
#include <fcntl.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "daemon/core/error.h"
#include "daemon/device/fake_habanalabs.h"
#include "daemon/device/habanalabs_memory.h"
#include "daemon/device/recorded_notes.h"

namespace hlbuf {
namespace {

constexpr std::uint64_t kPage = FakeHabanalabsCard::kPage;
constexpr std::uint64_t kDriverPage = FakeHabanalabsCard::kDriverPage;
const Domain kAlice{.uid = 1000, .container = ""};
const Domain kBob{.uid = 1001, .container = ""};
using Calls = std::vector<std::string>;
using Held = HabanalabsMemory::Held;

class HabanalabsMemoryResumeTest : public testing::Test {
 protected:
  void Start(const CardMemory& memory, const HlCard& like) {
    card_ = &machine_.Add(like);
    shape_ = memory;
    const std::string path = machine_.roots().dev + "/accel/accel0";
    auto driver = HabanalabsDriver::OnNode(machine_, machine_.Open(path, O_RDWR), path);
    ASSERT_TRUE(driver.ok()) << driver.status();
    driver_.emplace(*std::move(driver));
    memory_ = Make();
    memory_->OnOpened(*driver_, 1, false);
    NoteCard();
  }
  void StartMapped(std::uint64_t driver_pages = 8, bool isolates = true, bool one_each = false) {
    Start({.total_bytes = driver_pages * kDriverPage,
           .driver_page_bytes = kDriverPage,
           .one_window_each = one_each,
           .isolates = isolates},
          {});
  }
  void StartPhysical() {
    Start({.base = 0x20000000, .total_bytes = 8 * kDriverPage, .driver_page_bytes = kPage},
          {.type = "GAUDI"});
  }
  std::unique_ptr<HabanalabsMemory> Make() {
    return card_->type == "GAUDI" ? MakePhysicalMemory(shape_, notes_)
                                  : MakeMappedMemory(shape_, notes_);
  }
  void NoteCard() {
    notes_.Write(NoteOf(CardNote{.is_open = true, .opening = 1, .memory = shape_}));
  }
  HabanalabsMemory::Place Take(std::uint64_t size_bytes, const Domain& domain) {
    const auto place = memory_->Take(size_bytes, domain);
    EXPECT_TRUE(place.ok()) << place.status();
    return place.ok() ? *place : HabanalabsMemory::Place();
  }
  bool Refuses(std::uint64_t size_bytes, const Domain& domain) {
    return ErrorCodeOf(memory_->Take(size_bytes, domain).status()) == ErrorCode::kNoMemory;
  }
  // The process ends, and the next one comes.
  absl::Status TryRestart(const std::vector<Held>& out = {}) {
    memory_ = Make();
    card_->log.clear();
    const auto notes = ReadCardNotes(notes_.all());
    return notes.ok() ? memory_->OnResumed(*driver_, *notes, out) : notes.status();
  }
  void Restart(const std::vector<Held>& out = {}) {
    const absl::Status resumed = TryRestart(out);
    EXPECT_TRUE(resumed.ok()) << resumed;
  }
  static Held Out(const HabanalabsMemory::Place& place, std::uint64_t size_bytes,
                  const Domain& domain = kAlice) {
    return {.window = place.window, .size_bytes = size_bytes, .domain = domain};
  }
  static Held Blind(const HabanalabsMemory::Place& place, std::uint64_t size_bytes,
                    const Domain& domain = kAlice) {
    return {.window = place.window,
            .size_bytes = size_bytes,
            .domain = domain,
            .is_blind = true,
            .has_fd = false};
  }
  FakeHabanalabs machine_;
  FakeHabanalabsCard* card_ = nullptr;
  std::optional<HabanalabsDriver> driver_;
  RecordedNotes notes_;
  CardMemory shape_;
  std::unique_ptr<HabanalabsMemory> memory_;
};

TEST_F(HabanalabsMemoryResumeTest, GoesOnWithChunksAndWindowsWhereTheyAre) {
  StartMapped();
  const auto a = Take(2 * kPage, kAlice);
  const auto b = Take(kPage, kBob);
  Restart({Out(a, 2 * kPage), Out(b, kPage, kBob)});
  EXPECT_TRUE(card_->log.empty()) << "nothing is allocated, mapped or exported again";
  EXPECT_EQ(memory_->usage().out_bytes, 3 * kPage);
  const auto c = Take(kPage, kAlice);
  EXPECT_EQ(c.address, a.address);
  EXPECT_EQ(c.offset, 3 * kPage);
  EXPECT_TRUE(card_->log.empty());
  EXPECT_TRUE(memory_->GiveBack(a.window).ok());
  EXPECT_TRUE(memory_->GiveBack(b.window).ok());
  EXPECT_TRUE(memory_->GiveBack(c.window).ok());
  EXPECT_EQ(card_->log, Calls{"UNMAP"});
}

// Rule R5: uid 1 frees, the process dies, the window looks clean, uid 2 gets uid 1's bytes.
TEST_F(HabanalabsMemoryResumeTest, Scenario09_FreeWindowsForgetTheirDomain) {
  StartMapped(1);
  EXPECT_TRUE(memory_->GiveBack(Take(kDriverPage / 2, kAlice).window).ok());
  Restart();
  EXPECT_EQ(memory_->usage().reserved_bytes, kDriverPage / 2);
  EXPECT_EQ(Take(kDriverPage / 2, kBob).offset, kDriverPage / 2);
  EXPECT_TRUE(Refuses(kPage, kBob));
  EXPECT_EQ(Take(kPage, kAlice).offset, 0u);
}

// Killed before the buffer itself was written: what was noted with it is enough.
TEST_F(HabanalabsMemoryResumeTest, RemembersWhoseBytesAWindowHadThatNobodyWasTold) {
  StartMapped(1);
  Take(kPage, kAlice);
  Restart();
  EXPECT_EQ(card_->log, Calls{"UNMAP"}) << "nobody has anything of it";
  EXPECT_EQ(memory_->usage().reserved_bytes, kPage);
  EXPECT_EQ(Take(kPage, kBob).offset, kPage);
}

TEST_F(HabanalabsMemoryResumeTest, SuspectsAfterAResetWhomTheProcessBeforeHadGivenMemory) {
  StartMapped();
  const auto a = Take(kPage, kAlice);
  Restart({Out(a, kPage)});
  memory_->OnClosed();
  Restart();
  EXPECT_TRUE(Refuses(kPage, kBob));
  EXPECT_TRUE(memory_->Take(kPage, kAlice).ok());
}

TEST_F(HabanalabsMemoryResumeTest, NotesWhomItSuspectsBeforeItForgetsWhy) {
  StartMapped();
  Take(kPage, kAlice);
  Take(kPage, kBob);
  // Killed between any two writes: both are found, as bytes or as suspects.
  class Checked final : public Notebook {
   public:
    explicit Checked(RecordedNotes& to) : to_(to) {}
    void Write(DeviceNote note) override {
      to_.Write(std::move(note));
      const auto notes = ReadCardNotes(to_.all());
      ASSERT_TRUE(notes.ok());
      for (const Domain& domain : {kAlice, kBob}) {
        bool found = false;
        for (const auto& bytes : notes->bytes) found |= bytes.domain == domain;
        for (const auto& suspect : notes->suspects) found |= suspect.domain == domain;
        EXPECT_TRUE(found);
      }
    }
    RecordedNotes& to_;
  } checked(notes_);
  auto memory = MakeMappedMemory(shape_, checked);
  ASSERT_TRUE(memory->OnResumed(*driver_, *ReadCardNotes(notes_.all()), {}).ok());
  memory->OnClosed();
  EXPECT_EQ(notes_.notes.size(), 3u) << "the card and two suspects";
}

TEST_F(HabanalabsMemoryResumeTest, NotesAChunkOutBeforeItIsFreed) {
  StartMapped(8, /*isolates=*/false);
  const auto place = Take(kPage, kAlice);
  std::size_t chunks = 9;
  notes_.ahead = [&] {
    chunks = ReadCardNotes(notes_.all())->chunks.size();
    card_->Fail(HlCall::kFree, EBUSY);
  };
  EXPECT_FALSE(memory_->GiveBack(place.window).ok());
  EXPECT_EQ(chunks, 0u) << "its handle may be another allocation's at once";
  EXPECT_EQ(ReadCardNotes(notes_.all())->chunks.size(), 1u) << "it was not freed";
  notes_.ahead = nullptr;
  notes_.stops = true;
  Take(kPage, kAlice);
  EXPECT_EQ(card_->log.back(), "MAP");
}

TEST_F(HabanalabsMemoryResumeTest, FreesNothingWhileTheServiceEnds) {
  StartMapped(8, /*isolates=*/false);
  const auto place = Take(kPage, kAlice);
  notes_.stops = true;
  EXPECT_EQ(ErrorCodeOf(memory_->GiveBack(place.window)), ErrorCode::kDeviceUnavailable);
  EXPECT_EQ(card_->log.back(), "UNMAP");
}

// Rule R19.
TEST_F(HabanalabsMemoryResumeTest, SaysWhatTheDriverHasOfOursThatNobodyHasAHandleOf) {
  StartMapped();
  const auto place = Take(kPage, kAlice);
  ASSERT_TRUE(driver_->Alloc(2 * kDriverPage).ok());  // and killed
  Restart({Out(place, kPage)});
  EXPECT_EQ(memory_->usage().lost_bytes, 2 * kDriverPage);
  EXPECT_TRUE(Refuses(6 * kDriverPage, kAlice));
  Take(5 * kDriverPage, kAlice);
  memory_->OnClosed();
  EXPECT_EQ(memory_->usage().lost_bytes, 0u);
}

TEST_F(HabanalabsMemoryResumeTest, MapsAgainWhereAnEarlierMappingWasLost) {
  StartMapped(1);
  EXPECT_TRUE(memory_->GiveBack(Take(kPage, kAlice).window).ok());
  ASSERT_TRUE(driver_->Map(ReadCardNotes(notes_.all())->chunks[0].handle).ok());  // and killed
  Restart();
  Take(kPage, kAlice);
  EXPECT_EQ(card_->log, Calls{"MAP"});
}

TEST_F(HabanalabsMemoryResumeTest, WithholdsAChunkThatTheDriverDoesNotUnmapStill) {
  StartMapped(1);
  const auto place = Take(kPage, kAlice);
  auto kept = driver_->Export(place.address, kPage, place.offset);
  ASSERT_TRUE(kept.ok());
  EXPECT_FALSE(memory_->GiveBack(place.window).ok());
  Restart();
  EXPECT_EQ(memory_->usage().withheld_bytes, kDriverPage);
  EXPECT_TRUE(Refuses(kPage, kAlice));
  kept->Reset();
  EXPECT_EQ(Take(kPage, kAlice).offset, 0u);
}

// Killed between UNMAP and its note: nobody can tell that from a chunk that is exported.
TEST_F(HabanalabsMemoryResumeTest, WithholdsAChunkThatWasUnmappedAndNotSaidSoUntilItIsClosed) {
  StartMapped(1);
  const auto place = Take(kPage, kAlice);
  ASSERT_TRUE(driver_->Unmap(place.address).ok());
  Restart({Blind(place, kPage)});
  EXPECT_EQ(memory_->usage().withheld_bytes, 0u) << "its buffer was not given back yet";
  EXPECT_FALSE(memory_->GiveBack(place.window).ok());
  EXPECT_EQ(memory_->usage().withheld_bytes, kDriverPage);
  memory_->OnClosed();
  EXPECT_EQ(memory_->usage().withheld_bytes, 0u);
}

TEST_F(HabanalabsMemoryResumeTest, TakesAWindowForGivenBackWhoseChunkIsNotMapped) {
  StartMapped(1);
  const auto place = Take(kPage, kAlice);
  EXPECT_TRUE(memory_->GiveBack(place.window).ok());  // and killed before that was said
  Restart({Blind(place, kPage)});
  EXPECT_EQ(memory_->usage().out_bytes, 0u);
  EXPECT_TRUE(memory_->GiveBack(place.window).ok());
  EXPECT_FALSE(memory_->GiveBack(place.window).ok());
}

// Rules R1 and R2.
TEST_F(HabanalabsMemoryResumeTest, GivesABlindWindowOutWhenTheWholeChunkWasUnmapped) {
  StartMapped(1);
  const auto blind = Take(kPage, kAlice);
  const auto other = Take(kPage, kAlice);
  Restart({Blind(blind, kPage), Out(other, kPage)});
  const absl::Status refused = memory_->GiveBack(blind.window);
  EXPECT_TRUE(absl::StrContains(refused.message(), "lost in a restart")) << refused;
  EXPECT_TRUE(absl::StrContains(refused.message(), "4 KiB are withheld")) << refused;
  EXPECT_EQ(memory_->usage().withheld_bytes, kPage);
  EXPECT_EQ(Take(kPage, kAlice).offset, 2 * kPage);
  Restart({Out(other, kPage)});  // its buffer is forgotten, it is not
  EXPECT_EQ(memory_->usage().withheld_bytes, kPage);
  EXPECT_NE(Take(kPage, kAlice).offset, 0u);
  Restart({Out(other, kPage)});
  auto held = driver_->Export(blind.address, kPage, blind.offset);  // somebody had it
  EXPECT_FALSE(memory_->GiveBack(other.window).ok());
  EXPECT_TRUE(Refuses(kPage, kAlice));
  held->Reset();
  EXPECT_EQ(Take(kPage, kAlice).offset, 0u);
  EXPECT_TRUE(ReadCardNotes(notes_.all())->blind.empty());
}

TEST_F(HabanalabsMemoryResumeTest, FillsOtherChunksBeforeThatOfABlindWindow) {
  StartMapped(2);
  const auto blind = Take(kPage, kAlice);
  const auto kept = Take(kPage, kAlice);
  const auto freed = Take(kDriverPage - 2 * kPage, kAlice);
  const auto other = Take(kPage, kAlice);
  Restart({Blind(blind, kPage), Out(kept, kPage), Out(freed, kDriverPage - 2 * kPage),
           Out(other, kPage)});
  EXPECT_FALSE(memory_->GiveBack(blind.window).ok());
  EXPECT_TRUE(memory_->GiveBack(freed.window).ok());
  EXPECT_EQ(Take(kPage, kAlice).address, other.address);
}

TEST_F(HabanalabsMemoryResumeTest, KeepsAChunkForEachWindowBefore67) {
  StartMapped(3, /*isolates=*/true, /*one_each=*/true);
  const auto first = Take(kPage, kAlice);
  Restart({Out(first, kPage)});
  EXPECT_NE(Take(kPage, kAlice).address, first.address);
}

TEST_F(HabanalabsMemoryResumeTest, IgnoresWindowsOfEarlierOpenings) {
  StartMapped();
  const auto old = Take(kPage, kAlice);
  memory_->OnClosed();
  memory_->OnOpened(*driver_, 2, true);
  notes_.Write(NoteOf(CardNote{.is_open = true, .opening = 2, .memory = shape_}));
  Restart({Out(old, kPage)});
  EXPECT_EQ(memory_->usage().out_bytes, 0u);
  EXPECT_TRUE(memory_->GiveBack(old.window).ok());
}

TEST_F(HabanalabsMemoryResumeTest, RefusesNotesThatContradictEachOther) {
  StartMapped();
  const auto place = Take(kPage, kAlice);
  EXPECT_TRUE(absl::IsDataLoss(TryRestart({Out(place, kPage), Out(place, kPage)})));
  EXPECT_TRUE(absl::IsDataLoss(TryRestart({Out(place, kPage, kBob)})));
  EXPECT_TRUE(absl::IsDataLoss(TryRestart({Out(place, 2 * kDriverPage)})));
  const RecordedNotes good = notes_;
  const ChunkNote chunk = ReadCardNotes(good.all())->chunks[0];
  notes_.Write(ForgetChunk(chunk.number));
  EXPECT_TRUE(absl::IsDataLoss(TryRestart({Out(place, kPage)})));
  ChunkNote torn = chunk;
  torn.size_bytes = kPage;
  notes_ = good;
  notes_.Write(NoteOf(torn));
  EXPECT_TRUE(absl::IsDataLoss(TryRestart({Out(place, kPage)})));
}

TEST_F(HabanalabsMemoryResumeTest, KnowsTheHistoryOfEachPhysicalAddress) {
  StartPhysical();
  const auto a = Take(4 * kDriverPage, kAlice);
  EXPECT_TRUE(memory_->GiveBack(Take(2 * kDriverPage, kBob).window).ok());
  Restart({Out(a, 4 * kDriverPage)});
  EXPECT_EQ(memory_->usage().out_bytes, 4 * kDriverPage);
  EXPECT_EQ(memory_->usage().reserved_bytes, 2 * kDriverPage);
  EXPECT_EQ(Take(2 * kDriverPage, kAlice).address, 0x20000000 + 6 * kDriverPage);
  EXPECT_TRUE(Refuses(kPage, kAlice));
  EXPECT_EQ(Take(kPage, kBob).address, 0x20000000 + 4 * kDriverPage);
  EXPECT_TRUE(memory_->GiveBack(a.window).ok());
}

TEST_F(HabanalabsMemoryResumeTest, GivesABlindPhysicalWindowOutWhenTheCardWasClosed) {
  StartPhysical();
  const auto blind = Take(8 * kDriverPage - kPage, kAlice);
  Restart({Blind(blind, 8 * kDriverPage - kPage)});
  const absl::Status refused = memory_->GiveBack(blind.window);
  EXPECT_TRUE(absl::StrContains(refused.message(), "until the card was reset")) << refused;
  Restart();
  EXPECT_EQ(memory_->usage().withheld_bytes, 8 * kDriverPage - kPage);
  Take(kPage, kAlice);
  EXPECT_TRUE(Refuses(kPage, kAlice));
  memory_->OnClosed();
  memory_->OnOpened(*driver_, 2, false);
  EXPECT_EQ(memory_->usage().withheld_bytes, 0u);
  Take(8 * kDriverPage, kAlice);
}

TEST_F(HabanalabsMemoryResumeTest, SuspectsEverybodyWhereNothingIsKnown) {
  for (const bool physical : {false, true}) {
    FakeHabanalabs machine;
    RecordedNotes notes;
    CardMemory shape = {.total_bytes = 4 * kDriverPage,
                        .driver_page_bytes = physical ? kPage : kDriverPage};
    card_ = &machine.Add({.type = physical ? "GAUDI" : "GAUDI2"});
    const std::string path = machine.roots().dev + "/accel/accel0";
    auto driver = HabanalabsDriver::OnNode(machine, machine.Open(path, O_RDWR), path);
    ASSERT_TRUE(driver.ok());
    memory_ = physical ? MakePhysicalMemory(shape, notes) : MakeMappedMemory(shape, notes);
    memory_->SuspectEverybody();
    memory_->OnOpened(*driver, 1, false);
    EXPECT_TRUE(Refuses(kPage, kAlice));
    const CardNotes remembered = memory_->Remembered();
    memory_ = physical ? MakePhysicalMemory(shape, notes) : MakeMappedMemory(shape, notes);
    memory_->Remember(remembered);
    memory_->OnOpened(*driver, 2, false);
    EXPECT_TRUE(Refuses(kPage, kAlice));
    memory_->OnClosed();
    memory_->OnOpened(*driver, 3, /*cleared=*/true);
    Take(kPage, kAlice);
    memory_.reset();
  }
}

}  // namespace
}  // namespace hlbuf
