// SPDX-License-Identifier: Apache-2.0
#include "tests/soak/crash.h"

#include <gtest/gtest.h>

#include <csignal>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "daemon/base/crash_point.h"
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

// Everything that leads past a crash point; whether something did, and so many lives have ended.
bool Passes(Soak& soak, Supervisor& supervisor, std::size_t deaths) {
  const auto has_died = [&] { return supervisor.Ends().size() >= deaths; };
  for (int round = 0; round < kRounds && !has_died(); ++round) {
    if (!soak.Work(kGrants, has_died)) return false;
    if (!has_died()) soak.AskInVain();
    if (!has_died()) soak.Revoke();
    if (!has_died() && !soak.Reset()) return false;
  }
  return has_died();
}

void Crash(Soak& soak, DaemonProcess& daemon, const std::string& where) {
  Supervisor& supervisor = daemon.supervisor();
  ASSERT_TRUE(soak.Work(kGrants));
  const std::uint64_t began = MonotonicNs(), epoch = soak.Epoch();
  const std::size_t deaths = supervisor.Ends().size() + kDeaths;
  supervisor.SetEnvironmentOfNext({"HLBUF_CRASH_POINT=" + where});
  supervisor.Kill();
  ASSERT_TRUE(Passes(soak, supervisor, deaths)) << "nothing passes " << where;
  EXPECT_EQ(supervisor.Ends(), std::vector<int>(deaths, SIGKILL)) << "it died of something else";
  daemon.AwaitLife(static_cast<int>(deaths) + 1);
  soak.RecordEnd(began);
  if (IsWhileEventsAreRead(where)) soak.AwaitOwnReset(began, epoch);
  EXPECT_TRUE(soak.Work(kGrants) && soak.TakeCensus());
}

}  // namespace

void CrashAndJudge(DaemonProcess& daemon, SoakedService& service, const std::string& where) {
  CrashInARowAndJudge(daemon, service, {where});
}

void CrashInARowAndJudge(DaemonProcess& daemon, SoakedService& service,
                         const std::vector<std::string>& points) {
  Soak soak(service, kClients);
  for (const std::string& where : points) {
    SCOPED_TRACE(where);
    ASSERT_NO_FATAL_FAILURE(Crash(soak, daemon, where));
  }
  soak.End();
  soak.Judge(/* grants_between_kills= */ 0);
}

void CrashAtStartAndJudge(DaemonProcess& daemon, SoakedService& service, const std::string& where) {
  Supervisor& supervisor = daemon.supervisor();
  daemon.Stop();
  supervisor.SetEnvironmentOfNext({"HLBUF_CRASH_POINT=" + where});
  supervisor.Start();
  ASSERT_TRUE(supervisor.HasEnded(2)) << "nothing passes " << where;
  EXPECT_EQ(supervisor.Ends().back(), SIGKILL) << "it died of something else";
  daemon.AwaitLife(3);
  service.Kill();  // a later life has a descriptor more for what it took over
  Soak soak(service, kClients);
  EXPECT_TRUE(soak.Work(kGrants));
  soak.Kill();
  EXPECT_TRUE(soak.Work(kGrants) && soak.TakeCensus());
  soak.End();
  soak.Judge(/* grants_between_kills= */ 0);
}

std::vector<std::string> CrashPointsOfAnyDevice() {
  std::vector<std::string> all;
  for (const absl::string_view point : kCrashPoints)
    if (!absl::StrContains(point, "-card-") && !absl::StrContains(point, "-note") &&
        !absl::StrContains(point, "-store-"))
      all.push_back(absl::StrCat(point, ":1"));
  return all;
}

std::string NameOfCrash(const std::string& where) {
  return absl::StrReplaceAll(where, {{"-", "_"}, {":", "_"}});
}

}  // namespace hlbuf
