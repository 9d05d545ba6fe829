// SPDX-License-Identifier: Apache-2.0
// The service dies at each step between a reset of a card and its reopening, and no client notices.
#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "daemon/base/crash_point.h"
#include "tests/soak/crash.h"
#include "tests/vm/soaked_card.h"

namespace hlbuf {
namespace {

// What a card has alone, and what takes other ways with one.
std::vector<std::string> OfACard() {
  std::vector<std::string> all;
  for (const absl::string_view point : kCrashPoints)
    if (absl::StrContains(point, "-card-") || absl::StrContains(point, "-device-re") ||
        absl::StrContains(point, "-note") || absl::StrContains(point, "-revoke"))
      all.push_back(absl::StrCat(point, ":1"));
  return all;
}

class CrashPointsOfACard : public DaemonTest, public testing::WithParamInterface<std::string> {
 protected:
  CardUnderTest card_ = CardUnderTest(kPatientStandIn);  // outlives the service
};

TEST_P(CrashPointsOfACard, CostNoClientAnything) {
  Start(SoakedCardOptions(card_));
  SoakedCard service(daemon(), card_);
  CrashAndJudge(daemon(), service, GetParam());
}

INSTANTIATE_TEST_SUITE_P(All, CrashPointsOfACard, testing::ValuesIn(OfACard()),
                         [](const auto& point) { return NameOfCrash(point.param); });

}  // namespace
}  // namespace hlbuf
