// SPDX-License-Identifier: Apache-2.0
#include "daemon/observe/losses.h"

#include <gtest/gtest.h>

namespace hlbuf {
namespace {

TEST(Losses, AreNoneAsLongAsNothingIsLost) {
  EventLog log(1);
  const Losses losses(log);
  for (std::size_t i = 0; i < kEventKindCount; ++i)
    if (const auto kind = static_cast<EventKind>(i); !IsLoss(kind)) log.OnEvent({.kind = kind});
  EXPECT_TRUE(losses.All().empty());
}

TEST(Losses, AreCountedByWhatWasLost) {
  EventLog log(1);
  const Losses losses(log);
  log.OnEvent({.kind = EventKind::kBuffersLost, .device = "a", .count = 2});
  log.OnEvent({.kind = EventKind::kStateLost, .text = "damaged"});
  log.OnEvent({.kind = EventKind::kBuffersLost, .device = "b", .count = 3});
  const std::vector<Loss> all = losses.All();
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].kind, EventKind::kStateLost);
  EXPECT_EQ(all[0].count, 1u);
  EXPECT_EQ(all[0].told.at(0).event.text, "damaged");
  EXPECT_EQ(all[1].kind, EventKind::kBuffersLost);
  EXPECT_EQ(all[1].count, 5u);
  ASSERT_EQ(all[1].told.size(), 2u);
  EXPECT_EQ(all[1].told[1].event.device, "b");
  EXPECT_EQ(all[1].told[1].sequence, 3u);
}

TEST(Losses, OutliveTheEventsThatToldOfThem) {
  EventLog log(1, /*capacity=*/4);
  const Losses losses(log);
  log.OnEvent({.kind = EventKind::kStateLost});
  for (int i = 0; i < 100; ++i) log.OnEvent({.kind = EventKind::kSessionBegan});
  EXPECT_EQ(losses.All().size(), 1u);
}

TEST(Losses, TakeNoMoreMemoryThanTheNewestOfEachKind) {
  EventLog log(1);
  const Losses losses(log);
  for (int i = 0; i < 100; ++i)
    log.OnEvent({.kind = EventKind::kKeeperLost, .text = std::to_string(i)});
  const Loss loss = losses.All().at(0);
  EXPECT_EQ(loss.count, 100u);
  ASSERT_EQ(loss.told.size(), Loss::kToldMax);
  EXPECT_EQ(loss.told.back().event.text, "99");
}

}  // namespace
}  // namespace hlbuf
