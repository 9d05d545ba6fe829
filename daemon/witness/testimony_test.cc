// SPDX-License-Identifier: Apache-2.0
#include "daemon/witness/testimony.h"

#include <gtest/gtest.h>

namespace hlbuf {
namespace {

constexpr pid_t kDaemon = 99;
constexpr Asker kAsker = {.uid = 800, .pid_namespace = 7};
constexpr BufferFile kFile = {.inode = 17, .dmabuf = true};

// The daemon and its keeper have it, and one other process.
struct Sum : testing::Test {
  Sum() {
    answer.scope.asker = kDaemon;
    answer.scope.pid_namespace = kAsker.pid_namespace;
    FileHolders& added = answer.files.emplace_back();
    added.file.inode = kFile.inode;
    added.count = 4;
    added.processes = {
        {.pid = kDaemon, .uid = 800, .descriptors = 1, .command = "hl-bufd"},
        {.pid = 100, .uid = 800, .descriptors = 1, .command = "hl-keeper"},
        {.pid = 4711, .uid = 1000, .descriptors = 1, .mappings = 1, .command = "python3"}};
  }
  FileHolders& file() { return answer.files.at(0); }
  OutsideHolders Found() { return ToTestimony(answer, kAsker).files.at(kFile); }

  HoldersAnswer answer;
};

TEST_F(Sum, LeavesTheServicesOwnCopiesOut) {
  ASSERT_EQ(Found().holders.size(), 1u);
  EXPECT_EQ(Found().holders[0].pid, 4711);
  EXPECT_EQ(Found().holders[0].has_lease, std::nullopt);
  EXPECT_EQ(Found().unexplained, 0u);
}

TEST_F(Sum, TakesNobodyElseForAKeeper) {
  file().processes[1].uid = 1000;
  EXPECT_EQ(Found().holders.size(), 2u);
}

TEST_F(Sum, LeavesUnexplainedWhatNothingExplains) {
  file().count = 9;
  EXPECT_EQ(Found().unexplained, 5u);
  file().importers = {"mlx5_0", "mlx5_0"};
  EXPECT_EQ(Found().unexplained, 3u);
  file().more_processes = 1;
  file().more_descriptors = 1;
  file().more_mappings = 1;
  EXPECT_EQ(Found().unexplained, 1u);
  file().more_attachments = 1;
  EXPECT_EQ(Found().unexplained, 0u);
}

// Counts and processes are read one after the other.
TEST_F(Sum, IsNeverBelowZero) {
  file().count = 1;
  EXPECT_EQ(Found().unexplained, 0u);
}

TEST_F(Sum, IsNotThereWithoutACount) {
  file().count.reset();
  EXPECT_EQ(Found().unexplained, std::nullopt);
}

TEST_F(Sum, SaysWhatCouldNotBeSeen) {
  EXPECT_TRUE(Found().all_seen);
  EXPECT_TRUE(Found().importers_known);
  answer.scope.bufinfo_errno = 13;
  EXPECT_FALSE(Found().importers_known);
  answer.scope.fd_unreadable = 1;
  EXPECT_FALSE(Found().all_seen);
  answer.scope.fd_unreadable = 0;
  answer.scope.maps_unreadable = 1;
  EXPECT_FALSE(Found().all_seen);
  answer.scope.maps_unreadable = 0;
  answer.scope.whole = false;
  EXPECT_FALSE(Found().all_seen);
  answer.scope.whole = true;
  answer.scope.hidden = true;
  EXPECT_FALSE(Found().all_seen);
}

TEST_F(Sum, KnowsWhetherPidsMeanTheSameHereAndThere) {
  EXPECT_TRUE(ToTestimony(answer, kAsker).same_pids);
  answer.scope.pid_namespace = 8;
  EXPECT_FALSE(ToTestimony(answer, kAsker).same_pids);
}

}  // namespace
}  // namespace hlbuf
