// SPDX-License-Identifier: Apache-2.0
#include "daemon/device/device_worker.h"

#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <sys/mman.h>

#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "daemon/core/error.h"
#include "daemon/device/fake_syscalls.h"
#include "daemon/device/test_worker_rig.h"

namespace hlbuf {
namespace {

TEST_F(DeviceWorkerTest, WorksElsewhereAndAnswersHere) {
  std::thread::id answered;
  worker_->Open([&](absl::Status) { answered = std::this_thread::get_id(); });
  EXPECT_EQ(answered, std::thread::id());
  ASSERT_TRUE(loop_.RunUntil([&] { return answered != std::thread::id(); }));
  EXPECT_EQ(answered, std::this_thread::get_id());
  EXPECT_NE(script_.thread.load(), std::this_thread::get_id());
  EXPECT_TRUE(script_.signals_blocked);
}

TEST_F(DeviceWorkerTest, HandsResultsAndRefusalsOn) {
  UniqueFd got;
  worker_->Allocate({.size_bytes = kPlain}, [&](absl::StatusOr<Allocation> made) {
    ASSERT_TRUE(made.ok());
    EXPECT_EQ(made->size_bytes, kPlain);
    got = std::move(made->fd);
  });
  ErrorCode refused{};
  worker_->Allocate({.size_bytes = kRefused},
                    [&](absl::StatusOr<Allocation> made) { refused = ErrorCodeOf(made.status()); });
  ASSERT_TRUE(loop_.RunUntil([&] { return refused != ErrorCode{}; }));
  EXPECT_TRUE(got);
  EXPECT_EQ(refused, ErrorCode::kNoMemory);
}

TEST_F(DeviceWorkerTest, ChangesItsTraitsOnlyWhenOpenIsAnswered) {
  HoldUp();
  bool answered = false;
  worker_->Open([&](absl::Status) { answered = true; });
  Allocate(kPlain, "later");
  GoOn();
  EXPECT_EQ(worker_->traits().buffer_bytes_max, 0u);
  ASSERT_TRUE(loop_.RunUntil([&] { return answered; }));
  EXPECT_EQ(worker_->traits().buffer_bytes_max, 1u << 20);
}

TEST_F(DeviceWorkerTest, TellsReservedBytesWithEachAnswer) {
  HoldUp();
  script_.reserved = 4096;
  GoOn();
  EXPECT_EQ(worker_->reserved_bytes(), 0u) << "nothing was answered";
  ASSERT_TRUE(RunUntilDone(1));
  EXPECT_EQ(worker_->reserved_bytes(), 4096u);
  script_.reserved = 8192;
  worker_->Free({}, [this](absl::Status) { done_.push_back("freed"); });
  ASSERT_TRUE(RunUntilDone(2));
  EXPECT_EQ(worker_->reserved_bytes(), 8192u);
  script_.reserved = 0;
  Reset("reset");
  ASSERT_TRUE(RunUntilDone(3));
  EXPECT_EQ(worker_->reserved_bytes(), 0u);
}

TEST_F(DeviceWorkerTest, TellsWhoKeepsWithAlarmsToo) {
  EXPECT_EQ(worker_->keeper(), KeeperRole::kNone);
  script_.keeper = KeeperRole::kOpened;
  Allocate(kPlain, "made");
  ASSERT_TRUE(RunUntilDone(1));
  EXPECT_EQ(worker_->keeper(), KeeperRole::kOpened);
  script_.keeper = KeeperRole::kSuccessor;
  worker_->CheckAlarm([this](const std::optional<Alarm>&) { done_.push_back("looked"); });
  ASSERT_TRUE(RunUntilDone(2));
  EXPECT_EQ(worker_->keeper(), KeeperRole::kSuccessor);
}

TEST_F(DeviceWorkerTest, AnswersInTheOrderOfTheCalls) {
  for (int i = 0; i < 100; ++i) Allocate(i % 2 == 0 ? kPlain : kRefused, std::to_string(i));
  ASSERT_TRUE(RunUntilDone(100));
  for (int i = 0; i < 100; ++i)
    EXPECT_EQ(done_[static_cast<std::size_t>(i)],
              i % 2 == 0 ? std::to_string(i) : std::to_string(i) + " refused");
}

TEST_F(DeviceWorkerTest, WakesTheBrokerOnceForManyAnswers) {
  for (int i = 0; i < 5; ++i) Allocate(kPlain, "ready");
  HoldUp();
  EXPECT_EQ(loop_.posts(), 1);
  ASSERT_TRUE(RunUntilDone(5));
  GoOn();
  ASSERT_TRUE(RunUntilDone(6));
  EXPECT_EQ(loop_.posts(), 2);
}

TEST_F(DeviceWorkerTest, TellsEveryCount) {
  std::ofstream(fdinfo_ + "/7") << "pos:\t0\ncount:\t2\n";
  const std::size_t many = 641;
  Count(many, "counted");
  ASSERT_TRUE(RunUntilDone(1));
  EXPECT_EQ(counts_, std::vector<std::uint32_t>(many, 2));
  Count(0, "nothing to count");
  ASSERT_TRUE(RunUntilDone(2));
  EXPECT_TRUE(counts_.empty());
}

TEST_F(DeviceWorkerTest, LetsCopiesBeDroppedBeforeItCounts) {
  std::ofstream(fdinfo_ + "/7") << "pos:\t0\ncount:\t2\n";
  script_.copies = fdinfo_ + "/7";
  Count(1, "counted");
  ASSERT_TRUE(RunUntilDone(1));
  EXPECT_EQ(counts_, std::vector<std::uint32_t>{1});
}

TEST_F(DeviceWorkerTest, GivesCopiesBackOfWhatOthersHaveOnceItWasCounted) {
  std::ofstream(fdinfo_ + "/7") << "pos:\t0\ncount:\t2\n";
  std::ofstream(fdinfo_ + "/8") << "pos:\t0\ncount:\t1\n";
  worker_->CountReferences({7, 8, 9},
                           [this](std::vector<std::uint32_t>) { done_.push_back("counted"); });
  ASSERT_TRUE(RunUntilDone(1));
  EXPECT_EQ(script_.kept_again, (std::vector<int>{7, 9}))
      << "the one that could not be counted, too";
}

// Without it, the end of this process would lose the descriptor.
TEST_F(DeviceWorkerTest, LeavesTheCopyOfWhatOthersHaveWhereItIs) {
  std::ofstream(fdinfo_ + "/7") << "pos:\t0\ncount:\t4\n";
  script_.copies = fdinfo_ + "/7";
  script_.has_copies = true;
  Count(1, "counted");
  ASSERT_TRUE(RunUntilDone(1));
  EXPECT_EQ(counts_, std::vector<std::uint32_t>{3}) << "the copy is ours";
  EXPECT_TRUE(script_.kept_again.empty());
}

TEST_F(DeviceWorkerTest, LetsAllocationsOvertakeCounts) {
  HoldUp();
  Count(10000, "first count");
  Count(1, "second count");
  Allocate(kPlain, "allocated");
  GoOn();
  ASSERT_TRUE(RunUntilDone(4));
  EXPECT_EQ(done_, (std::vector<std::string>{"gate", "allocated", "first count", "second count"}));
}

TEST_F(DeviceWorkerTest, StillCountsWhileAllocationsKeepComing) {
  HoldUp();
  Count(1, "counted");
  const std::size_t many = 3 * JobQueue::kPromptInARow;
  for (std::size_t i = 0; i < many; ++i) Allocate(kPlain, "allocated");
  GoOn();
  ASSERT_TRUE(RunUntilDone(many + 2));
  EXPECT_EQ(done_[JobQueue::kPromptInARow + 1], "counted");
}

TEST_F(DeviceWorkerTest, ResetsAfterEverythingThatWasAskedBefore) {
  HoldUp();
  Count(640, "counted");
  Reset("reset");
  Allocate(kPlain, "allocated");
  Count(1, "counted later");
  GoOn();
  ASSERT_TRUE(RunUntilDone(5));
  EXPECT_EQ(done_,
            (std::vector<std::string>{"gate", "counted", "reset", "allocated", "counted later"}));
}

TEST_F(DeviceWorkerTest, ClosesWhatIsUnfinishedAndAnswersNothingWhenItEnds) {
  const std::size_t before = OpenFdCount();
  Allocate(kPlain, "made, not delivered");
  HoldUp();
  for (int i = 0; i < 10; ++i) {
    worker_->Free({.fd = UniqueFd(memfd_create("taken back", MFD_CLOEXEC)), .size_bytes = kPlain},
                  [this](absl::Status) { done_.push_back("freed"); });
    Allocate(kPlain, "asked");
  }
  Count(10, "counted");
  GoOn();
  worker_.reset();
  loop_.RunPosted();
  EXPECT_TRUE(done_.empty());
  EXPECT_EQ(OpenFdCount(), before - 1);  // less the worker's view of fdinfo
}

TEST_F(DeviceWorkerTest, MayBeEndedByAnAnswer) {
  worker_->Allocate({.size_bytes = kPlain}, [this](absl::StatusOr<Allocation>) {
    worker_.reset();
    done_.push_back("ended");
  });
  Allocate(kPlain, "never answered");
  ASSERT_TRUE(RunUntilDone(1));
  loop_.RunPosted();
  EXPECT_EQ(done_, std::vector<std::string>{"ended"});
}

TEST_F(DeviceWorkerTest, InterruptsTheCallThatItIsInWhenItEnds) {
  HoldUp();
  worker_.reset();
  loop_.RunPosted();
  EXPECT_TRUE(done_.empty());
}

TEST_F(DeviceWorkerTest, WatchesNothingForADeviceWithoutAlarms) {
  worker_->OnAlarmSign([] {});
  EXPECT_FALSE(loop_.on_ready);
}

// The descriptor stays readable until the worker has looked: only the edge is news.
TEST_F(DeviceWorkerTest, PassesEachEdgeOfTheAlarmOn) {
  script_.alarm_fd = 7;
  int signs = 0;
  worker_->OnAlarmSign([&] { ++signs; });
  EXPECT_EQ(loop_.watched_for, EPOLLIN | EPOLLET);
  loop_.on_ready(EPOLLIN);
  loop_.on_ready(EPOLLIN);
  EXPECT_EQ(signs, 2);
}

TEST_F(DeviceWorkerTest, EndsWhileNobodyAsksAnything) { worker_.reset(); }

}  // namespace
}  // namespace hlbuf
