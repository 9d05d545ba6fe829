// SPDX-License-Identifier: Apache-2.0
// How exporters of host memory go on where an earlier process stopped.
#include <gtest/gtest.h>

#include <cerrno>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "daemon/core/error.h"
#include "daemon/device/dma_heap_exporter.h"
#include "daemon/device/software_exporter.h"
#include "daemon/device/test_host_memory_rig.h"

namespace hlbuf {
namespace {

class HostMemoryResume : public HostMemoryRig, public testing::TestWithParam<Kind> {
 protected:
  void Start() {
    Begin(GetParam());
    ASSERT_TRUE(exporter_->Open().ok());
  }
  void Restart() { Begin(GetParam()); }
  std::size_t Kept() const { return kept_.files.size() - GetParam().own_files; }
};

TEST_P(HostMemoryResume, HasACopyOfEachBufferKeptBeforeAnybodyGetsItAndUntilItIsFreed) {
  Start();
  EXPECT_EQ(Kept(), 0u);
  Allocation made = Export(1, kAlice);
  ASSERT_EQ(Kept(), 1u);
  EXPECT_TRUE(kept_.files.contains(made.inode));
  EXPECT_TRUE(exporter_->Free(std::move(made)).ok());
  EXPECT_EQ(Kept(), 0u);
}

TEST_P(HostMemoryResume, DropsACopyForACountAndGivesItBackWhereThatProvedNothing) {
  Start();
  const Allocation made = Export(1, kAlice);
  exporter_->DropCopies({made.fd.get()});
  EXPECT_EQ(Kept(), 0u);
  exporter_->KeepCopies({made.fd.get()});
  EXPECT_TRUE(kept_.files.contains(made.inode));
}

TEST_P(HostMemoryResume, BringsTheSameFilesBackInTheOrderOfTheJournal) {
  Start();
  for (const std::uint64_t pages : {1, 2, 3}) Remember(Export(pages, kAlice), kAlice);
  std::swap(journal_.buffers[0], journal_.buffers[2]);
  Restart();
  const Resumed resumed = Resume();
  EXPECT_FALSE(resumed.memory_is_gone);
  EXPECT_EQ(resumed.lost, "");
  ASSERT_EQ(resumed.fds.size(), 3u);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(InodeOf(resumed.fds[i]), journal_.buffers[i].inode);
  EXPECT_EQ(Kept(), 3u);
  EXPECT_EQ(kept_.begun, 1) << "the same keeper";
}

TEST_P(HostMemoryResume, GivesNothingOutTwice) {
  Start();
  for (const std::uint64_t pages : {5, 6}) Remember(Export(pages, kAlice), kAlice);
  Restart();
  Resumed resumed = Resume();
  EXPECT_EQ(ErrorCodeOf(exporter_->Export({.size_bytes = 6 * kPage, .domain = kBob}).status()),
            ErrorCode::kNoMemory);
  const Allocation other = Export(5, kBob);
  for (const Resumption::Buffer& buffer : journal_.buffers) EXPECT_NE(other.window, buffer.window);
  EXPECT_TRUE(exporter_->Free(FromJournal(1, std::move(resumed.fds[1]))).ok());
  EXPECT_EQ(Kept(), 2u);
  Export(6, kBob);
}

TEST_P(HostMemoryResume, DropsWhatTheJournalDoesNotHave) {
  Start();
  Remember(Export(1, kAlice), kAlice);
  const ino_t unknown = Export(2, kAlice).inode;  // made, and then the process died
  Restart();
  Resume();
  EXPECT_EQ(Kept(), 1u);
  EXPECT_FALSE(kept_.files.contains(unknown));
  EXPECT_TRUE(exporter_->Export({.size_bytes = 15 * kPage, .domain = kBob}).ok());
}

TEST_P(HostMemoryResume, SaysWhatIsLostAndGivesItsRoomToNobodyUntilItIsFreed) {
  Start();
  for (const std::uint64_t pages : {1, 15}) Remember(Export(pages, kAlice), kAlice);
  kept_.files.erase(journal_.buffers[1].inode);
  Restart();
  Resumed resumed = Resume();
  EXPECT_TRUE(resumed.fds[0]);
  EXPECT_FALSE(resumed.fds[1]);
  EXPECT_TRUE(absl::StrContains(resumed.lost, "of 2 buffers, 1 were not kept")) << resumed.lost;
  EXPECT_EQ(ErrorCodeOf(exporter_->Export({.size_bytes = kPage, .domain = kBob}).status()),
            ErrorCode::kNoMemory);
  EXPECT_TRUE(exporter_->Free(FromJournal(1, UniqueFd())).ok());
  Export(15, kBob);
}

TEST_P(HostMemoryResume, BeginsAnewWhereTheKeeperIsGone) {
  Start();
  Remember(Export(1, kAlice), kAlice);
  kept_.there = false;
  kept_.files.clear();
  Restart();
  const Resumed resumed = Resume();
  EXPECT_FALSE(resumed.fds.at(0));
  EXPECT_TRUE(absl::StrContains(resumed.lost, "nobody is there")) << resumed.lost;
  EXPECT_EQ(kept_.begun, 2);
  EXPECT_TRUE(kept_.files.contains(Export(1, kBob).inode));
}

TEST_P(HostMemoryResume, IsNotToldThatAFileIsAnother) {
  Start();
  Remember(Export(1, kAlice), kAlice);
  Remember(Export(1, kAlice), kAlice);
  std::swap(kept_.files.find(journal_.buffers[0].inode)->second,
            kept_.files.find(journal_.buffers[1].inode)->second);
  Restart();
  const Resumed resumed = Resume();
  EXPECT_FALSE(resumed.fds[0]);
  EXPECT_FALSE(resumed.fds[1]);
  EXPECT_EQ(Kept(), 0u);
}

TEST_P(HostMemoryResume, CanBeTriedAgainWhereTheKeeperOrTheDeviceCouldNotBeAsked) {
  Start();
  Remember(Export(1, kAlice), kAlice);
  Restart();
  kept_.resume = absl::DeadlineExceededError("the keeper does not answer");
  const absl::Status failed = exporter_->Resume(journal_).status();
  EXPECT_EQ(ErrorCodeOf(failed), ErrorCode::kDeviceUnavailable) << failed;
  EXPECT_EQ(Kept(), 1u);
  kernel_.Fail(Call::kOpen, ENOENT);
  if (const auto tried = exporter_->Resume(journal_); !tried.ok()) {
    EXPECT_EQ(ErrorCodeOf(tried.status()), ErrorCode::kDeviceUnavailable) << tried.status();
    EXPECT_TRUE(Resume().fds.at(0));
  }
  EXPECT_EQ(Kept(), 1u);
}

TEST_P(HostMemoryResume, WorksWithoutAKeeperAndSaysSoOnce) {
  kept_.begin = absl::NotFoundError("cannot start hl-bufd-keeper");
  Start();
  Remember(Export(1, kAlice), kAlice);
  Export(1, kAlice);
  ASSERT_EQ(kept_.unkept.size(), 1u);
  EXPECT_TRUE(absl::StrContains(kept_.unkept[0], "does not survive")) << kept_.unkept[0];
  EXPECT_TRUE(absl::StrContains(kept_.unkept[0], "cannot start")) << kept_.unkept[0];
  EXPECT_TRUE(kept_.lost.empty()) << "nobody had anything";
  Restart();
  EXPECT_FALSE(Resume().fds.at(0));
}

TEST_P(HostMemoryResume, GivesEverythingToAKeeperThatCannotBeBegunAtFirst) {
  kept_.begin = absl::UnavailableError("/run/keeper: nobody is there");
  Start();
  const Allocation first = Export(1, kAlice);
  EXPECT_EQ(exporter_->keeper(), KeeperRole::kNone);
  kept_.begin = absl::OkStatus();
  exporter_->Mend();
  EXPECT_EQ(kept_.begun, 0) << "not at once";
  kernel_.passed += RetryTimer::kFirstPause;
  const Allocation second = Export(1, kAlice);
  exporter_->KeepCopies({second.fd.get()});
  EXPECT_EQ(kept_.begun, 0) << "whoever allocates or counts does not wait for it";
  exporter_->Mend();
  EXPECT_EQ(kept_.begun, 1);
  EXPECT_EQ(Kept(), 2u);
  EXPECT_TRUE(kept_.files.contains(first.inode));
  EXPECT_EQ(exporter_->keeper(), KeeperRole::kCopies);
  EXPECT_EQ(kept_.unkept.size(), 1u);
  EXPECT_EQ(kept_.all.size(), 1u);
  EXPECT_TRUE(kept_.lost.empty());
}

TEST_P(HostMemoryResume, GivesAKeeperThatTookNotEverythingTheRestAndNothingTwice) {
  Start();
  const Allocation first = Export(1, kAlice), second = Export(1, kAlice);
  kept_.there = false;
  kept_.files.clear();
  kept_.keep = Error(ErrorCode::kQuotaExceeded, "the keeper has no free descriptor");
  exporter_->Mend();
  EXPECT_EQ(exporter_->keeper(), KeeperRole::kNone);
  EXPECT_EQ(kept_.lost.size(), 1u) << "of the one that died";
  EXPECT_EQ(kept_.unkept.size(), 1u);
  const Allocation third = Export(1, kAlice);
  kernel_.passed += RetryTimer::kFirstPause;
  exporter_->Mend();
  EXPECT_EQ(kept_.begun, 2) << "the same keeper";
  EXPECT_EQ(Kept(), 3u);
  for (const Allocation* made : {&first, &second, &third})
    EXPECT_EQ(kept_.files.count(made->inode), 1u);
  EXPECT_EQ(exporter_->keeper(), KeeperRole::kCopies);
  EXPECT_EQ(kept_.lost.size(), 1u);
  EXPECT_EQ(kept_.all.size(), 1u);
}

TEST_P(HostMemoryResume, GivesEverythingToASuccessorOfAKeeperThatDied) {
  Start();
  const Allocation first = Export(1, kAlice);
  kept_.there = false;
  kept_.files.clear();
  const Allocation second = Export(1, kAlice);
  EXPECT_EQ(kept_.begun, 2);
  EXPECT_EQ(Kept(), 2u);
  EXPECT_TRUE(kept_.files.contains(first.inode));
  ASSERT_EQ(kept_.lost.size(), 1u);
  EXPECT_TRUE(absl::StrContains(kept_.lost[0], "killed by SIGKILL")) << kept_.lost[0];
  EXPECT_TRUE(kept_.unkept.empty());
}

TEST_P(HostMemoryResume, TriesNoMoreSuccessorsThanThreeUntilTheDeviceIsOpenedAgain) {
  Start();
  const Allocation made = Export(1, kAlice);
  for (int i = 0; i < HostMemoryExporter::kSuccessorsMax + 2; ++i) {
    kept_.there = false;
    exporter_->Mend();
  }
  EXPECT_EQ(kept_.begun, 1 + HostMemoryExporter::kSuccessorsMax);
  ASSERT_EQ(kept_.lost.size(), 1u + HostMemoryExporter::kSuccessorsMax);
  EXPECT_TRUE(absl::StrContains(kept_.lost.back(), "so did others")) << kept_.lost.back();
  EXPECT_TRUE(exporter_->Reset(Drill::kNone).ok());
  EXPECT_TRUE(exporter_->Open().ok());
  EXPECT_TRUE(kept_.files.contains(made.inode));
}

TEST_P(HostMemoryResume, GivesOutNothingThatTheKeeperDoesNotTake) {
  Start();
  const std::size_t before = OpenFdCount();
  kept_.keep = Error(ErrorCode::kQuotaExceeded, "the keeper has no free descriptor");
  EXPECT_EQ(ErrorCodeOf(exporter_->Export({.size_bytes = 16 * kPage, .domain = kAlice}).status()),
            ErrorCode::kQuotaExceeded);
  EXPECT_EQ(OpenFdCount(), before);
  EXPECT_TRUE(exporter_->Export({.size_bytes = 16 * kPage, .domain = kAlice}).ok());
}

TEST_P(HostMemoryResume, LeavesNoDescriptorBehind) {
  const std::size_t before = OpenFdCount();
  Start();
  for (int i = 0; i < 3; ++i) Remember(Export(1, kAlice), kAlice);
  journal_.buffers.pop_back();
  Restart();
  Resume();
  exporter_.reset();
  kept_.files.clear();
  EXPECT_EQ(OpenFdCount(), before);
}

INSTANTIATE_TEST_SUITE_P(Kinds, HostMemoryResume,
                         testing::Values(Kind{"software", Make<SoftwareExporter>}, kUdmabuf,
                                         Kind{"dma-heap", Make<DmaHeapExporter>}),
                         [](const auto& kind) {
                           std::string name = kind.param.name;
                           std::erase(name, '-');
                           return name;
                         });

}  // namespace
}  // namespace hlbuf
