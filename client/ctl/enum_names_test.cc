// SPDX-License-Identifier: Apache-2.0
#include "client/ctl/enum_names.h"

#include <gtest/gtest.h>

#include "hlbuf/v1/control.pb.h"

namespace hlbuf::ctl {
namespace {

const auto& kStates = *v1::LeaseState_descriptor();

TEST(ValueOf, TakesAShortNameInAnyCase) {
  EXPECT_EQ(ValueOf(kStates, "overdue"), v1::LEASE_STATE_OVERDUE);
  EXPECT_EQ(ValueOf(kStates, "Overdue"), v1::LEASE_STATE_OVERDUE);
}

TEST(ValueOf, RefusesWhatIsNoName) {
  EXPECT_EQ(ValueOf(kStates, "unspecified"), std::nullopt);
  EXPECT_EQ(ValueOf(kStates, "LEASE_STATE_ACTIVE"), std::nullopt);
  EXPECT_EQ(ValueOf(kStates, ""), std::nullopt);
}

TEST(ShortNames, AreReadBack) {
  EXPECT_EQ(ShortNames(kStates),
            (std::vector<std::string>{"active", "revoking", "overdue", "ended"}));
  for (const std::string& name : ShortNames(*v1::EventKind_descriptor()))
    EXPECT_NE(ValueOf(*v1::EventKind_descriptor(), name), std::nullopt) << name;
}

}  // namespace
}  // namespace hlbuf::ctl
