// SPDX-License-Identifier: Apache-2.0
// The service on a card whose keeper is killed by somebody else than the driver. The card is the
// stand-in of tests/vm/hlsim.
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "tests/support/control_client.h"
#include "tests/support/daemon_process.h"
#include "tests/support/descriptors.h"
#include "tests/support/library_client.h"
#include "tests/support/texts.h"
#include "tests/vm/hlsim_rig.h"

namespace hlbuf {
namespace {

constexpr std::uint64_t kBytes = 64 << 10;

class KilledKeeper : public DaemonTest {
 protected:
  KilledKeeper() {
    Start({.kind = "habanalabs",
           .device_keys = "",
           .config = "[timing]\nreset_grace = \"1s\"\n[limits.domain]\nbytes = \"1GiB\"\n"
                     "[log]\nlevel = \"debug\"\n"});
    epoch_ = Control().EpochOf("dev0");
  }
  ControlClient Control() { return ControlClient(daemon().control_socket()); }
  LibraryClient Client(const User& user) { return {user, daemon().client_socket()}; }
  bool ComesBack() {
    LibraryClient asker = Client(Bob());
    ControlClient control = Control();
    return Eventually([&] {
      return control.EpochOf("dev0") == epoch_ + 1 &&
             asker.RefusalToAllocate(kBytes, absl::StrCat("probe-", ++probes_)).empty();
    });
  }
  Finished Ctl(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), BuiltPath("client/ctl/hl-bufctl"));
    return RunToEnd({.arguments = std::move(arguments),
                     .environment = {"HLBUF_CONTROL=" + daemon().control_socket()},
                     .output = directory_.path() + "/output"});
  }
  // The daemon's only child; 0: there is none that lives.
  pid_t Keeper() {
    std::error_code gone;
    for (const auto& entry : std::filesystem::directory_iterator("/proc", gone)) {
      const std::string status = ReadAll(entry.path() / "status");
      if (Has(status, "Name:\thl-keeper\n") && !Has(status, "State:\tZ") &&
          Has(status, absl::StrCat("PPid:\t", daemon().pid(), "\n")))
        return static_cast<pid_t>(std::stoi(entry.path().filename()));
    }
    return 0;
  }
  static bool Has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
  }
  std::size_t DmabufsOfTheKeeper() {
    const auto open = DescriptorsOf(Keeper());
    return static_cast<std::size_t>(std::count_if(
        open.begin(), open.end(), [](const auto& entry) { return Has(entry.second, "dmabuf"); }));
  }
  // As a stray kill does. Its pid; 0, and a failure, where there was none.
  pid_t KillKeeper() {
    const pid_t killed = Keeper();
    EXPECT_GT(killed, 0);
    EXPECT_TRUE(killed <= 0 || ::kill(killed, SIGKILL) == 0);
    return killed;
  }
  // It has been noticed, and another keeper is there.
  void KillAndAwaitSuccessor() {
    const pid_t killed = KillKeeper();
    EXPECT_TRUE(Eventually([&] {
      const pid_t successor = Keeper();
      return successor > 0 && successor != killed && Has(daemon().Log(), "OPENER_LOST dev0");
    })) << daemon().Log();
  }
  void Graceful() { sim_.Trigger(absl::StrCat(HLSIM_GRACEFUL, " ", kEventReset)); }
  std::string Said() { return daemon().Log() + sim_.State(); }

  TemporaryDirectory directory_;
  Hlsim sim_ = Hlsim("memory_scrub=1 watchdog_ms=30000");
  std::uint64_t epoch_ = 0;
  int probes_ = 0;
};

TEST_F(KilledKeeper, LeavesTheCardAtWorkAndReleaseProven) {
  LibraryClient alice = Client(Alice());
  const HeldBuffer kept = alice.Allocate(kBytes);
  const HeldBuffer released = alice.Allocate(kBytes);
  KillAndAwaitSuccessor();
  EXPECT_TRUE(Eventually([&] { return DmabufsOfTheKeeper() == 2; }));
  EXPECT_EQ(Control().EpochOf("dev0"), epoch_);
  EXPECT_EQ(Control().Find(kept.id)->state, "LIVE");
  EXPECT_EQ(sim_.HardResets(), 0u);
  alice.Release(released);
  EXPECT_TRUE(Eventually([&] { return !Control().Find(released.id).has_value(); })) << Said();
  EXPECT_TRUE(Contains(daemon().Log(), "freed at the end of its last lease (PROVEN)"));
  alice.Release(alice.Allocate(kBytes));
  EXPECT_TRUE(Eventually([&] { return DmabufsOfTheKeeper() == 1; }));
}

