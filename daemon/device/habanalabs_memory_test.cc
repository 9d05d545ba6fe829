// SPDX-License-Identifier: Apache-2.0
// Chunks and addresses, without descriptors: whose bytes may be where.
#include "daemon/device/habanalabs_memory.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "daemon/core/error.h"
#include "daemon/device/fake_habanalabs.h"
#include "daemon/device/recorded_notes.h"

namespace hlbuf {
namespace {

constexpr std::uint64_t kPage = FakeHabanalabsCard::kPage;
constexpr std::uint64_t kDriverPage = FakeHabanalabsCard::kDriverPage;
const Domain kAlice{.uid = 1000, .container = ""};
const Domain kBob{.uid = 1001, .container = ""};
using Calls = std::vector<std::string>;

class HabanalabsMemoryTest : public testing::Test {
 protected:
  void Start(const CardMemory& memory, const HlCard& like = {}) {
    card_ = &machine_.Add(like);
    OpenCard();
    shape_ = memory;
    memory_ = Make();
    memory_->OnOpened(*driver_, ++opening_, false);
    card_->log.clear();
  }
  void StartMapped(std::uint64_t driver_pages = 8, bool isolates = true, bool one_each = false) {
    Start({.total_bytes = driver_pages * kDriverPage,
           .driver_page_bytes = kDriverPage,
           .one_window_each = one_each,
           .isolates = isolates});
  }
  void StartPhysical(bool isolates = true) {
    Start({.base = 0x20000000,
           .total_bytes = 8 * kDriverPage,
           .driver_page_bytes = kPage,
           .isolates = isolates},
          {.type = "GAUDI"});
  }
  HabanalabsMemory::Place Take(std::uint64_t size_bytes, const Domain& domain) {
    const auto place = memory_->Take(size_bytes, domain);
    EXPECT_TRUE(place.ok()) << place.status();
    return place.ok() ? *place : HabanalabsMemory::Place();
  }
  std::string Refusal(std::uint64_t size_bytes, const Domain& domain) {
    const absl::Status refused = memory_->Take(size_bytes, domain).status();
    EXPECT_EQ(ErrorCodeOf(refused), ErrorCode::kNoMemory) << refused;
    return std::string(refused.message());
  }
  void OpenCard() {
    const std::string path = machine_.roots().dev + "/accel/accel0";
    auto driver = HabanalabsDriver::OnNode(machine_, machine_.Open(path, O_RDWR), path);
    ASSERT_TRUE(driver.ok()) << driver.status();
    driver_.emplace(*std::move(driver));
  }
  void Reopen(bool cleared) {
    memory_->OnClosed();
    driver_.reset();
    OpenCard();
    memory_->OnOpened(*driver_, ++opening_, cleared);
  }
  std::unique_ptr<HabanalabsMemory> Make() {
    return card_->type == "GAUDI" ? MakePhysicalMemory(shape_, notes_)
                                  : MakeMappedMemory(shape_, notes_);
  }
  FakeHabanalabs machine_;
  FakeHabanalabsCard* card_ = nullptr;
  std::optional<HabanalabsDriver> driver_;
  RecordedNotes notes_;
  CardMemory shape_;
  std::uint32_t opening_ = 0;
  std::unique_ptr<HabanalabsMemory> memory_;
};

TEST_F(HabanalabsMemoryTest, AllocatesAndMapsAChunkWhenTheFirstWindowOfItIsWanted) {
  StartMapped();
  const auto first = Take(kPage, kAlice);
  EXPECT_EQ(card_->log, (Calls{"ALLOC", "MAP"}));
  const auto second = Take(3 * kPage, kBob);
  EXPECT_EQ(card_->log, (Calls{"ALLOC", "MAP"}));
  EXPECT_EQ(second.address, first.address);
  EXPECT_EQ(first.offset, 0u);
  EXPECT_EQ(second.offset, kPage);
  EXPECT_NE(first.window, second.window);
  EXPECT_EQ(memory_->usage().out_bytes, 4 * kPage);
}

TEST_F(HabanalabsMemoryTest, TakesAnotherChunkWhenOneIsFull) {
  StartMapped();
  const auto first = Take(kDriverPage, kAlice);
  const auto second = Take(kPage, kAlice);
  EXPECT_NE(first.address, second.address);
  EXPECT_EQ(card_->log, (Calls{"ALLOC", "MAP", "ALLOC", "MAP"}));
}

TEST_F(HabanalabsMemoryTest, MakesAChunkOfSeveralDriverPagesForALargeWindow) {
  StartMapped();
  EXPECT_EQ(Take(3 * kDriverPage - kPage, kAlice).offset, 0u);
  EXPECT_EQ(driver_->DramUsage()->dram_free_mem, 5 * kDriverPage);
  EXPECT_EQ(Take(kPage, kAlice).offset, 3 * kDriverPage - kPage);
}

TEST_F(HabanalabsMemoryTest, UnmapsAChunkWhenItsLastWindowComesBack) {
  StartMapped();
  const auto first = Take(kPage, kAlice);
  const auto second = Take(kPage, kAlice);
  EXPECT_TRUE(memory_->GiveBack(first.window).ok());
  EXPECT_EQ(card_->log, (Calls{"ALLOC", "MAP"}));
  EXPECT_TRUE(memory_->GiveBack(second.window).ok());
  EXPECT_EQ(card_->log, (Calls{"ALLOC", "MAP", "UNMAP"}));
  EXPECT_EQ(memory_->usage().reserved_bytes, 2 * kPage);
}

TEST_F(HabanalabsMemoryTest, MapsAnEmptyChunkAgainRatherThanAllocateAnother) {
  StartMapped();
  EXPECT_TRUE(memory_->GiveBack(Take(kPage, kAlice).window).ok());
  Take(kPage, kAlice);
  EXPECT_EQ(card_->log, (Calls{"ALLOC", "MAP", "UNMAP", "MAP"}));
}

TEST_F(HabanalabsMemoryTest, FreesAnEmptyChunkWhereNobodyCaresWhoseBytesItHas) {
  StartMapped(8, /*isolates=*/false);
  EXPECT_TRUE(memory_->GiveBack(Take(kPage, kAlice).window).ok());
  EXPECT_EQ(card_->log, (Calls{"ALLOC", "MAP", "UNMAP", "FREE"}));
  EXPECT_EQ(memory_->usage().reserved_bytes, 0u);
  EXPECT_EQ(driver_->DramUsage()->dram_free_mem, 8 * kDriverPage);
  Take(8 * kDriverPage, kBob);
}

TEST_F(HabanalabsMemoryTest, WithholdsAChunkThatTheDriverSaysIsStillExported) {
  StartMapped(1);
  const auto place = Take(kPage, kAlice);
  auto kept = driver_->Export(place.address, kPage, place.offset);
  ASSERT_TRUE(kept.ok());
  const absl::Status refused = memory_->GiveBack(place.window);
  EXPECT_EQ(ErrorCodeOf(refused), ErrorCode::kDeviceError);
  EXPECT_TRUE(absl::StrContains(refused.message(), "still exported")) << refused;
  EXPECT_TRUE(absl::StrContains(refused.message(), "1 MiB are withheld")) << refused;
  EXPECT_EQ(memory_->usage().withheld_bytes, kDriverPage);
  EXPECT_TRUE(absl::StrContains(Refusal(kPage, kAlice), "1 MiB are withheld"));

  kept->Reset();
  EXPECT_EQ(Take(kPage, kAlice).offset, 0u);
  EXPECT_EQ(memory_->usage().withheld_bytes, 0u);
}

TEST_F(HabanalabsMemoryTest, FreesAWithheldChunkLaterWhereNothingIsIsolated) {
  StartMapped(1, /*isolates=*/false);
  const auto place = Take(kPage, kAlice);
  card_->Fail(HlCall::kUnmap, EINVAL);
  EXPECT_FALSE(memory_->GiveBack(place.window).ok());
  Take(kDriverPage, kBob);
  EXPECT_EQ(card_->log, (Calls{"ALLOC", "MAP", "UNMAP", "UNMAP", "FREE", "ALLOC", "MAP"}));
}

TEST_F(HabanalabsMemoryTest, GivesNobodyAnothersBytes) {
  StartMapped(1);
  EXPECT_TRUE(memory_->GiveBack(Take(kDriverPage / 2, kAlice).window).ok());
  EXPECT_EQ(Take(kDriverPage / 2, kBob).offset, kDriverPage / 2);
  const std::string refusal = Refusal(kPage, kBob);
  EXPECT_TRUE(absl::StrContains(refusal, "512 KiB are reserved to other domains")) << refusal;
  EXPECT_TRUE(absl::StrContains(refusal, "memory_scrub=1")) << refusal;
  EXPECT_EQ(Take(kDriverPage / 2, kAlice).offset, 0u);
}

TEST_F(HabanalabsMemoryTest, SuspectsAllFreeMemoryOfTheBytesThatWereThereBeforeItWasClosed) {
  StartMapped();
  const auto place = Take(kPage, kAlice);
  Reopen(/*cleared=*/false);
  EXPECT_TRUE(memory_->GiveBack(place.window).ok());  // of what is gone
  const std::string refusal = Refusal(kPage, kBob);
  EXPECT_TRUE(absl::StrContains(refusal, "may have bytes of other domains")) << refusal;
  EXPECT_TRUE(absl::StrContains(refusal, "isolation = \"none\"")) << refusal;
  EXPECT_EQ(memory_->usage().reserved_bytes, 8 * kDriverPage);
  Take(kPage, kAlice);
  EXPECT_EQ(memory_->usage().reserved_bytes, 8 * kDriverPage - kPage);
  Refusal(kPage, kBob);
}

TEST_F(HabanalabsMemoryTest, GivesSuspectedMemoryToNobodyWhenSeveralHadUsedIt) {
  StartMapped();
  Take(kPage, kAlice);
  Take(kPage, kBob);
  Reopen(/*cleared=*/false);
  Refusal(kPage, kAlice);
  Refusal(kPage, kBob);
  Reopen(/*cleared=*/false);
  Refusal(kPage, kAlice);
  Reopen(/*cleared=*/true);
  Take(kPage, kAlice);
  Take(kPage, kBob);
}

TEST_F(HabanalabsMemoryTest, ForgetsWhatItWasAskedToForgetWhenMemoryWasCleared) {
  StartMapped();
  Take(kPage, kAlice);
  Reopen(/*cleared=*/true);
  Take(8 * kDriverPage, kBob);
}

TEST_F(HabanalabsMemoryTest, SuspectsNothingWithoutIsolation) {
  StartMapped(8, /*isolates=*/false);
  Take(kPage, kAlice);
  Take(kPage, kBob);
  Reopen(/*cleared=*/false);
  Take(8 * kDriverPage, kBob);
}

TEST_F(HabanalabsMemoryTest, MakesOneLargePieceOfADomainsOwnSmallOnes) {
  StartMapped(4);
  std::vector<HabanalabsMemory::Place> small;
  for (int i = 0; i < 4; ++i) small.push_back(Take(kDriverPage, kAlice));
  for (const auto& place : small) EXPECT_TRUE(memory_->GiveBack(place.window).ok());
  Refusal(2 * kDriverPage, kBob);
  Take(2 * kDriverPage, kAlice);
  // Two pages stay as they were, and nothing is left that could be suspected.
  Take(kDriverPage, kAlice);
  Take(kDriverPage, kAlice);
}

TEST_F(HabanalabsMemoryTest, SuspectsWhatIsLeftOverWhenItHasRegrouped) {
  StartMapped(5);
  card_->driver_pages = 5;
  const auto first = Take(2 * kDriverPage, kAlice);
  const auto second = Take(2 * kDriverPage, kAlice);
  for (const auto& place : {first, second}) EXPECT_TRUE(memory_->GiveBack(place.window).ok());
  Take(4 * kDriverPage, kAlice);
  EXPECT_TRUE(absl::StrContains(Refusal(kPage, kBob), "may have bytes of other domains"));
  Take(kPage, kAlice);
}

TEST_F(HabanalabsMemoryTest, NeverRegroupsWhatHasBytesOfOthers) {
  StartMapped(2);
  const auto a = Take(kPage, kAlice);
  const auto b = Take(kPage, kBob);
  const auto c = Take(kDriverPage, kAlice);
  for (const auto& place : {a, b, c}) EXPECT_TRUE(memory_->GiveBack(place.window).ok());
  Refusal(2 * kDriverPage, kAlice);
}

TEST_F(HabanalabsMemoryTest, SaysWhenTheCardItselfHasNoPageLeft) {
  StartMapped(9);  // the card has 8
  Take(8 * kDriverPage, kAlice);
  EXPECT_TRUE(absl::StrContains(Refusal(kPage, kAlice), "no room for 4 KiB: of 9 MiB, 8 MiB are"));
}

TEST_F(HabanalabsMemoryTest, StaysBelowItsBound) {
  StartMapped(2);
  Take(2 * kDriverPage, kAlice);
  Refusal(kPage, kAlice);
  EXPECT_EQ(card_->log, (Calls{"ALLOC", "MAP"}));
}

TEST_F(HabanalabsMemoryTest, KeepsTheDriversWordsWhenThereSeemsToBeRoom) {
  StartMapped(2);
  card_->Fail(HlCall::kAlloc, ENOMEM);
  const absl::Status refusal = memory_->Take(kPage, kAlice).status();
  EXPECT_EQ(ErrorCodeOf(refusal), ErrorCode::kNoMemory);
  EXPECT_TRUE(absl::StrContains(refusal.message(), "(ENOMEM)")) << refusal;
}

TEST_F(HabanalabsMemoryTest, GivesTheAllocationBackThatItCannotMap) {
  StartMapped(1);
  card_->Fail(HlCall::kMap, ENOMEM);
  EXPECT_EQ(ErrorCodeOf(memory_->Take(kPage, kAlice).status()), ErrorCode::kNoMemory);
  EXPECT_EQ(card_->log, (Calls{"ALLOC", "MAP", "FREE"}));
  Take(kPage, kBob);
}

TEST_F(HabanalabsMemoryTest, GivesTheAllocationBackThatItCannotMapWhereNothingIsIsolated) {
  StartMapped(1, /*isolates=*/false);
  EXPECT_TRUE(memory_->GiveBack(Take(kPage, kAlice).window).ok());
  card_->log.clear();
  card_->Fail(HlCall::kMap, ENOMEM);
  EXPECT_EQ(ErrorCodeOf(memory_->Take(kPage, kAlice).status()), ErrorCode::kNoMemory);
  EXPECT_EQ(card_->log, (Calls{"ALLOC", "MAP", "FREE"}));
}

TEST_F(HabanalabsMemoryTest, KeepsTheAllocationThatItCanNeitherMapNorFreeForLater) {
  StartMapped(1);
  card_->Fail(HlCall::kMap, ENOMEM, 2);
  card_->Fail(HlCall::kFree, EBUSY, 2);
  EXPECT_EQ(ErrorCodeOf(memory_->Take(kPage, kAlice).status()), ErrorCode::kNoMemory);
  Take(kPage, kBob);
  EXPECT_EQ(card_->log, (Calls{"ALLOC", "MAP", "FREE", "FREE", "MAP", "MAP"}));
}

TEST_F(HabanalabsMemoryTest, SaysThatAnEmptyChunkCouldNotBeFreedAndUsesItAgain) {
  StartMapped(1, /*isolates=*/false);
  const auto place = Take(kPage, kAlice);
  card_->Fail(HlCall::kFree, EBUSY);
  EXPECT_EQ(ErrorCodeOf(memory_->GiveBack(place.window)), ErrorCode::kDeviceUnavailable);
  Take(kDriverPage, kBob);
}

TEST_F(HabanalabsMemoryTest, PassesOnThatTheCardIsAway) {
  StartMapped();
  card_->status = hl::kInReset;
  EXPECT_EQ(ErrorCodeOf(memory_->Take(kPage, kAlice).status()), ErrorCode::kDeviceUnavailable);
}

TEST_F(HabanalabsMemoryTest, GivesEachWindowAnAllocationOfItsOwnBefore67) {
  StartMapped(3, /*isolates=*/true, /*one_each=*/true);
  const auto first = Take(kPage, kAlice);
  const auto second = Take(kPage, kAlice);
  EXPECT_NE(first.address, second.address);
  EXPECT_EQ(first.offset, 0u);
  EXPECT_EQ(second.offset, 0u);
  EXPECT_TRUE(memory_->GiveBack(first.window).ok());
  EXPECT_EQ(Take(2 * kPage, kAlice).offset, 0u);
  Take(kPage, kBob);
  Refusal(kPage, kBob);
  EXPECT_EQ(card_->log, (Calls{"ALLOC", "MAP", "ALLOC", "MAP", "UNMAP", "MAP", "ALLOC", "MAP"}));
}

TEST_F(HabanalabsMemoryTest, TakesBackOnlyWhatIsOut) {
  StartMapped();
  const auto place = Take(kPage, kAlice);
  EXPECT_TRUE(memory_->GiveBack(place.window).ok());
  EXPECT_EQ(ErrorCodeOf(memory_->GiveBack(place.window)), ErrorCode::kDeviceError);
  EXPECT_EQ(ErrorCodeOf(memory_->GiveBack(99)), ErrorCode::kDeviceError);
}

TEST_F(HabanalabsMemoryTest, CutsPhysicalMemoryByItselfWithoutAskingTheDriver) {
  StartPhysical();
  const auto first = Take(kPage, kAlice);
  const auto second = Take(kPage, kBob);
  EXPECT_EQ(first.address, 0x20000000u);
  EXPECT_EQ(second.address, 0x20000000u + kPage);
  EXPECT_EQ(second.offset, 0u);
  EXPECT_TRUE(memory_->GiveBack(first.window).ok());
  EXPECT_EQ(ErrorCodeOf(memory_->GiveBack(first.window)), ErrorCode::kDeviceError);
  EXPECT_TRUE(card_->log.empty());
}

TEST_F(HabanalabsMemoryTest, KnowsTheHistoryOfEachPhysicalAddressOverResets) {
  StartPhysical();
  const auto place = Take(4 * kDriverPage, kAlice);
  EXPECT_TRUE(memory_->GiveBack(Take(4 * kDriverPage, kBob).window).ok());
  Reopen(/*cleared=*/false);
  EXPECT_TRUE(memory_->GiveBack(place.window).ok());
  EXPECT_EQ(memory_->usage().reserved_bytes, 8 * kDriverPage);
  EXPECT_TRUE(absl::StrContains(Refusal(5 * kDriverPage, kAlice), "4 MiB are reserved to other"));
  EXPECT_EQ(Take(kPage, kAlice).address, 0x20000000u);
  EXPECT_EQ(Take(kPage, kBob).address, 0x20000000u + 4 * kDriverPage);
  Reopen(/*cleared=*/true);
  Take(8 * kDriverPage, kBob);
}

TEST_F(HabanalabsMemoryTest, SharesPhysicalMemoryWithoutIsolation) {
  StartPhysical(/*isolates=*/false);
  EXPECT_TRUE(memory_->GiveBack(Take(8 * kDriverPage, kAlice).window).ok());
  EXPECT_EQ(memory_->usage().reserved_bytes, 0u) << "for nobody in particular";
  Take(8 * kDriverPage, kBob);
}

}  // namespace
}  // namespace hlbuf
