// SPDX-License-Identifier: Apache-2.0
// A process that goes on with a card that an earlier one had.
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

using HabanalabsResumeTest = HabanalabsResumeRig;

TEST_F(HabanalabsResumeTest, HasTheSameWindowsAndExportsNothingTwice) {
  StartOpen();
  std::vector<ino_t> inodes;
  for (int i = 0; i < 3; ++i) inodes.push_back(Kept(kPage).inode);
  const std::size_t opened = machine_.opened.size();
  const Resumed resumed = KillAndResume();
  EXPECT_FALSE(resumed.memory_is_gone);
  EXPECT_EQ(resumed.lost, "");
  ASSERT_EQ(resumed.fds.size(), 3u);
  for (std::size_t i = 0; i < 3; ++i) {
    ino_t inode = 0;
    ASSERT_EQ(machine_.Inode(resumed.fds[i].get(), &inode), 0);
    EXPECT_EQ(inode, inodes[i]);
  }
  EXPECT_TRUE(card_->log.empty()) << card_->log[0];
  EXPECT_EQ(machine_.opened.size(), opened + 1) << "the control node, anew";
  EXPECT_EQ(exporter_->usage().out_bytes, 3 * kPage);
  EXPECT_EQ(exporter_->traits().total_bytes, 8 * kDriverPage);
  EXPECT_EQ(exporter_->traits().reset_window, absl::Seconds(30));
  EXPECT_FALSE(exporter_->CheckAlarm().has_value());
}

TEST_F(HabanalabsResumeTest, GoesOnAsBefore) {
  StartOpen();
  Kept(kPage);
  Resumed resumed = KillAndResume();
  Allocation later = Export(kPage);
  EXPECT_EQ(card_->exports.back().offset, kPage);
  EXPECT_TRUE(kept_.contains(later.inode));
  Free({.fd = std::move(resumed.fds[0]),
        .size_bytes = kPage,
        .window = buffers_[0].window,
        .inode = buffers_[0].inode});
  EXPECT_FALSE(kept_.contains(buffers_[0].inode)) << "its copy is dropped";
  Free(std::move(later));
  EXPECT_EQ(card_->log.back(), "UNMAP");
  ResetAndOpen();
  EXPECT_EQ(card_->hard_resets, 3u);
}

TEST_F(HabanalabsResumeTest, HearsOfEventsByTheNotifierOfTheProcessBefore) {
  StartOpen();
  KillAndResume();
  EXPECT_FALSE(AlarmIsReadable());
  card_->Raise(hl::kEventDeviceReset);
  EXPECT_TRUE(AlarmIsReadable());
  const auto alarm = exporter_->CheckAlarm();
  ASSERT_TRUE(alarm.has_value());
  EXPECT_EQ(alarm->window, absl::Seconds(30));
}

TEST_F(HabanalabsResumeTest, DropsWhatNobodyWasGiven) {
  StartOpen();
  Kept(kPage);
  const ino_t late = Export(kPage).inode;  // killed before it was written down
  KillAndResume();
  EXPECT_FALSE(kept_.contains(late));
  EXPECT_EQ(exporter_->usage().out_bytes, kPage);
  EXPECT_EQ(exporter_->usage().reserved_bytes, kPage);
}

TEST_F(HabanalabsResumeTest, GivesNobodyAnothersBytesThoughItWasKilledInBetween) {
  StartOpen({.driver_pages = 1});
  Free(Export(kDriverPage / 2));
  KillAndResume();
  EXPECT_TRUE(TryExport(kDriverPage / 2, kBob).ok());
  EXPECT_EQ(card_->exports.back().found, "");
  EXPECT_FALSE(TryExport(kPage, kBob).ok());
}

// Rule R2: the process and the copy are gone; who else has it, nobody knows.
TEST_F(HabanalabsResumeTest, Scenario01_NeverGivesABlindWindowOut) {
  StartOpen({.driver_pages = 1});
  const Allocation blind = Kept(kPage);
  const Allocation seen = Kept(kPage);
  kept_.erase(blind.inode);
  Kill();
  Resumed resumed = Resume();
  EXPECT_FALSE(resumed.fds[0]);
  EXPECT_TRUE(resumed.fds[1]);
  const absl::Status freed = exporter_->Free({.size_bytes = kPage, .window = blind.window});
  EXPECT_FALSE(freed.ok());
  EXPECT_EQ(exporter_->usage().withheld_bytes, kPage);
  Kill();
  buffers_.erase(buffers_.begin());
  resumed = Resume();
  EXPECT_TRUE(absl::StrContains(resumed.lost, "4 KiB are withheld")) << resumed.lost;
  for (std::uint64_t i = 2; i < kDriverPage / kPage; ++i) Kept(kPage);
  EXPECT_FALSE(TryExport(kPage).ok());
}