TEST_F(KilledKeeper, IsWarnedOfUntilADrillOpensTheCardAnew) {
  KillAndAwaitSuccessor();
  const std::string devices = Ctl({"devices"}).output;
  EXPECT_TRUE(Contains(devices, "will find no process to kill"));
  EXPECT_TRUE(Contains(devices, "`hl-bufctl simulate-reset dev0`"));
  EXPECT_EQ(Ctl({"simulate-reset", "dev0"}).exit_status, 0);
  EXPECT_TRUE(ComesBack()) << Said();
  EXPECT_FALSE(Has(Ctl({"devices"}).output, "no process to kill"));
}

TEST_F(KilledKeeper, LeavesAnAnnouncedResetToCompletion) {
  LibraryClient alice = Client(Alice());
  alice.Allocate(kBytes);
  KillAndAwaitSuccessor();
  Graceful();
  EXPECT_TRUE(Contains(alice.AwaitNotice("revoke "), "RESET"));
  EXPECT_TRUE(ComesBack()) << Said();
  EXPECT_FALSE(Has(Ctl({"devices"}).output, "no process to kill"));
}

// The driver finds nobody to kill, and waits for the last descriptor.
TEST_F(KilledKeeper, LeavesAnUnannouncedResetToCompletion) {
  LibraryClient alice = Client(Alice());
  alice.Allocate(kBytes);
  KillAndAwaitSuccessor();
  sim_.Trigger(HLSIM_UNGRACEFUL);
  EXPECT_TRUE(Contains(alice.AwaitNotice("revoke "), "RESET"));
  EXPECT_TRUE(ComesBack()) << Said();
  EXPECT_TRUE(daemon().RunsFor(0));
}

TEST_F(KilledKeeper, DuringAResetIsNoMatter) {
  LibraryClient alice = Client(Alice());
  alice.KeepWhatIsRevoked();
  alice.Allocate(kBytes);
  Graceful();
  alice.AwaitNotice("revoke ");
  KillKeeper();
  alice.process().Kill();
  EXPECT_TRUE(ComesBack()) << Said();
  EXPECT_FALSE(Has(daemon().Log(), "OPENER_LOST")) << daemon().Log();
}

TEST_F(KilledKeeper, WhileBuffersAreMadeFailsNoneOfThem) {
  LibraryClient alice = Client(Alice());
  for (int i = 0; i < 3; ++i) {
    const pid_t killed = KillKeeper();
    for (int k = 0; k < 4; ++k) EXPECT_EQ(alice.RefusalToAllocate(kBytes), "");
    EXPECT_TRUE(Eventually([&] { return Keeper() > 0 && Keeper() != killed; }));
  }
  EXPECT_TRUE(Eventually([&] { return DmabufsOfTheKeeper() == 12; }));
  Graceful();
  for (int k = 0; k < 12; ++k) alice.AwaitNotice("revoke ");
  EXPECT_TRUE(ComesBack()) << Said();
}

// As systemd and terminals do to a whole group: the service alone acts on it.
TEST_F(KilledKeeper, IsNotWhatASigtermToAllMakesOfIt) {
  LibraryClient alice = Client(Alice());
  alice.Allocate(kBytes);
  const pid_t keeper = Keeper();
  ASSERT_GT(keeper, 0);
  ASSERT_EQ(::kill(keeper, SIGTERM), 0);
  EXPECT_EQ(daemon().Stop(), 0) << daemon().Log();
  EXPECT_FALSE(Has(daemon().Log(), "OPENER_LOST"));
  EXPECT_NE(::kill(keeper, 0), 0) << "it is reaped";
  alice.process().Kill();
  EXPECT_TRUE(sim_.BecomesOperational()) << sim_.State();
}

}  // namespace
}  // namespace hlbuf
