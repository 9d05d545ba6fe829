// SPDX-License-Identifier: Apache-2.0
// What the worker does for the service to go on after its end, and for its exporter.
#include <gtest/gtest.h>
#include <sys/epoll.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "daemon/device/device_worker.h"
#include "daemon/device/test_worker_rig.h"

namespace hlbuf {
namespace {

TEST_F(DeviceWorkerTest, TakesOverWhatAnEarlierProcessHad) {
  Resumption from;
  from.buffers.resize(2);
  from.buffers[1].inode = 1234;
  std::optional<Resumed> resumed;
  worker_->Resume(std::move(from),
                  [&](absl::StatusOr<Resumed> result) { resumed = *std::move(result); });
  ASSERT_TRUE(loop_.RunUntil([&] { return resumed.has_value(); }));
  ASSERT_EQ(resumed->fds.size(), 2u);
  EXPECT_FALSE(resumed->fds[0]);
  EXPECT_TRUE(resumed->fds[1]);
  EXPECT_EQ(resumed->lost, "one");
  EXPECT_EQ(worker_->traits().buffer_bytes_max, 1u << 20) << "as of Open()";
}

TEST_F(DeviceWorkerTest, PassesNotesOnBeforeItAnswers) {
  worker_->OnNote([this](const DeviceNote& note) { done_.push_back(note.bytes); });
  Resumption from;
  from.notes = {{.key = 1, .bytes = "first"}, {.key = 2, .bytes = "second"}};
  worker_->Resume(std::move(from),
                  [this](const absl::StatusOr<Resumed>&) { done_.push_back("resumed"); });
  ASSERT_TRUE(RunUntilDone(3));
  EXPECT_EQ(done_, (std::vector<std::string>{"first again", "second again", "resumed"}));
}

TEST_F(DeviceWorkerTest, GoesOnOnlyWhenANoteWasTakenThatComesFirst) {
  worker_->OnNote([this](const DeviceNote& note) {
    EXPECT_EQ(script_.ahead, -1);
    done_.push_back(note.bytes);
  });
  worker_->CheckAlarm([this](const std::optional<Alarm>&) { done_.push_back("looked"); });
  ASSERT_TRUE(RunUntilDone(2));
  EXPECT_EQ(done_, (std::vector<std::string>{"reading", "looked"}));
  EXPECT_EQ(script_.ahead, 1);
}

TEST_F(DeviceWorkerTest, SaysThatANoteWasNotTakenWhenItEnds) {
  worker_->CheckAlarm([](const std::optional<Alarm>&) {});
  ASSERT_TRUE(loop_.AwaitPost());
  worker_.reset();
  EXPECT_EQ(script_.ahead, 0);
}

TEST_F(DeviceWorkerTest, HasDamageMendedThoughNobodyAsksAnything) {
  script_.damage_fd = 7;
  Start();
  ASSERT_TRUE(loop_.on_ready);
  loop_.on_ready(EPOLLIN);
  Allocate(kPlain, "after it");
  ASSERT_TRUE(RunUntilDone(1));
  EXPECT_EQ(script_.mended, 1);
}

}  // namespace
}  // namespace hlbuf
