// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_TESTS_SUPPORT_SPAWNED_KEEPER_H_
#define HLBUF_TESTS_SUPPORT_SPAWNED_KEEPER_H_

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/stat.h>

#include <csignal>
#include <fstream>
#include <memory>
#include <string>

#include "daemon/device/keeper.h"
#include "tests/support/child.h"

namespace hlbuf {

// Tests of class Keeper with the real program.
class SpawnedKeeperTest : public testing::Test {
 protected:
  static std::string Program() { return BuiltPath("daemon/hl-bufd-keeper"); }
  // A program that runs `commands` of the shell.
  std::string Script(const std::string& commands) {
    const std::string path = directory_.path() + "/script";
    std::ofstream(path) << "#!/bin/sh\n" << commands << "\n";
    EXPECT_EQ(::chmod(path.c_str(), 0755), 0);
    return path;
  }
  // The keeper, after `commands`.
  std::string KeeperAfter(const std::string& commands) {
    return Script(commands + "\nexec " + Program() + " \"$@\"");
  }
  static std::unique_ptr<Keeper> Spawn(const std::string& program = Program(),
                                       KeeperLimits limits = {}) {
    auto keeper = Keeper::Spawn(program, limits);
    EXPECT_TRUE(keeper.ok()) << keeper.status();
    return keeper.ok() ? *std::move(keeper) : nullptr;
  }
  static std::uint32_t Kept(Keeper& keeper) {
    const absl::StatusOr<KeeperCount> count = keeper.Count();
    EXPECT_TRUE(count.ok()) << count.status();
    return count.ok() ? count->kept : 0;
  }
  // What comes to `fd` in time, hang-up included.
  static short Comes(int fd, short events) {
    pollfd p = {.fd = fd, .events = events, .revents = 0};
    return ::poll(&p, 1, kPatienceMs) == 1 ? p.revents : short{0};
  }

  TemporaryDirectory directory_;
};

}  // namespace hlbuf

#endif  // HLBUF_TESTS_SUPPORT_SPAWNED_KEEPER_H_
