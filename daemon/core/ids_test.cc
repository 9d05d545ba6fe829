// SPDX-License-Identifier: Apache-2.0
#include "daemon/core/ids.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <type_traits>

#include "absl/container/flat_hash_set.h"

namespace hlbuf {
namespace {

static_assert(!std::is_convertible_v<LeaseId, BufferId>, "kinds of ids do not mix");

TEST(Id, NamesNothingWhenItIsZero) {
  EXPECT_FALSE(BufferId());
  EXPECT_TRUE(BufferId{1});
}

TEST(Id, IsAKeyOfHashTables) {
  const absl::flat_hash_set<LeaseId> ids = {LeaseId{1}, LeaseId{2}, LeaseId{1}};
  EXPECT_EQ(ids.size(), 2u);
}

TEST(IdText, IsHexadecimalWithoutPrefix) {
  EXPECT_EQ(IdText(BufferId{0xabc0}), "abc0");
  EXPECT_EQ(IdText(std::uint64_t{0}), "0");
}

RC_GTEST_PROP(IdText, IsReadBackAsTheSameId, (std::uint64_t value)) {
  RC_ASSERT(ParseIdText(IdText(value)) == value);
}

TEST(ParseIdText, TakesBothCases) { EXPECT_EQ(ParseIdText("DeadBeef"), 0xdeadbeefu); }

TEST(ParseIdText, RefusesWhatIsNotOneToSixteenDigits) {
  for (const absl::string_view text :
       {"", "0x1", "-1", "+1", " 1", "1 ", "g", "1g", "10000000000000000", "00000000000000001"})
    EXPECT_EQ(ParseIdText(text), std::nullopt) << text;
  EXPECT_EQ(ParseIdText("ffffffffffffffff"), UINT64_MAX);
}

TEST(IdSequence, AscendsOverAllKinds) {
  IdSequence ids(7);
  EXPECT_EQ(ids.Next<BufferId>(), BufferId{7});
  EXPECT_EQ(ids.Next<LeaseId>(), LeaseId{8});
}

TEST(FirstId, LeavesRoomForTheIdsOfOneMicrosecond) {
  constexpr std::int64_t kSomeDay = 1'700'000'000'000'000;
  EXPECT_EQ(FirstId(kSomeDay + 1, 1) - FirstId(kSomeDay, 2), 256u);
  EXPECT_EQ(FirstEpoch(FirstId(kSomeDay + 1, 1)) - FirstEpoch(FirstId(kSomeDay, 2)), 1u);
}

TEST(FirstId, DoesNotTrustAWallClockThatNobodySet) {
  constexpr std::uint64_t kOne = 0x0123456789abcdef, kOther = 0xfedcba9876543210;
  for (const std::int64_t micros : {INT64_MIN, std::int64_t{-5}, std::int64_t{0}}) {
    EXPECT_GT(FirstId(micros, 0), 0u);
    EXPECT_GT(FirstId(micros, kOther) - FirstId(micros, kOne), std::uint64_t{1} << 32);
    EXPECT_LE(FirstId(micros, UINT64_MAX), UINT64_MAX - UINT32_MAX);
    EXPECT_GT(FirstId(micros, 0), FirstId(4'102'444'800'000'000, 0));
  }
}

RC_GTEST_PROP(FirstId, AscendsWithTheWallClock, ()) {
  // From 2020 to 2100.
  const auto micros = rc::gen::inRange<std::int64_t>(1'577'836'800'000'001, 4'102'444'800'000'000);
  const std::int64_t a = *micros;
  const std::int64_t b = *micros;
  RC_ASSERT((a < b) == (FirstId(a, 0) < FirstId(b, 0)));
}

}  // namespace
}  // namespace hlbuf
