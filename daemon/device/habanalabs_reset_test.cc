// SPDX-License-Identifier: Apache-2.0
// HabanalabsExporter through resets: whose bytes are where afterwards, and what comes back.
#include <cerrno>
#include <random>

#include "absl/strings/match.h"
#include "daemon/device/test_habanalabs_rig.h"

namespace hlbuf {
namespace {

class HabanalabsResetTest : public HabanalabsExporterRig {
 protected:
  std::string Refusal() {
    const absl::Status reset = exporter_->Reset(Drill::kNone);
    EXPECT_EQ(ErrorCodeOf(reset), ErrorCode::kDeviceUnavailable) << reset;
    return std::string(reset.message());
  }
};

TEST_F(HabanalabsResetTest, ClosesTheCardAndLeavesItClosed) {
  StartOpen();
  Free(Export(kPage));
  ASSERT_TRUE(exporter_->Reset(Drill::kNone).ok());
  EXPECT_FALSE(card_->InUse());
  EXPECT_FALSE(AlarmIsReadable());
  EXPECT_TRUE(opener_->copies.empty());
  EXPECT_EQ(ErrorCodeOf(TryExport(kPage).status()), ErrorCode::kDeviceUnavailable);
  ASSERT_TRUE(exporter_->Open().ok());
  Export(kPage);
  EXPECT_EQ(card_->hard_resets, 3u);  // nobody asked the driver for one
}

TEST_F(HabanalabsResetTest, WaitsUntilTheCardWorksAgain) {
  StartOpen();
  card_->status = hl::kInReset;
  machine_.at_pause = {[] {}, [] {}, [&] { card_->status = hl::kInResetAfterDeviceRelease; }, [] {},
                       [&] {
                         card_->status = hl::kOperational;
                         ++card_->hard_resets;
                       }};
  ResetAndOpen();
  EXPECT_TRUE(machine_.at_pause.empty());
  EXPECT_FALSE(exporter_->CheckAlarm().has_value());
}

TEST_F(HabanalabsResetTest, NamesAHolderAsTheReasonWhyTheCardDoesNotComeBack) {
  StartOpen();
  const Allocation held = Export(kPage);
  const std::string refusal = Refusal();
  EXPECT_TRUE(absl::StrContains(refusal, "somebody holds a dma-buf")) << refusal;
  EXPECT_TRUE(absl::StrContains(refusal, "hl-bufctl holders")) << refusal;
  EXPECT_EQ(machine_.paused, HabanalabsLimits().reset);
}

TEST_F(HabanalabsResetTest, GoesOnAsSoonAsTheLastHolderLetsGo) {
  StartOpen();
  Allocation held = Export(kPage);
  machine_.at_pause = {[] {}, [&] { held.fd.Reset(); }};
  ResetAndOpen();
  EXPECT_TRUE(machine_.at_pause.empty());
  EXPECT_TRUE(exporter_->Free(std::move(held)).ok());  // of what is gone
}

TEST_F(HabanalabsResetTest, TakesBuffersBackWhileTheCardIsClosed) {
  StartOpen();
  Allocation held = Export(kPage);
  EXPECT_FALSE(exporter_->Reset(Drill::kNone).ok());
  Free(std::move(held));
  ResetAndOpen();
}

TEST_F(HabanalabsResetTest, GivesUpOnADisabledCardAndSaysTheWayOut) {
  StartOpen();
  card_->status = hl::kMalfunction;
  const std::string refusal = Refusal();
  EXPECT_TRUE(absl::StrContains(refusal, "the card is disabled")) << refusal;
  EXPECT_TRUE(absl::StrContains(refusal, "then write 1 to ")) << refusal;
  EXPECT_GE(machine_.paused, HabanalabsLimits().disabled);
  EXPECT_LT(machine_.paused, HabanalabsLimits().disabled + absl::Seconds(1));
  EXPECT_EQ(ErrorCodeOf(exporter_->Open()), ErrorCode::kDeviceUnavailable);
  card_->status = hl::kOperational;
  ResetAndOpen();
}

// The driver tries no more: whoever holds it would be waited for in vain.
TEST_F(HabanalabsResetTest, GivesUpAsSoonOnADisabledCardThatSomebodyHolds) {
  StartOpen();
  const Allocation held = Export(kPage);
  card_->status = hl::kMalfunction;
  const std::string refusal = Refusal();
  EXPECT_TRUE(absl::StrContains(refusal, "somebody holds a dma-buf of it, and it is disabled"))
      << refusal;
  EXPECT_TRUE(absl::StrContains(refusal, "then write 1 to ")) << refusal;
  EXPECT_LT(machine_.paused, HabanalabsLimits().disabled + absl::Seconds(1));
}

TEST_F(HabanalabsResetTest, EndsAtItsLimitWhenTheCardNeverComesBack) {
  StartOpen();
  card_->status = hl::kInReset;
  EXPECT_TRUE(absl::StrContains(Refusal(), "after 2m the card is in reset"));
}

TEST_F(HabanalabsResetTest, IsInterruptedByTheEndOfTheService) {
  StartOpen();
  card_->status = hl::kInReset;
  machine_.at_pause = {[&] { exporter_->Interrupt(); }};
  Refusal();
  EXPECT_LT(machine_.paused, absl::Seconds(1));
}

TEST_F(HabanalabsResetTest, LooksForTheCardAnewWhenItsControlNodeIsDead) {
  StartOpen();
  card_->Fail(HlCall::kInfo, ENODEV, 4);  // two of them when the alarm is looked for
  card_->Fail(HlCall::kOpenControl, EPERM);
  ResetAndOpen();
}

TEST_F(HabanalabsResetTest, CannotMakeARealCardStayAway) {
  StartOpen({}, {.drills = true});
  EXPECT_EQ(ErrorCodeOf(exporter_->Reset(Drill::kFails)), ErrorCode::kUnimplemented);
  EXPECT_TRUE(card_->InUse());
}

TEST_F(HabanalabsResetTest, AsksTheDriverForAHardResetWhereDrillsAreAllowed) {
  StartOpen({}, {.drills = true});
  EXPECT_TRUE(exporter_->traits().can_drill);
  ResetAndOpen();
  EXPECT_EQ(card_->hard_resets, 4u);
  EXPECT_FALSE(card_->opener_was_killed);
}

TEST_F(HabanalabsResetTest, AsksForNoHardResetWhileSomebodyHasTheCard) {
  StartOpen({}, {.drills = true});
  const Allocation held = Export(kPage);
  Refusal();
  EXPECT_EQ(card_->hard_resets, 3u);
  EXPECT_EQ(card_->status, hl::kOperational);
}

TEST_F(HabanalabsResetTest, AsksForNoHardResetWhenTheCardResetsByItself) {
  StartOpen({}, {.drills = true});
  card_->Raise(hl::kEventDeviceReset);
  ResetAndOpen();
  EXPECT_EQ(card_->hard_resets, 3u);
}

// A second one would kill the opener of the next epoch.
TEST_F(HabanalabsResetTest, AsksForNoHardResetBesideTheCardsOwnThoughALookIsMissed) {
  StartOpen({}, {.drills = true});
  for (const bool announced : {true, false}) {
    for (const int error : {ENODEV, EAGAIN}) {
      if (announced)
        card_->Raise(hl::kEventDeviceReset);
      else
        ++card_->hard_resets;
      EXPECT_TRUE(exporter_->CheckAlarm().has_value());
      const std::uint32_t before = card_->hard_resets;
      card_->Fail(HlCall::kInfo, error, 2);
      ResetAndOpen();
      EXPECT_EQ(card_->hard_resets, before) << (announced ? "announced " : "seen ") << error;
    }
  }
  ResetAndOpen();
  EXPECT_EQ(card_->hard_resets, 6u) << "the next one is a drill again";
}

TEST_F(HabanalabsResetTest, BringsADisabledCardBackWhereDrillsAreAllowed) {
  StartOpen({}, {.drills = true});
  card_->status = hl::kMalfunction;
  ResetAndOpen();
  EXPECT_EQ(card_->hard_resets, 4u);
}

TEST_F(HabanalabsResetTest, CannotDrillWhereItMayNotWriteToSysfs) {
  machine_.may_write = false;
  StartOpen({}, {.drills = true});
  EXPECT_FALSE(exporter_->traits().can_drill);
  ResetAndOpen();
  EXPECT_EQ(card_->hard_resets, 3u);
}

TEST_F(HabanalabsResetTest, RefusesACardThatIsAnotherThanBefore) {
  StartOpen();
  Free(Export(kPage));
  ASSERT_TRUE(exporter_->Reset(Drill::kNone).ok());
  card_->driver_pages = 4;
  const absl::Status opened = exporter_->Open();
  EXPECT_EQ(ErrorCodeOf(opened), ErrorCode::kDeviceError);
  EXPECT_TRUE(absl::StrContains(opened.message(), "restart the service")) << opened;
}

// Each of the following: what somebody finds in the memory that it gets.
class HabanalabsIsolationTest : public HabanalabsExporterRig {
 protected:
  std::string FoundLast() const { return card_->exports.back().found; }
};

TEST_F(HabanalabsIsolationTest, NeverShowsOneDomainsBytesToAnother) {
  StartOpen({.driver_pages = 2});
  Free(Export(kDriverPage, kAlice));
  Free(Export(kDriverPage, kBob));
  EXPECT_EQ(FoundLast(), "");
  EXPECT_EQ(exporter_->usage().reserved_bytes, 2 * kDriverPage);
  Free(Export(kDriverPage, kAlice));
  EXPECT_EQ(FoundLast(), "a");
  Free(Export(kDriverPage, kBob));
  EXPECT_EQ(FoundLast(), "b");
}

TEST_F(HabanalabsIsolationTest, RemembersOverAResetThatClearsNothing) {
  StartOpen();
  Free(Export(kPage, kAlice));
  ResetAndOpen();
  const absl::Status refused = TryExport(kPage, kBob).status();
  EXPECT_EQ(ErrorCodeOf(refused), ErrorCode::kNoMemory);
  EXPECT_TRUE(absl::StrContains(refused.message(), "memory_scrub=1")) << refused;
  Export(kPage, kAlice);
}

// The driver hands the same page to whoever asks first.
TEST_F(HabanalabsIsolationTest, GivesNothingUnclearedToTwoDomainsAfterAReset) {
  StartOpen();
  Free(Export(kDriverPage, kAlice));
  Free(Export(kDriverPage, kBob));
  card_->page_order_is_reversed = true;
  ResetAndOpen();
  EXPECT_EQ(ErrorCodeOf(TryExport(kPage, kBob).status()), ErrorCode::kNoMemory);
  EXPECT_EQ(ErrorCodeOf(TryExport(kPage, kAlice).status()), ErrorCode::kNoMemory);
}

TEST_F(HabanalabsIsolationTest, StartsAnewAfterAResetThatClears) {
  machine_.SetMemoryScrub(true);
  StartOpen();
  machine_.SetMemoryScrub(true);
  Free(Export(8 * kDriverPage, kAlice));
  ResetAndOpen();
  Export(8 * kDriverPage, kBob);
  EXPECT_EQ(FoundLast(), "");
}

TEST_F(HabanalabsIsolationTest, TrustsNoParameterThatWasSetTooLate) {
  StartOpen();
  Free(Export(kPage, kAlice));
  ASSERT_TRUE(exporter_->Reset(Drill::kNone).ok());
  machine_.SetMemoryScrub(true);
  ASSERT_TRUE(exporter_->Open().ok());
  EXPECT_EQ(ErrorCodeOf(TryExport(kPage, kBob).status()), ErrorCode::kNoMemory);
  ResetAndOpen();
  Export(kPage, kBob);
  EXPECT_EQ(FoundLast(), "");
}

TEST_F(HabanalabsIsolationTest, TrustsNoParameterThatWasTakenBack) {
  StartOpen();
  machine_.SetMemoryScrub(true);
  Free(Export(kPage, kAlice));
  ASSERT_TRUE(exporter_->Reset(Drill::kNone).ok());
  machine_.SetMemoryScrub(false);
  ASSERT_TRUE(exporter_->Open().ok());
  EXPECT_EQ(ErrorCodeOf(TryExport(kPage, kBob).status()), ErrorCode::kNoMemory);
}

TEST_F(HabanalabsIsolationTest, KnowsEachPhysicalAddressOverAReset) {
  StartOpen({.type = "GAUDI"});
  Free(Export(4 * kDriverPage, kAlice));
  Free(Export(4 * kDriverPage, kBob));
  ResetAndOpen();
  Allocation bobs = Export(4 * kDriverPage, kBob);
  EXPECT_EQ(FoundLast(), "b");
  EXPECT_EQ(ErrorCodeOf(TryExport(kPage, kBob).status()), ErrorCode::kNoMemory);
  Export(kPage, kAlice);
  EXPECT_EQ(FoundLast(), "a");
}

// Whatever is asked for in whatever order, with resets that clear and that do not.
class HabanalabsAnyHistory : public HabanalabsExporterRig,
                             public testing::WithParamInterface<HlCard> {
 protected:
  void Step() {
    switch (dice_() % 8) {
      case 0:
        if (dice_() % 8 == 0) Reset();
        break;
      case 1:
      case 2:
      case 3:
        if (out_.empty()) break;
        std::swap(out_[dice_() % out_.size()], out_.back());
        Free(std::move(out_.back()));
        out_.pop_back();
        break;
      default:
        ExportAnySize();
    }
  }
  std::size_t made() const { return made_; }

 private:
  void ExportAnySize() {
    const Domain& domain = dice_() % 3 == 0 ? kBob : kAlice;
    const std::uint64_t pages = std::uint64_t{1} << dice_() % 11;
    auto made = TryExport(pages * kPage, domain);
    if (!made.ok()) {
      EXPECT_EQ(ErrorCodeOf(made.status()), ErrorCode::kNoMemory) << made.status();
      return;
    }
    ++made_;
    const std::string& found = card_->exports.back().found;
    EXPECT_TRUE(found.empty() || found == (domain == kAlice ? "a" : "b")) << found;
    out_.push_back(*std::move(made));
  }
  void Reset() {
    out_.clear();
    machine_.SetMemoryScrub(dice_() % 2 == 0);
    card_->page_order_is_reversed = dice_() % 2 == 0;
    ResetAndOpen();
  }
  std::mt19937 dice_{1};
  std::vector<Allocation> out_;
  std::size_t made_ = 0;
};

TEST_P(HabanalabsAnyHistory, ShowsNobodyWhatAnotherLeft) {
  StartOpen(GetParam());
  for (int i = 0; i < 3000; ++i) Step();
  EXPECT_GT(made(), 300u);
}

INSTANTIATE_TEST_SUITE_P(Cards, HabanalabsAnyHistory,
                         testing::Values(HlCard{}, HlCard{.type = "GAUDI"}, HlCard{.legacy = true}),
                         [](const auto& card) {
                           return card.param.type + (card.param.legacy ? "_before_67" : "");
                         });

TEST_F(HabanalabsIsolationTest, StandsBackWhereItIsConfigured) {
  StartOpen({.driver_pages = 1}, {.isolation = "none"});
  Free(Export(kDriverPage, kAlice));
  Free(Export(kDriverPage, kBob));
  EXPECT_EQ(FoundLast(), "a");
  ResetAndOpen();
  Export(kDriverPage, kAlice);
  EXPECT_EQ(FoundLast(), "b");
}

}  // namespace
}  // namespace hlbuf
