// SPDX-License-Identifier: Apache-2.0
// The service dies at each of its crash points, and no client notices. Those of a card:
// tests/vm/crash_guest_test.cc.
#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "daemon/base/crash_point.h"
#include "tests/soak/crash.h"

namespace hlbuf {
namespace {

// What is stored one after the other: the journal, the epoch page, a connection to the keeper.
std::vector<std::string> OfTheStore() {
  std::vector<std::string> all;
  for (const absl::string_view point : kCrashPoints)
    if (absl::StrContains(point, "-store-"))
      for (int count = 1; count <= (absl::StrContains(point, "-push") ? 3 : 1); ++count)
        all.push_back(absl::StrCat(point, ":", count));
  return all;
}

class CrashPoints : public DaemonTest, public testing::WithParamInterface<std::string> {};

TEST_P(CrashPoints, CostNoClientAnything) {
  Start(SoakedOptions());
  SoakedDaemon service(daemon());
  CrashAndJudge(daemon(), service, GetParam());
}

INSTANTIATE_TEST_SUITE_P(All, CrashPoints, testing::ValuesIn(CrashPointsOfAnyDevice()),
                         [](const auto& point) { return NameOfCrash(point.param); });

class CrashPointsOfTheStore : public DaemonTest, public testing::WithParamInterface<std::string> {};

TEST_P(CrashPointsOfTheStore, CostNoClientAnything) {
  DaemonOptions options = SoakedOptions();
  options.stored = true;
  Start(options);
  SoakedDaemon service(daemon());
  CrashAtStartAndJudge(daemon(), service, GetParam());
}

INSTANTIATE_TEST_SUITE_P(All, CrashPointsOfTheStore, testing::ValuesIn(OfTheStore()),
                         [](const auto& point) { return NameOfCrash(point.param); });

}  // namespace
}  // namespace hlbuf
