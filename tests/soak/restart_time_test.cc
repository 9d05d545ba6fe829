// SPDX-License-Identifier: Apache-2.0
// How long a client waits for its next grant when the service is killed while others hold
// $HLBUF_RESTART_BUFFERS buffers (1,000). The figure is a property in the XML: restart_ms, the
// median of a few kills, from the kill to the grant; nobody waits before the next start.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/soak/record.h"
#include "tests/support/control_client.h"
#include "tests/support/daemon_process.h"
#include "tests/support/library_client.h"

namespace hlbuf {
namespace {

constexpr std::uint64_t kBytes = 4096;
constexpr std::size_t kHolders = 4;
constexpr std::size_t kAtOnce = 500;  // so many ids fit into an answer
constexpr int kRounds = 5;

std::size_t BuffersWanted() {
  const char* text = std::getenv("HLBUF_RESTART_BUFFERS");
  return text != nullptr ? std::strtoul(text, nullptr, 10) : 1'000;
}

class RestartTime : public DaemonTest {
 protected:
  void StartWithRoomFor(std::size_t buffers) {
    DaemonOptions options = {.device_keys = absl::StrCat("size = \"", buffers / 64 + 64, "MiB\""),
                             .supervised = true};
    for (const char* scope : {"service", "uid", "domain"})
      absl::StrAppend(&options.config, "[limits.", scope, "]\nbuffers = ", buffers + 100,
                      "\nleases = ", 2 * buffers + 100, "\n");
    Start(options);
  }
  void Hold(std::size_t buffers) {
    for (std::size_t i = 0; i < kHolders; ++i) {
      holders_.push_back(std::make_unique<LibraryClient>(Alice(), daemon().client_socket()));
      for (std::size_t held = 0; held < buffers / kHolders; held += kAtOnce)
        holders_.back()->AllocateMany(std::min(kAtOnce, buffers / kHolders - held), kBytes);
      // It comes back as soon as it can, as all others do.
      holders_.back()->process().Must("library-start-thread");
    }
  }
  std::uint32_t LeasesHeld() {
    std::uint32_t leases = 0;
    ControlClient control(daemon().control_socket());
    for (const SessionSeen& session : control.SessionsOf(*Alice().uid))
      if (session.state == "READY") leases += session.lease_count;
    return leases;
  }
  // From the kill to the grant.
  double MillisecondsToAGrant(LibraryClient& waiting) {
    const std::uint64_t began = MonotonicNs();
    daemon().supervisor().Kill();
    const HeldBuffer made = waiting.Allocate(kBytes);
    const std::uint64_t ended = MonotonicNs();
    waiting.Release(made);
    return static_cast<double>(ended - began) / 1e6;
  }

  std::vector<std::unique_ptr<LibraryClient>> holders_;
};

TEST_F(RestartTime, IsMeasuredWhileManyBuffersAreHeld) {
  const std::size_t buffers = BuffersWanted();
  StartWithRoomFor(buffers);
  Hold(buffers);
  LibraryClient waiting(Bob(), daemon().client_socket());
  std::vector<double> took;
  for (int round = 0; round < kRounds; ++round) {
    ASSERT_TRUE(Eventually([&] { return LeasesHeld() == buffers; }))
        << LeasesHeld() << " leases of " << buffers << " are held";
    took.push_back(MillisecondsToAGrant(waiting));
    daemon().AwaitLife(round + 2);
  }
  EXPECT_TRUE(Eventually([&] { return LeasesHeld() == buffers; }));
  std::sort(took.begin(), took.end());
  std::printf("%zu buffers: %.0f ms, the longest %.0f ms\n", buffers, took[kRounds / 2],
              took.back());
  RecordProperty("restart_ms", static_cast<int>(took[kRounds / 2] + 0.5));
  RecordProperty("restart_ms_longest", static_cast<int>(took.back() + 0.5));
  RecordProperty("restart_buffers", static_cast<int>(buffers));
  holders_.clear();
}

}  // namespace
}  // namespace hlbuf
