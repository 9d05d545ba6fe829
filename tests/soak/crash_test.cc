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

std::vector<std::string> AllButACards() {
  std::vector<std::string> all;
  for (const absl::string_view point : kCrashPoints)
    // The software device has no notes.
    if (!absl::StrContains(point, "-card-") && !absl::StrContains(point, "-note"))
      all.push_back(absl::StrCat(point, ":1"));
  return all;
}

class CrashPoints : public DaemonTest, public testing::WithParamInterface<std::string> {};

TEST_P(CrashPoints, CostNoClientAnything) {
  Start(SoakedOptions());
  SoakedDaemon service(daemon());
  CrashAndJudge(daemon(), service, GetParam());
}

INSTANTIATE_TEST_SUITE_P(All, CrashPoints, testing::ValuesIn(AllButACards()),
                         [](const auto& point) { return NameOfCrash(point.param); });

}  // namespace
}  // namespace hlbuf
