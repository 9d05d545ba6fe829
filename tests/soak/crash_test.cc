// SPDX-License-Identifier: Apache-2.0
// The service dies at each of its crash points, in a life that clients use, and no client notices.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <csignal>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "daemon/base/crash_point.h"
#include "tests/soak/soak.h"
#include "tests/soak/soaked_daemon.h"

namespace hlbuf {
namespace {

constexpr std::size_t kClients = 4;
constexpr std::uint64_t kGrants = 25;  // between two things that happen to the clients
constexpr int kRounds = 4;

class CrashPoints : public DaemonTest, public testing::WithParamInterface<const char*> {
 protected:
  // Those that only a life after another one passes.
  bool IsOfARestart() const {
    return std::string(GetParam()).find("-restart") != std::string::npos;
  }
  void Arm() {
    daemon().supervisor().SetEnvironmentOfNext(
        {absl::StrCat("HLBUF_CRASH_POINT=", GetParam(), ":1")});
  }
  bool HasDied() { return daemon().supervisor().Ends().size() >= deaths_; }
  // Everything that leads past a crash point, until it has.
  bool Passes(Soak& soak) {
    for (int round = 0; round < kRounds && !HasDied(); ++round) {
      if (!soak.Work(kGrants, [this] { return HasDied(); })) return false;
      if (!HasDied()) soak.Revoke();
      if (!HasDied() && !soak.Reset()) return false;
    }
    return HasDied();
  }

  std::size_t deaths_ = 1;  // that are to be seen
};

TEST_P(CrashPoints, CostNoClientAnything) {
  DaemonOptions options = SoakedOptions();
  if (!IsOfARestart()) options.environment = {absl::StrCat("HLBUF_CRASH_POINT=", GetParam(), ":1")};
  Start(options);
  SoakedDaemon service(daemon());
  Soak soak(service, kClients);
  const std::uint64_t began = MonotonicNs();
  if (IsOfARestart()) {
    ASSERT_TRUE(soak.Work(kGrants));
    deaths_ = 2;
    Arm();
    daemon().supervisor().Kill();
  }
  ASSERT_TRUE(Passes(soak)) << "nothing passes " << GetParam();
  EXPECT_EQ(daemon().supervisor().Ends().back(), SIGKILL) << "it died of something else";
  daemon().AwaitLife(static_cast<int>(deaths_) + 1);
  soak.RecordEnd(began);
  EXPECT_TRUE(soak.Work(kGrants) && soak.TakeCensus());
  soak.End();
  soak.Judge(/* grants_between_kills= */ 0);
}

INSTANTIATE_TEST_SUITE_P(All, CrashPoints, testing::ValuesIn(kCrashPoints), [](const auto& point) {
  return absl::StrReplaceAll(point.param, {{"-", "_"}});
});

}  // namespace
}  // namespace hlbuf
