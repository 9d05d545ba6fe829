// SPDX-License-Identifier: Apache-2.0
// Scenarios that a model check found, of what systemd keeps for the service, under their numbers.
#include <gtest/gtest.h>

#include <csignal>

#include "absl/strings/str_cat.h"
#include "tests/system/kept_scene.h"

namespace hlbuf {
namespace {

class StoreScenarios : public KeptScene {
 protected:
  static testing::AssertionResult HasEnded(pid_t pid) {
    if (Eventually([pid] { return ::kill(pid, 0) != 0; })) return testing::AssertionSuccess();
    return testing::AssertionFailure() << "process " << pid << " lives";
  }
};

// A keeper lives as long as anybody has the other end of its connection.
TEST_F(StoreScenarios, Scenario15_AKeeperThatWasReplacedIsNotStoredAnyMore) {
  HoldABuffer();
  const pid_t first = KeeperPid();
  ASSERT_EQ(::kill(first, SIGKILL), 0);
  EXPECT_TRUE(HasEnded(first));
  // Needs a keeper, so that the next one was stored before.
  bob().Release(bob().Allocate(kBytes));
  EXPECT_TRUE(Eventually([] { return KeeperUnits().size() == 1; }));
  const pid_t second = KeeperPid();
  Crash();
  ExpectKept();
  EXPECT_EQ(KeeperPid(), second);
  EXPECT_TRUE(Comes(kService, "NFileDescriptorStore", kAllStored));
}

TEST_F(StoreScenarios, Scenario15_ADeviceThatIsGoneLeavesNothingBehind) {
  HoldABuffer();
  const pid_t first = KeeperPid();
  Configure("[[device]]\nname = \"other\"\nkind = \"software\"\nsize = \"1GiB\"\n");
  Must({"restart", kService});
  EXPECT_TRUE(HasEnded(first));
  EXPECT_TRUE(Comes(kService, "NFileDescriptorStore", kAllStored));
  EXPECT_EQ(KeeperUnits().size(), 1U);
  ExpectOver("LOST");
  EXPECT_FALSE(IsAlarmed());
}

TEST_F(StoreScenarios, Scenario15_EachEpochHasOneKeeper) {
  Must({"start", kService});
  for (int i = 0; i < 5; ++i) EXPECT_EQ(Ctl({"simulate-reset", "software0"}).exit_status, 0);
  EXPECT_TRUE(Comes(kService, "StatusText", "Serving software0 (READY)"));
  EXPECT_TRUE(Eventually([] { return KeeperUnits().size() == 1; }));
  EXPECT_TRUE(Comes(kService, "NFileDescriptorStore", kAllStored));
  EXPECT_FALSE(IsAlarmed());
}

// The journal has room, the epoch page and the way to the keeper have not.
TEST_F(StoreScenarios, Scenario16_WhatIsNotStoredIsLostAndNeverProvenNorGivenOn) {
  DropIn("FileDescriptorStoreMax=1");
  HoldABuffer();
  EXPECT_TRUE(
      IsLogged("what is held may not survive a restart of this service: the service manager keeps "
               "1 descriptors, not 3; raise FileDescriptorStoreMax= of the unit"));
  Crash();
  const std::string refusal = bob().RefusalToOpen(made().id);
  EXPECT_NE(refusal, "") << "there is nothing to hand out";
  const HeldBuffer next = bob().Allocate(kBytes);
  bob().Write(next, "bob's..");
  EXPECT_EQ(alice().Read(made(), 6), "before");
  EXPECT_EQ(bob().Read(opened(), 6), "before");
  ComeBack();
  ControlClient control = Control();
  auto revoking = control.StartToRevoke(made().id, /* grace_ms= */ 15'000);
  for (LibraryClient* client : {&alice(), &bob()}) client->AwaitNotice("revoke ");
  EXPECT_EQ(revoking.get().only().verdict, "ACKNOWLEDGED");
  for (const EventSeen& event : Control().Events()) EXPECT_NE(event.verdict, "PROVEN");
  alice().ReleaseAll();
  bob().ReleaseAll();
  ExpectEmptyAndHealthy();
}

TEST_F(StoreScenarios, Scenario16_AServiceThatCouldStoreNothingBeginsWithNothing) {
  DropIn("FileDescriptorStoreMax=0");
  HoldABuffer();
  EXPECT_TRUE(IsLogged("the service manager keeps 0 descriptors, not 3"));
  EXPECT_EQ(StoredCount(), "0");
  const pid_t keeper = KeeperPid();
  Crash();
  EXPECT_TRUE(HasEnded(keeper));
  ExpectOver("SERVICE_GONE");
  EXPECT_TRUE(StartsWith(bob().RefusalToOpen(made().id), "SERVICE_GONE"));
  ExpectEmptyAndHealthy();
}

// systemd puts what it keeps through the same needle when it reads its units again, the newest
// first.
TEST_F(StoreScenarios, Scenario16_WhatAReloadOfSystemdDroppedIsLostAndClientsHearIt) {
  HoldABuffer();
  EXPECT_TRUE(Comes(kService, "NFileDescriptorStore", kAllStored));
  DropIn("FileDescriptorStoreMax=1");
  EXPECT_EQ(StoredCount(), "1");
  Crash();
  ExpectOver("SERVICE_GONE");
  ExpectEmptyAndHealthy();
}

}  // namespace
}  // namespace hlbuf
