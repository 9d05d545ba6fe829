// SPDX-License-Identifier: Apache-2.0
#include "daemon/may_signal.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>

#include "tests/support/forked.h"

namespace hlbuf {
namespace {

TEST(MaySignalOthers, IsWhatTheKernelSaysToo) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can become another user";
  const Forked root([] { ::pause(); });
  EXPECT_TRUE(MaySignalOthers());
  Forked other([&] {
    ASSERT_EQ(::setresuid(12'345, 12'345, 12'345), 0);
    EXPECT_FALSE(MaySignalOthers());
    EXPECT_EQ(::kill(root.pid(), 0), -1);
  });
  other.ExpectToSucceed();
}

}  // namespace
}  // namespace hlbuf
