// SPDX-License-Identifier: Apache-2.0
// The installed service, as systemd runs it, on a card: what its units let it open, and that
// nothing of it is in the way of a reset. The card is the stand-in of tests/vm/hlsim.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "daemon/device/keeper_dialer.h"
#include "tests/support/descriptors.h"
#include "tests/support/texts.h"
#include "tests/system/installed_service.h"
#include "tests/vm/hlsim_rig.h"

namespace hlbuf {
namespace {

constexpr std::uint64_t kBytes = 64 << 10;
constexpr const char* kKeeperSocket = "/run/hl-bufd/keeper/keeper.sock";

class CardUnits : public InstalledService {
 protected:
  static void SetUpTestSuite() {
    for (const char* const command : {"cmake --install \"$HLBUF_BUILD_DIR\"", "systemd-sysusers",
                                      "systemd-tmpfiles --create", "systemctl daemon-reload"}) {
      const Finished done = Run({"/bin/sh", "-c", command});
      ASSERT_EQ(done.exit_status, 0) << command << ": " << done.output;
    }
  }
  void SetUp() override {
    InstalledService::SetUp();
    // What the udev rule does; the guest has no udev.
    const std::string own = absl::StrCat("chgrp hl-bufd ", card_.Node(), " ", card_.ControlNode(),
                                         " && chmod 660 ", card_.Node(), " ", card_.ControlNode());
    EXPECT_EQ(Run({"/bin/sh", "-c", own}).exit_status, 0);
    Configure(absl::StrCat("[[device]]\nname = \"dev0\"\nkind = \"habanalabs\"\n",
                           "[timing]\nreset_grace = \"1s\"\n[limits.domain]\nbytes = \"1GiB\"\n"));
  }
  // The card has to be let go of before its module can be unloaded.
  void TearDown() override {
    Must({"stop", kTarget, kService});
    InstalledService::TearDown();
  }
  static testing::AssertionResult Serves() {
    return Comes(kService, "StatusText", "Serving dev0 (READY)");
  }

  Hlsim card_ = Hlsim("memory_scrub=1 watchdog_ms=30000 retries_max=600");
};

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

// Nothing is opened, and nothing exported, a second time.
TEST_F(CardUnits, KeepTheCardOpenAndWhatIsHeldOverARestart) {
  Must({"start", kTarget});
  ASSERT_TRUE(Serves());
  const pid_t keeper = KeeperPid();
  LibraryClient alice = Alice();
  const HeldBuffer made = alice.Allocate(kBytes, "weights");
  Must({"restart", kService});
  ASSERT_TRUE(Serves());
  EXPECT_EQ(KeeperPid(), keeper);
  const HeldBuffer again = alice.Open(made.id);
  EXPECT_EQ(again.epoch, made.epoch);
  struct stat one = {}, other = {};
  EXPECT_EQ(::fstat(alice.process().Give(made.fd).get(), &one), 0);
  EXPECT_EQ(::fstat(alice.process().Give(again.fd).get(), &other), 0);
  EXPECT_EQ(one.st_ino, other.st_ino);
  EXPECT_EQ(card_.HardResets(), 0u);
}

// What is held then is nobody's business any more, but the card cannot be opened before it is let
// go.
TEST_F(CardUnits, HaveAStopEndTheEpochAndTheNextOneWaitForWhoHoldsTheCard) {
  Must({"start", kTarget});
  ASSERT_TRUE(Serves());
  LibraryClient alice = Alice();
  alice.KeepWhatIsRevoked();
  const HeldBuffer made = alice.Allocate(kBytes);
  Must({"stop", kTarget});
  EXPECT_TRUE(Eventually([] { return KeeperUnits().empty(); }));
  Must({"start", kTarget});
  EXPECT_TRUE(
      StartsWith(alice.AwaitNotice("revoke "), absl::StrCat("revoke ", made.id, " SERVICE_GONE")));
  EXPECT_TRUE(Contains(Bob().RefusalToAllocate(kBytes), "DEVICE_UNAVAILABLE"));
  alice.Release(made);
  EXPECT_TRUE(Serves());
  EXPECT_GT(Bob().Allocate(kBytes).epoch, made.epoch);
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