TEST_F(HabanalabsResumeTest, TakesAProvenWindowForFreeThoughItsDescriptorIsClosed) {
  StartOpen();
  const Allocation other = Kept(kPage);
  Allocation proven = Kept(kPage);
  buffers_.back().is_proven = true;
  exporter_->DropCopies({proven.fd.get()});
  proven.fd.Reset();
  KillAndResume();
  EXPECT_TRUE(exporter_->Free({.size_bytes = kPage, .window = proven.window}).ok());
  EXPECT_EQ(exporter_->usage().withheld_bytes, 0u);
}

// Rule R19.
TEST_F(HabanalabsResumeTest, SaysWhatOfTheMemoryIsLostUntilTheNextReset) {
  StartOpen();
  Kept(kPage);
  const auto before = notes_.notes;
  Export(kDriverPage);
  notes_.notes = before;  // killed between ALLOC and its note
  Resumed resumed = KillAndResume();
  EXPECT_FALSE(resumed.memory_is_gone);
  EXPECT_TRUE(absl::StrContains(resumed.lost, "1 MiB of the card's memory")) << resumed.lost;
  EXPECT_TRUE(absl::StrContains(resumed.lost, "come back with the next reset")) << resumed.lost;
  resumed.fds.clear();
  ResetAndOpen();
  EXPECT_EQ(exporter_->usage().lost_bytes, 0u);
}

// Scenario 10: GET_EVENTS is destructive.
TEST_F(HabanalabsResumeTest, Scenario10_HearsOfAResetThatWasAnnouncedMeanwhile) {
  StartOpen();
  Kept(kPage);
  EXPECT_FALSE(exporter_->CheckAlarm().has_value());
  Kill();
  card_->Raise(hl::kEventDeviceReset | hl::kEventGeneralHwError);
  machine_.since_boot += absl::Seconds(10);
  const Resumed resumed = Resume();
  EXPECT_FALSE(resumed.memory_is_gone);
  EXPECT_TRUE(resumed.fds[0]);
  const auto alarm = exporter_->CheckAlarm();
  ASSERT_TRUE(alarm.has_value());
  EXPECT_EQ(alarm->kind, Alarm::Kind::kResetPending);
  EXPECT_EQ(alarm->window, absl::Seconds(20)) << "it may have been announced at once";
  EXPECT_TRUE(absl::StrContains(alarm->text, "hardware error")) << alarm->text;
}

TEST_F(HabanalabsResumeTest, Scenario10_RemembersWhatTheProcessBeforeHadRead) {
  StartOpen();
  card_->Raise(hl::kEventDeviceReset);
  EXPECT_TRUE(exporter_->CheckAlarm().has_value());
  EXPECT_EQ(card_->events, 0u);
  machine_.since_boot += absl::Seconds(40);
  KillAndResume();
  const auto alarm = exporter_->CheckAlarm();
  ASSERT_TRUE(alarm.has_value());
  EXPECT_EQ(alarm->window, absl::ZeroDuration());
}

TEST_F(HabanalabsResumeTest, Scenario10_TakesAnUnfinishedReadForAReset) {
  StartOpen();
  card_->Raise(hl::kEventDeviceReset);
  std::map<std::uint64_t, std::string> killed_with;
  notes_.ahead = [&] { killed_with = notes_.notes; };  // what is written before the driver forgets
  EXPECT_TRUE(exporter_->CheckAlarm().has_value());
  notes_.ahead = nullptr;
  notes_.notes = killed_with;
  KillAndResume();
  EXPECT_EQ(exporter_->CheckAlarm()->kind, Alarm::Kind::kResetPending);
  KillAndResume();
  EXPECT_EQ(exporter_->CheckAlarm()->kind, Alarm::Kind::kResetPending) << "and goes on to";
}

