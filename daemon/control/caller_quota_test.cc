// SPDX-License-Identifier: Apache-2.0
#include "daemon/control/caller_quota.h"

#include <gtest/gtest.h>

#include <vector>

#include "absl/strings/str_cat.h"
#include "daemon/core/error.h"

namespace hlbuf {
namespace {

Caller CallerOf(uid_t uid, Role role = Role::kNone) {
  return {.peer = {.uid = uid, .pid = 1}, .role = role};
}

// How many more `caller` gets.
std::size_t Room(CallerQuota& quota, const Caller& caller) {
  std::vector<CallerQuota::Slot> slots;
  for (;;) {
    absl::StatusOr<CallerQuota::Slot> slot = quota.Take(caller);
    if (!slot.ok()) {
      EXPECT_EQ(ErrorCodeOf(slot.status()), ErrorCode::kQuotaExceeded);
      return slots.size();
    }
    slots.push_back(*std::move(slot));
  }
}

TEST(CallerQuota, KeepsOneUidFromTakingEverything) {
  CallerQuota quota("things", {.uid = 3, .all = 100});
  std::vector<CallerQuota::Slot> slots;
  for (int i = 0; i < 3; ++i) slots.push_back(*quota.Take(CallerOf(1000)));
  EXPECT_EQ(quota.Take(CallerOf(1000)).status().message(),
            "uid 1000 has 3 things, which is the limit; end some");
  EXPECT_EQ(Room(quota, CallerOf(1001)), 3u);
}

TEST(CallerQuota, GivesCallersWithoutARoleFewer) {
  CallerQuota quota("things", {.uid = 6, .all = 100, .uid_without_role = 2});
  EXPECT_EQ(Room(quota, CallerOf(1000)), 2u);
  EXPECT_EQ(Room(quota, CallerOf(1000, Role::kViewer)), 6u);
}

TEST(CallerQuota, IsGivenBackByADestructor) {
  CallerQuota quota("things", {.uid = 3, .all = 100});
  EXPECT_EQ(Room(quota, CallerOf(1000)), 3u);
  EXPECT_EQ(Room(quota, CallerOf(1000)), 3u);
  EXPECT_EQ(quota.used(), 0u);
}

TEST(CallerQuota, IsMovedWithItsSlot) {
  CallerQuota quota("things", {.uid = 3, .all = 100});
  CallerQuota::Slot first = *quota.Take(CallerOf(1000));
  CallerQuota::Slot second = std::move(first);
  EXPECT_EQ(quota.used(), 1u);
  second = *quota.Take(CallerOf(1001));
  EXPECT_EQ(quota.used(), 1u);
  EXPECT_EQ(Room(quota, CallerOf(1000)), 3u);
}

TEST(CallerQuota, KeepsAQuarterForCallersWithARole) {
  CallerQuota quota("things", {.uid = 100, .all = 8});
  std::vector<CallerQuota::Slot> slots;
  for (int i = 0; i < 6; ++i) slots.push_back(*quota.Take(CallerOf(1000u + static_cast<uid_t>(i))));
  EXPECT_EQ(Room(quota, CallerOf(2000)), 0u);
  EXPECT_EQ(Room(quota, CallerOf(2000, Role::kViewer)), 2u);
}

TEST(CallerQuota, CountsRemoteCallersByName) {
  CallerQuota quota("things", {.uid = 2, .all = 8, .uid_without_role = 1});
  const auto remote = [](const std::string& name) {
    return Caller{.peer = {}, .role = Role::kAdmin, .name = name};
  };
  std::vector<CallerQuota::Slot> slots;
  for (const char* name : {"a", "b", "c"}) {
    EXPECT_EQ(Room(quota, remote(name)), 2u);
    for (int i = 0; i < 2; ++i) slots.push_back(*quota.Take(remote(name)));
    EXPECT_EQ(quota.Take(remote(name)).status().message(),
              absl::StrCat(name, " has 2 things, which is the limit; end some"));
  }
  EXPECT_EQ(quota.Take(remote("d")).status().message(),
            "the service has 6 things; the limit is 6 for callers over TCP; try again later");
  EXPECT_EQ(Room(quota, CallerOf(0, Role::kAdmin)), 2u) << "the administrator still gets in";
}

TEST(CallerQuota, KeepsNothingWhereThereIsNobodyToKeepItFor) {
  CallerQuota quota("things", {.uid = 100, .all = 8, .keeps_quarter = false});
  EXPECT_EQ(Room(quota, {.peer = {}, .role = Role::kNone, .name = "address 192.0.2.7"}), 8u);
}

TEST(CallerQuota, CountsAContainersRootApartFromTheAdministrator) {
  CallerQuota quota("things", {.uid = 2, .all = 100});
  Caller contained = CallerOf(0);
  contained.peer.container = "c0ffee";
  std::vector<CallerQuota::Slot> slots;
  for (int i = 0; i < 2; ++i) slots.push_back(*quota.Take(contained));
  EXPECT_EQ(Room(quota, contained), 0u);
  EXPECT_EQ(Room(quota, CallerOf(0, Role::kAdmin)), 2u);
}

}  // namespace
}  // namespace hlbuf
