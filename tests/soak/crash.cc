// SPDX-License-Identifier: Apache-2.0
#include "tests/soak/crash.h"

#include <gtest/gtest.h>

#include <csignal>

#include "absl/strings/match.h"
#include "absl/strings/str_replace.h"
#include "tests/soak/soak.h"

namespace hlbuf {
namespace {

constexpr std::size_t kClients = 4;
constexpr std::uint64_t kGrants = 25;  // between two things that happen to the clients
constexpr int kRounds = 4;
constexpr std::size_t kDeaths = 2;  // one of them at the crash point

// The driver forgets what it has told: who finds that begun, and no end, takes it for a reset.
bool IsWhileEventsAreRead(const std::string& where) {
  return absl::StrContains(where, "-card-events") || absl::StartsWith(where, "after-put-note");
}

// Everything that leads past a crash point; whether something did.
bool Passes(Soak& soak, Supervisor& supervisor) {
  const auto has_died = [&supervisor] { return supervisor.Ends().size() >= kDeaths; };
  for (int round = 0; round < kRounds && !has_died(); ++round) {
    if (!soak.Work(kGrants, has_died)) return false;
    if (!has_died()) soak.Revoke();
    if (!has_died() && !soak.Reset()) return false;
  }
  return has_died();
}

}  // namespace

void CrashAndJudge(DaemonProcess& daemon, SoakedService& service, const std::string& where) {
  Supervisor& supervisor = daemon.supervisor();
  Soak soak(service, kClients);
  ASSERT_TRUE(soak.Work(kGrants));
  const std::uint64_t began = MonotonicNs(), epoch = soak.Epoch();
  supervisor.SetEnvironmentOfNext({"HLBUF_CRASH_POINT=" + where});
  supervisor.Kill();
  ASSERT_TRUE(Passes(soak, supervisor)) << "nothing passes " << where;
  EXPECT_EQ(supervisor.Ends(), std::vector<int>(kDeaths, SIGKILL)) << "it died of something else";
  daemon.AwaitLife(static_cast<int>(kDeaths) + 1);
  soak.RecordEnd(began);
  if (IsWhileEventsAreRead(where)) soak.AwaitOwnReset(began, epoch);
  EXPECT_TRUE(soak.Work(kGrants) && soak.TakeCensus());
  soak.End();
  soak.Judge(/* grants_between_kills= */ 0);
}

std::string NameOfCrash(const std::string& where) {
  return absl::StrReplaceAll(where, {{"-", "_"}, {":", "_"}});
}

}  // namespace hlbuf
