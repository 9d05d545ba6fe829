// SPDX-License-Identifier: Apache-2.0
// How an arena goes on where an earlier process stopped.
#include <gtest/gtest.h>

#include <cerrno>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "daemon/core/error.h"
#include "daemon/device/deadline.h"
#include "daemon/device/test_host_memory_rig.h"

namespace hlbuf {
namespace {

class UdmabufResume : public HostMemoryRig, public testing::Test {};

TEST_F(UdmabufResume, TriesAKeeperAgainThoughNobodyAllocates) {
  kept_.begin = absl::UnavailableError("/run/keeper: nobody is there");
  Begin(kUdmabuf);
  ASSERT_TRUE(exporter_->Open().ok());
  const Allocation made = Export(1, kAlice);
  for (int failed = 0; failed < 2; ++failed) {
    EXPECT_EQ(Await(exporter_->damage_fd(), POLLIN, Deadline(absl::ZeroDuration())), 0);
    EXPECT_EQ(Await(exporter_->damage_fd(), POLLIN, Deadline(absl::Seconds(20))), POLLIN);
    if (failed == 1) kept_.begin = absl::OkStatus();
    exporter_->Mend();
  }
  EXPECT_TRUE(kept_.files.contains(made.inode));
  EXPECT_EQ(Await(exporter_->damage_fd(), POLLIN, Deadline(absl::ZeroDuration())), 0);
  EXPECT_EQ(kept_.unkept.size(), 1u);
}

TEST_F(UdmabufResume, GoesOnWithItsArena) {
  Begin(kUdmabuf);
  ASSERT_TRUE(exporter_->Open().ok());
  Remember(Export(1, kAlice), kAlice);
  Begin(kUdmabuf);
  Resume();
  Export(1, kAlice);
  EXPECT_EQ(kernel_.memfds.size(), 1u);
  EXPECT_TRUE(kept_.files.contains(UdmabufExporter::kKeptArena));
}

// The process before was killed between the two, or its keeper had refused the arena.
TEST_F(UdmabufResume, GivesItsArenaToAKeeperThatDoesNotHaveIt) {
  Begin(kUdmabuf);
  ASSERT_TRUE(exporter_->Open().ok());
  kept_.files.clear();
  Begin(kUdmabuf);
  Resume();
  EXPECT_TRUE(kept_.files.contains(UdmabufExporter::kKeptArena));
  EXPECT_EQ(kept_.begun, 1);
  EXPECT_EQ(exporter_->keeper(), KeeperRole::kCopies);
}

// It has the only copies of all buffers, and another one may not begin.
TEST_F(UdmabufResume, EndsNoKeeperThatDoesNotTakeItsArenaAndGivesItLater) {
  Begin(kUdmabuf);
  ASSERT_TRUE(exporter_->Open().ok());
  Remember(Export(1, kAlice), kAlice);
  kept_.files.erase(UdmabufExporter::kKeptArena);
  kept_.keep = Error(ErrorCode::kQuotaExceeded, "the keeper has no free descriptor");
  Begin(kUdmabuf);
  const Resumed resumed = Resume();
  EXPECT_TRUE(resumed.fds.at(0));
  EXPECT_EQ(exporter_->keeper(), KeeperRole::kNone);
  EXPECT_EQ(kept_.unkept.size(), 1u);
  kept_.begin = absl::UnavailableError("/run/keeper: nobody is there");
  kept_.keep = Error(ErrorCode::kQuotaExceeded, "the keeper has no free descriptor");
  for (int i = 0; i < 2; ++i) {
    EXPECT_FALSE(kept_.files.contains(UdmabufExporter::kKeptArena));
    kernel_.passed += 2 * RetryTimer::kFirstPause;
    exporter_->Mend();
    EXPECT_EQ(kept_.files.count(journal_.buffers[0].inode), 1u);
  }
  EXPECT_EQ(kept_.files.count(UdmabufExporter::kKeptArena), 1u);
  EXPECT_EQ(exporter_->keeper(), KeeperRole::kCopies);
}

// Whose bytes are in what is free is not known, nor whether somebody had begun to clear it.
TEST_F(UdmabufResume, ClearsWhatIsFreeBeforeAnybodyGetsIt) {
  Begin(kUdmabuf, 4);
  ASSERT_TRUE(exporter_->Open().ok());
  Export(1, kAlice);
  Remember(Export(1, kAlice), kAlice);
  Export(1, kAlice);
  Begin(kUdmabuf, 4);
  Resume();
  for (int i = 0; i < 3; ++i) Export(1, kBob);
  EXPECT_EQ(kernel_.windows_were_clean, std::vector<bool>(6, true));
}

TEST_F(UdmabufResume, GivesNobodyWhatItCannotClear) {
  Begin(kUdmabuf, 4);
  ASSERT_TRUE(exporter_->Open().ok());
  Remember(Export(2, kAlice), kAlice);
  Begin(kUdmabuf, 4);
  kernel_.Fail(Call::kPunchHole, EIO, 2);
  Resume();
  EXPECT_EQ(ErrorCodeOf(exporter_->Export({.size_bytes = kPage, .domain = kAlice}).status()),
            ErrorCode::kNoMemory);
  EXPECT_TRUE(exporter_->Export({.size_bytes = 2 * kPage, .domain = kAlice}).ok())
      << "it is tried again";
}

TEST_F(UdmabufResume, LeavesThePagesOfALostWindowToItsHolderEvenWithoutIsolation) {
  Begin(kUdmabuf, 2, "none");
  ASSERT_TRUE(exporter_->Open().ok());
  Remember(Export(2, kAlice), kAlice);
  kept_.files.erase(journal_.buffers[0].inode);
  Begin(kUdmabuf, 2, "none");
  Resume();
  ASSERT_TRUE(exporter_->Free(FromJournal(0, UniqueFd())).ok());
  Export(2, kBob);
  EXPECT_EQ(kernel_.windows_were_clean, (std::vector<bool>{true, true}));
}

// Rules R2 and R20: of what the journal does not have, somebody may have the pages.
TEST_F(UdmabufResume, LeavesThePagesOfWhatAJournalHasLostToTheirHoldersEvenWithoutIsolation) {
  Begin(kUdmabuf, 2, "none");
  ASSERT_TRUE(exporter_->Open().ok());
  const Allocation held = Export(2, kAlice);
  Begin(kUdmabuf, 2, "none");
  Resume();
  Export(2, kBob);
  EXPECT_EQ(kernel_.windows_were_clean, (std::vector<bool>{true, true}));
}

TEST_F(UdmabufResume, GivesNobodyWhatItCannotLeaveToItsHoldersEvenWithoutIsolation) {
  Begin(kUdmabuf, 2, "none");
  ASSERT_TRUE(exporter_->Open().ok());
  const Allocation held = Export(2, kAlice);
  Begin(kUdmabuf, 2, "none");
  kernel_.Fail(Call::kPunchHole, EIO, 2);
  Resume();
  EXPECT_EQ(ErrorCodeOf(exporter_->Export({.size_bytes = kPage, .domain = kBob}).status()),
            ErrorCode::kNoMemory);
  Export(2, kBob);
  EXPECT_EQ(kernel_.windows_were_clean, (std::vector<bool>{true, true}));
}

TEST_F(UdmabufResume, GoesOnWithAnArenaOfAnotherSizeThanIsConfiguredNow) {
  Begin(kUdmabuf, 4);
  ASSERT_TRUE(exporter_->Open().ok());
  Remember(Export(4, kAlice), kAlice);
  Begin(kUdmabuf, 2);
  EXPECT_TRUE(Resume().fds.at(0));
  EXPECT_EQ(exporter_->traits().total_bytes, 4 * kPage);
}

TEST_F(UdmabufResume, DoesNotTakeAWindowThatItsArenaDoesNotHave) {
  Begin(kUdmabuf, 4);
  ASSERT_TRUE(exporter_->Open().ok());
  Remember(Export(1, kAlice), kAlice);
  Remember(Export(1, kAlice), kAlice);
  journal_.buffers[1].window = journal_.buffers[0].window;
  Begin(kUdmabuf, 4);
  const Resumed resumed = Resume();
  EXPECT_TRUE(resumed.fds[0]);
  EXPECT_FALSE(resumed.fds[1]);
  EXPECT_TRUE(absl::StrContains(resumed.lost, "1 were not kept"));
}

}  // namespace
}  // namespace hlbuf
