// SPDX-License-Identifier: Apache-2.0
// The installed service, as systemd runs it, on a card: what its units let it open, and that
// nothing of it is in the way of a reset. The card is the stand-in of tests/vm/hlsim.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <csignal>

#include "absl/strings/str_cat.h"
#include "daemon/device/keeper_dialer.h"
#include "tests/support/descriptors.h"
#include "tests/support/texts.h"
#include "tests/vm/card_units.h"

namespace hlbuf {
namespace {

constexpr const char* kKeeperSocket = "/run/hl-bufd/keeper/keeper.sock";

TEST_F(CardUnits, HaveTheCardOpenedByAKeeperWithAUnitOfItsOwn) {
  Must({"start", kTarget});
  ASSERT_TRUE(Serves());
  const pid_t keeper = KeeperPid();
  EXPECT_TRUE(Contains(ReadAll(absl::StrCat("/proc/", keeper, "/cgroup")), "/hl-bufd-keeper@"));
  std::size_t nodes = 0;
  for (const auto& [number, file] : DescriptorsOf(keeper)) nodes += file == card_.Node() ? 1u : 0u;
  EXPECT_EQ(nodes, 1u);
  LibraryClient alice = Alice();
  const HeldBuffer made = alice.Allocate(kBytes, "weights");
  EXPECT_EQ(Bob().RefusalToOpen(made.id).rfind("PERMISSION_DENIED", 0), 0u);
}

TEST_F(CardUnits, BringTheCardBackAfterAResetThatKilledTheKeeper) {
  Must({"start", kTarget});
  ASSERT_TRUE(Serves());
  const pid_t first = KeeperPid();
  LibraryClient alice = Alice();
  const HeldBuffer before = alice.Allocate(kBytes);
  card_.Trigger(HLSIM_UNGRACEFUL);
  alice.AwaitNotice("revoke ");
  alice.Release(before);
  EXPECT_TRUE(Eventually([&] { return KeeperUnits().size() == 1 && KeeperPid() != first; }));
  EXPECT_TRUE(Serves());
  EXPECT_TRUE(Eventually([&] { return alice.RefusalToAllocate(kBytes).empty(); }));
}

TEST_F(CardUnits, SayThatAKeeperWasKilledAndHaveAnother) {
  Must({"start", kTarget});
  ASSERT_TRUE(Serves());
  const pid_t first = KeeperPid();
  ASSERT_EQ(::kill(first, SIGKILL), 0);
  EXPECT_TRUE(Eventually([&] { return KeeperUnits().size() == 1 && KeeperPid() != first; }));
  EXPECT_TRUE(IsLogged("OPENER_LOST"));
  EXPECT_EQ(Alice().Allocate(kBytes).size_bytes, kBytes);
}

// As in the service's own unit: nothing but accelerators and what host memory is exported by.
TEST_F(CardUnits, LetAKeeperOpenNoOtherDevice) {
  ASSERT_EQ(::chmod("/dev/cpu_dma_latency", 0666), 0);
  ASSERT_EQ(::chmod("/dev/udmabuf", 0666), 0);
  KeeperStore forgetful;
  ConnectedKeepers keepers(kKeeperSocket, forgetful);
  const auto keeper = keepers.Dial(KeeperName("tried"), {.start = absl::Seconds(20)});
  ASSERT_TRUE(keeper.ok()) << keeper.status();
  EXPECT_TRUE(
      Contains(std::string((*keeper)->Open("/dev/cpu_dma_latency").status().message()), "EPERM"));
  EXPECT_TRUE((*keeper)->Open("/dev/udmabuf").ok());
  EXPECT_TRUE((*keeper)->Open("/dev/null").ok());
}

class CardDrills : public CardUnits {
 protected:
  // What README.md has an administrator do, but for the drop-in.
  void SetUp() override {
    CardUnits::SetUp();
    Configure(absl::StrCat(kOneCard, "drills = true\n"));
    const std::string file = card_.Attribute("hard_reset");
    MustRun(absl::StrCat("chgrp hl-bufd ", file, " && chmod g+w ", file));
  }
};

TEST_F(CardDrills, ResetTheCardWithTheDropInForIt) {
  DropIn(ReadAll("/usr/local/share/doc/hlbuf/drop-ins/drills.conf"));
  Must({"start", kTarget});
  ASSERT_TRUE(Serves());
  const std::uint64_t epoch = Alice().Allocate(kBytes).epoch;
  const Finished drilled = Ctl({"simulate-reset", "dev0"});
  EXPECT_EQ(drilled.exit_status, 0) << drilled.output;
  EXPECT_TRUE(Serves());
  EXPECT_EQ(card_.HardResets(), 1U);
  EXPECT_GT(Alice().Allocate(kBytes).epoch, epoch);
}

TEST_F(CardDrills, AreRefusedAndChangeNothingWithoutTheDropIn) {
  Must({"start", kTarget});
  ASSERT_TRUE(Serves());
  const Finished refused = Ctl({"simulate-reset", "dev0"});
  EXPECT_TRUE(Contains(refused.output, "hard_reset in sysfs has to be writable")) << refused.output;
  EXPECT_TRUE(Serves());
  EXPECT_EQ(card_.HardResets(), 0U);
}

TEST_F(CardUnits, StopTheKeeperWithTheTarget) {
  Must({"start", kTarget});
  ASSERT_TRUE(Serves());
  Must({"stop", kTarget});
  EXPECT_TRUE(Eventually([] { return KeeperUnits().empty(); }));
  EXPECT_EQ(HlNode::ErrorOfOpening(card_.Node()), 0) << "nobody has it open";
}

}  // namespace
}  // namespace hlbuf
