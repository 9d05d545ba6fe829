// SPDX-License-Identifier: Apache-2.0
#include "daemon/observe/refusal_limit.h"

#include <gtest/gtest.h>

#include "daemon/observe/event_log.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_observer.h"

namespace hlbuf {
namespace {

constexpr std::size_t kBurst = RefusalLimit::kRate.burst;

class RefusalLimitTest : public testing::Test {
 protected:
  void Refuse(uid_t uid, EventKind kind = EventKind::kRequestRefused) {
    limit.OnEvent({.kind = kind, .domain = {.uid = uid}, .text = "no"});
  }
  std::string LastText() const { return told.events.back().text; }

  FakeClock clock;
  FakeObserver told;
  RefusalLimit limit{told, clock};
};

TEST_F(RefusalLimitTest, LetsABurstPassAndSaysLaterWhatItLeftOut) {
  for (std::size_t i = 0; i < kBurst + 100; ++i) Refuse(1);
  EXPECT_EQ(told.events.size(), kBurst);
  EXPECT_EQ(LastText(), "no");
  clock.Advance(2 * RefusalLimit::kRate.interval);
  Refuse(1);
  EXPECT_EQ(LastText(), "no (100 more before were left out)");
  Refuse(1);
  EXPECT_EQ(LastText(), "no");
}

TEST_F(RefusalLimitTest, CountsEachDomainAndEachKindForItself) {
  for (std::size_t i = 0; i < 2 * kBurst; ++i) Refuse(1);
  Refuse(2);
  Refuse(1, EventKind::kProtocolBroken);
  EXPECT_EQ(told.events.size(), kBurst + 2);
  EXPECT_EQ(LastText(), "no");
}

TEST_F(RefusalLimitTest, LimitsWhatAnUnshareTellsButNoRevocation) {
  for (std::size_t i = 0; i < 2 * kBurst; ++i) {
    limit.OnEvent({.kind = EventKind::kRevocationBegan, .domain = {.uid = 1}});
    limit.OnEvent({.kind = EventKind::kRevocationBegan, .revocation = RevocationId{1}});
  }
  EXPECT_EQ(told.events.size(), 3 * kBurst);
}

TEST_F(RefusalLimitTest, HandsEverythingElseOn) {
  for (std::size_t i = 0; i < 10 * kBurst; ++i) limit.OnEvent({.kind = EventKind::kBufferFreed});
  EXPECT_EQ(told.events.size(), 10 * kBurst);
  EXPECT_FALSE(limit.wants_leases());
  told.leases_wanted = true;
  EXPECT_TRUE(limit.wants_leases());
}

TEST_F(RefusalLimitTest, KeepsOnePeerFromPushingOthersOutOfTheLog) {
  EventLog log(1);
  RefusalLimit before_log(log, clock);
  before_log.OnEvent({.kind = EventKind::kDeviceState, .device = "software0"});
  for (std::size_t i = 0; i < 10 * EventLog::kCapacity; ++i) {
    clock.Advance(absl::Milliseconds(1));
    before_log.OnEvent({.kind = EventKind::kRequestRefused, .domain = {.uid = 1}});
  }
  EXPECT_EQ(log.Read(1, 1, /*leases=*/false).gap, std::nullopt);
}

TEST_F(RefusalLimitTest, StaysBoundedWhateverDomainsThereAre) {
  for (uid_t uid = 0; uid < 10 * RefusalLimit::kDomainsMax; ++uid) Refuse(uid);
  EXPECT_EQ(told.events.size(), RefusalLimit::kDomainsMax);
}

}  // namespace
}  // namespace hlbuf