TEST_F(HabanalabsResumeTest, Scenario10_RemembersAnUnfinishedReadWhereverItIsKilledNext) {
  StartOpen();
  card_->Raise(hl::kEventDeviceReset);
  std::map<std::uint64_t, std::string> killed_with;
  notes_.ahead = [&] { killed_with = notes_.notes; };
  EXPECT_TRUE(exporter_->CheckAlarm().has_value());
  notes_.ahead = nullptr;
  notes_.notes = killed_with;
  std::vector<std::map<std::uint64_t, std::string>> killed_again_with;
  notes_.written = [&] { killed_again_with.push_back(notes_.notes); };
  KillAndResume();
  notes_.written = nullptr;
  EXPECT_GE(killed_again_with.size(), 2u);
  for (const auto& notes : killed_again_with) {
    notes_.notes = notes;
    KillAndResume();
    const auto alarm = exporter_->CheckAlarm();
    ASSERT_TRUE(alarm.has_value());
    EXPECT_EQ(alarm->kind, Alarm::Kind::kResetPending);
  }
}

TEST_F(HabanalabsResumeTest, AsksForNoEventsWithoutASign) {
  StartOpen();
  card_->events = hl::kEventRazwi;
  int reads = 0;
  notes_.ahead = [&] { ++reads; };
  EXPECT_FALSE(exporter_->CheckAlarm().has_value());
  EXPECT_EQ(reads, 0);
  card_->Raise(hl::kEventPageFault);
  EXPECT_FALSE(exporter_->CheckAlarm().has_value());
  EXPECT_EQ(reads, 1);
  EXPECT_EQ(card_->events, 0u);
}

TEST_F(HabanalabsResumeTest, LeavesEventsUnreadWhileTheServiceEnds) {
  StartOpen();
  card_->Raise(hl::kEventDeviceReset);
  notes_.stops = true;
  EXPECT_FALSE(exporter_->CheckAlarm().has_value());
  EXPECT_EQ(card_->events, hl::kEventDeviceReset);
  notes_.stops = false;
  KillAndResume();
  EXPECT_TRUE(exporter_->CheckAlarm().has_value());
}

TEST_F(HabanalabsResumeTest, TellsAtOnceOfACardThatIsBeingReset) {
  StartOpen();
  Kept(kPage);
  Kill();
  card_->status = hl::kInReset;
  const Resumed resumed = Resume();
  EXPECT_FALSE(resumed.memory_is_gone) << "it waits for everybody to let go";
  EXPECT_EQ(exporter_->CheckAlarm()->kind, Alarm::Kind::kReset);
}

TEST_F(HabanalabsResumeTest, WarnsOfAnOpenerThatTheProcessBeforeHadLost) {
  StartOpen();
  Kept(kPage);
  opener_->Die();
  EXPECT_EQ(exporter_->CheckAlarm()->kind, Alarm::Kind::kOpenerLost);
  KillAndResume();
  const auto alarm = exporter_->CheckAlarm();
  ASSERT_TRUE(alarm.has_value());
  EXPECT_EQ(alarm->kind, Alarm::Kind::kOpenerLost);
  EXPECT_TRUE(absl::StrContains(alarm->text, "died without a reset")) << alarm->text;
}

TEST_F(HabanalabsResumeTest, CutsTheCardAsItWasCutUntilItIsOpenedAnew) {
  StartOpen();
  Kept(kPage);
  config_.size_bytes = 4 * kDriverPage;
  config_.isolation = "none";
  Resumed resumed = KillAndResume();
  EXPECT_EQ(exporter_->traits().total_bytes, 8 * kDriverPage);
  resumed.fds.clear();
  ResetAndOpen();
  EXPECT_EQ(exporter_->traits().total_bytes, 4 * kDriverPage);
  EXPECT_TRUE(TryExport(kPage, kBob).ok());
}

// What was shared has bytes of anybody.
TEST_F(HabanalabsResumeTest, SuspectsEverybodyOfMemoryThatWasNotIsolatedBefore) {
  StartOpen({}, {.isolation = "none"});
  Kept(kPage);
  config_.isolation = "cleared";
  Resumed resumed = KillAndResume();
  EXPECT_TRUE(TryExport(kPage, kBob).ok()) << "until the card is opened anew";
  resumed.fds.clear();
  ResetAndOpen();
  EXPECT_FALSE(TryExport(kPage, kBob).ok());
}

TEST_F(HabanalabsResumeTest, GoesOnWithAGaudi) {
  StartOpen({.type = "GAUDI"});
  Kept(4 * kDriverPage);
  Free(Export(kPage, kBob));
  const Resumed resumed = KillAndResume();
  EXPECT_TRUE(resumed.fds[0]);
  EXPECT_EQ(exporter_->usage().out_bytes, 4 * kDriverPage);
  EXPECT_EQ(exporter_->usage().reserved_bytes, kPage);
  EXPECT_TRUE(TryExport(kPage).ok());
  EXPECT_EQ(card_->exports.back().found, "");
}

}  // namespace
}  // namespace hlbuf
