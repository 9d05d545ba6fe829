// SPDX-License-Identifier: Apache-2.0
#include "daemon/session/unread_grants.h"

#include <gtest/gtest.h>

#include <array>
#include <cstddef>

namespace hlbuf {
namespace {

const absl::Time kStart = absl::UnixEpoch();

// Nobody looks into them.
Session& Stranger(std::size_t i) {
  static std::array<std::max_align_t, 100> places;
  return reinterpret_cast<Session&>(places[i]);
}

UnreadGrants Of(std::size_t count) {
  UnreadGrants unread;
  for (std::size_t i = 0; i < count; ++i) unread.Add(Stranger(i));
  return unread;
}

TEST(UnreadGrants, AreAskedAboutEachTimeWhileTheyAreFew) {
  UnreadGrants unread = Of(16);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(unread.Due(kStart).size(), 16U);
}

TEST(UnreadGrants, AreAskedAboutOnceAMillisecondWhenTheyAreMany) {
  UnreadGrants unread = Of(17);
  EXPECT_EQ(unread.Due(kStart).size(), 17U);
  EXPECT_EQ(unread.Due(kStart).size(), 0U);
  EXPECT_EQ(unread.Due(kStart + absl::Microseconds(999)).size(), 0U);
  EXPECT_EQ(unread.Due(kStart + absl::Milliseconds(1)).size(), 17U);
}

TEST(UnreadGrants, HaveNobodyTwiceAndNobodyWhoLeft) {
  UnreadGrants unread = Of(2);
  unread.Add(Stranger(0));
  EXPECT_EQ(unread.Due(kStart).size(), 2U);
  unread.Remove(Stranger(0));
  unread.Remove(Stranger(7));
  ASSERT_EQ(unread.Due(kStart).size(), 1U);
  EXPECT_EQ(unread.Due(kStart)[0], &Stranger(1));
}

}  // namespace
}  // namespace hlbuf
