// SPDX-License-Identifier: Apache-2.0
#include "client/ctl/stop_signals.h"

#include <gtest/gtest.h>
#include <poll.h>

#include <csignal>
#include <optional>

namespace hlbuf::ctl {
namespace {

bool Readable(int fd, int timeout_ms) {
  pollfd polled = {.fd = fd, .events = POLLIN};
  return ::poll(&polled, 1, timeout_ms) == 1;
}

TEST(StopSignals, MakeADescriptorReadableInsteadOfEndingTheProgram) {
  for (const int signal : {SIGINT, SIGTERM}) {
    const StopSignals signals;
    ASSERT_FALSE(Readable(signals.fd(), 0));
    ::raise(signal);
    EXPECT_TRUE(Readable(signals.fd(), 10'000));
  }
}

TEST(StopSignalsDeathTest, EndTheProgramAgainAfterwards) {
  std::optional<StopSignals> signals(std::in_place);
  ::raise(SIGTERM);
  signals.reset();
  EXPECT_EXIT(::raise(SIGTERM), testing::KilledBySignal(SIGTERM), "");
}

}  // namespace
}  // namespace hlbuf::ctl
