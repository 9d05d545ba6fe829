// SPDX-License-Identifier: Apache-2.0
// What an earlier process had of a card, and cannot be gone on with, or not yet.
#include <gtest/gtest.h>

#include <cerrno>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "daemon/device/test_habanalabs_resume_rig.h"

namespace hlbuf {
namespace {

using HabanalabsResumeLossTest = HabanalabsResumeRig;

TEST_F(HabanalabsResumeLossTest, NoticesThatTheCardWasReset) {
  StartOpen();
  Kept(kPage);
  Kill();
  ++card_->hard_resets;
  ExpectGone(Resume(), "RESET_COUNT is 4 after 3");
  EXPECT_FALSE(TryExport(kPage, kBob).ok()) << "the bytes are still there";
  EXPECT_TRUE(TryExport(kPage).ok());
}

TEST_F(HabanalabsResumeLossTest, NoticesThatItsKeeperWasKilled) {
  StartOpen();
  Kept(kPage);
  Kill();
  opener_->Die();
  ExpectGone(Resume(), "killed by SIGKILL");
  EXPECT_FALSE(TryExport(kPage, kBob).ok());
}

TEST_F(HabanalabsResumeLossTest, TrustsTheDriverToHaveClearedWhatItClears) {
  StartOpen();
  machine_.SetMemoryScrub(true);
  ResetAndOpen();
  Kept(kPage);
  Kill();
  opener_->Die();
  ExpectGone(Resume(), "");
  EXPECT_TRUE(TryExport(kPage, kBob).ok());
  EXPECT_EQ(card_->exports.back().found, "");
}

TEST_F(HabanalabsResumeLossTest, NeedsTheCardAndItsNotifier) {
  for (const std::uint64_t id : {HabanalabsCard::kKeptCard, HabanalabsCard::kKeptNotifier}) {
    SCOPED_TRACE(id);
    const std::string pci = id == HabanalabsCard::kKeptCard ? "0000:19:00.0" : "0000:1a:00.0";
    StartOpen({.pci = pci}, {.pci = pci});
    Kept(kPage);
    Kill();
    kept_.erase(id);
    ExpectGone(Resume(), "does not have the card any more");
    buffers_.clear();
    kept_.clear();
    notes_ = {};
  }
}

TEST_F(HabanalabsResumeLossTest, HasNothingOfACardThatWasClosed) {
  StartOpen();
  Free(Export(kPage));
  EXPECT_TRUE(exporter_->Reset(Drill::kNone).ok());
  Kill();
  ExpectGone(Resume(), "");
  EXPECT_FALSE(TryExport(kPage, kBob).ok()) << "but knows whose bytes are there";
}

// Killed between the opener's Open() and what was noted of it: nobody was given anything.
TEST_F(HabanalabsResumeLossTest, ClosesACardThatNobodyHadComeToUse) {
  Start();
  card_->Fail(HlCall::kRegisterEventfd, EINVAL);
  EXPECT_FALSE(exporter_->Open().ok());
  kept_[HabanalabsCard::kKeptCard] = machine_.Open(machine_.roots().dev + "/accel/accel0", 0);
  Kill();
  ExpectGone(Resume(), "");
  EXPECT_TRUE(TryExport(kPage, kBob).ok()) << "and suspects nobody";
}

// Rule R20.
TEST_F(HabanalabsResumeLossTest, ClosesACardOfWhichNothingIsKnownAndSuspectsEverybody) {
  StartOpen();
  Export(kPage);
  notes_.notes.clear();
  Kill();
  ExpectGone(Resume(), "nothing was noted");
  EXPECT_FALSE(TryExport(kPage).ok());
  KillAndResume();
  EXPECT_FALSE(TryExport(kPage).ok()) << "that is noted";
  machine_.SetMemoryScrub(true);
  EXPECT_TRUE(exporter_->Reset(Drill::kNone).ok());
  EXPECT_TRUE(exporter_->Open().ok());
  EXPECT_TRUE(TryExport(kPage).ok());
}

TEST_F(HabanalabsResumeLossTest, ClosesACardWhoseNotesAreDamaged) {
  StartOpen();
  Kept(kPage);
  for (auto& [key, bytes] : notes_.notes) bytes[0] = 9;
  Kill();
  ExpectGone(Resume(), "is damaged, or of a later version");
  EXPECT_FALSE(TryExport(kPage).ok());
}

TEST_F(HabanalabsResumeLossTest, ClosesACardWhoseNotesContradictTheJournal) {
  StartOpen();
  Kept(kPage);
  buffers_.push_back(buffers_[0]);
  Kill();
  ExpectGone(Resume(), "contradicts itself");
  EXPECT_FALSE(TryExport(kPage).ok());
}

TEST_F(HabanalabsResumeLossTest, StartsCleanWhereThereIsNothingToGoOnWith) {
  Start();
  ExpectGone(Resume(), "");
  EXPECT_TRUE(TryExport(kPage).ok());
}

TEST_F(HabanalabsResumeLossTest, HasNoKeeperToBlameWhenThatCannotBeAsked) {
  StartOpen();
  Kept(kPage);
  Kill();
  opener_->fail_resume = absl::DeadlineExceededError("the keeper does not answer");
  EXPECT_EQ(ErrorCodeOf(TryResume().status()), ErrorCode::kDeviceUnavailable);
  EXPECT_FALSE(Resume().memory_is_gone);
}

TEST_F(HabanalabsResumeLossTest, LosesACardThatWasRemoved) {
  StartOpen();
  Kept(kPage);
  Kill();
  card_->Fail(HlCall::kInfo, ENODEV);
  ExpectGone(Resume(), "was removed");
}

TEST_F(HabanalabsResumeLossTest, LosesACardWhoseNodeIsAnotherOneNow) {
  StartOpen();
  Kept(kPage);
  Kill();
  machine_.at_node = [&](bool control) { machine_.number_shift = control ? 0 : 1; };
  const Resumed resumed = Resume();
  EXPECT_TRUE(resumed.memory_is_gone);
  EXPECT_FALSE(card_->InUse());
}

TEST_F(HabanalabsResumeLossTest, LosesACardThatIsRemovedWhileItIsAsked) {
  StartOpen();
  Kept(kPage);
  Kill();
  card_->Fail(HlCall::kGetEvents, ENODEV);
  ExpectGone(Resume(), "was removed");
}

// Nothing is lost that can be had again.
TEST_F(HabanalabsResumeLossTest, TriesAgainWithACardThatCannotBeAskedNow) {
  struct Trouble {
    HlCall call;
    int error;
    int times;
  };
  StartOpen();
  Kept(kPage);
  for (const auto [call, error, times] :
       {Trouble{HlCall::kInfo, ENOMEM, 1}, Trouble{HlCall::kOpenControl, EMFILE, 1000},
        Trouble{HlCall::kGetEvents, EFAULT, 1}}) {
    SCOPED_TRACE(error);
    Kill();
    const std::size_t before = kept_.size();
    card_->Fail(call, error, times);
    const auto resumed = TryResume();
    EXPECT_EQ(ErrorCodeOf(resumed.status()), ErrorCode::kDeviceUnavailable) << resumed.status();
    EXPECT_EQ(kept_.size(), before);
    card_->Fail(call, error, 0);
    const Resumed again = Resume();
    EXPECT_FALSE(again.memory_is_gone) << again.lost;
    EXPECT_TRUE(again.fds[0]);
    EXPECT_FALSE(exporter_->CheckAlarm().has_value() && error != EFAULT);
  }
}

TEST_F(HabanalabsResumeLossTest, WaitsForAControlNodeThatIsAMomentAway) {
  StartOpen();
  Kept(kPage);
  Kill();
  card_->Fail(HlCall::kOpenControl, EMFILE, 2);
  EXPECT_FALSE(Resume().memory_is_gone);
  EXPECT_GT(machine_.paused, absl::ZeroDuration());
}

TEST_F(HabanalabsResumeLossTest, DoubtsAControlNodeOfAnotherCard) {
  StartOpen();
  Kept(kPage);
  Kill();
  card_->module_id_at_control = 5;
  const auto resumed = TryResume();
  EXPECT_EQ(ErrorCodeOf(resumed.status()), ErrorCode::kDeviceUnavailable);
  EXPECT_TRUE(absl::StrContains(resumed.status().message(), "belongs to another card"));
}

}  // namespace
}  // namespace hlbuf
