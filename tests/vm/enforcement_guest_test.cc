// SPDX-License-Identifier: Apache-2.0
// A card that is reset while clients do not let go, under a service that may signal them: it comes
// back within the driver's window, whatever they do. The card is the stand-in of tests/vm/hlsim.
#include <gtest/gtest.h>

#include <chrono>
#include <csignal>

#include "absl/strings/str_cat.h"
#include "tests/support/control_client.h"
#include "tests/support/daemon_process.h"
#include "tests/support/library_client.h"
#include "tests/support/texts.h"
#include "tests/vm/hlsim_rig.h"

namespace hlbuf {
namespace {

constexpr std::uint64_t kBytes = 64 << 10;
constexpr int kWindowMs = 30'000;  // the driver's own

class Card : public DaemonTest {
 protected:
  void Start(const std::string& enforcement) {
    DaemonTest::Start({.kind = "habanalabs",
                       .device_keys = "",
                       .config = absl::StrCat("[timing]\nreset_grace = \"10s\"\n"
                                              "[limits.domain]\nbytes = \"1GiB\"\n"
                                              "[log]\nlevel = \"debug\"\n[enforcement]\n",
                                              enforcement)});
    epoch_ = Control().EpochOf("dev0");
  }
  ControlClient Control() { return ControlClient(daemon().control_socket()); }
  LibraryClient Client(const User& user) { return {user, daemon().client_socket()}; }
  void AnnounceAReset() {
    sim_.Trigger(absl::StrCat(HLSIM_GRACEFUL, " ", kEventReset));
    announced_ = std::chrono::steady_clock::now();
  }
  // The driver has reset it before its patience was over, and it is open in the next epoch.
  void ExpectBackInTheWindow() {
    ControlClient control = Control();
    EXPECT_TRUE(Eventually([&] { return control.EpochOf("dev0") == epoch_ + 1; }, kWindowMs));
    const auto took = std::chrono::steady_clock::now() - announced_;
    EXPECT_LT(std::chrono::duration_cast<std::chrono::milliseconds>(took).count(), kWindowMs);
    ExpectServes();
    EXPECT_EQ(sim_.HardResets(), 1U);
    EXPECT_FALSE(Contains(daemon().Log(), "HELD")) << "nothing was given up";
  }
  void ExpectServes() {
    LibraryClient asker = Client(Bob());
    EXPECT_TRUE(Eventually([&] { return asker.RefusalToAllocate(kBytes).empty(); }))
        << daemon().Log() << sim_.State();
  }

  Hlsim sim_ = Hlsim("memory_scrub=1 watchdog_ms=30000");
  std::uint64_t epoch_ = 0;
  std::chrono::steady_clock::time_point announced_;
};

class KillingCard : public Card {
 protected:
  KillingCard() { Start("resets = \"kill\"\n"); }
};

TEST_F(KillingCard, ComesBackThoughAClientIgnoresItsNotice) {
  LibraryClient alice = Client(Alice());
  LibraryClient bob = Client(Bob());
  bob.process().Must("count-terminations");
  alice.Allocate(kBytes);
  bob.Allocate(kBytes);
  AnnounceAReset();
  bob.AwaitNotice("revoke ");
  EXPECT_EQ(alice.process().DiedOf(), SIGTERM);
  ExpectBackInTheWindow();
  EXPECT_EQ(bob.process().Must("terminations").Int(), 0) << "it let go when it was told";
}

TEST_F(KillingCard, ComesBackThoughAClientIsStopped) {
  LibraryClient alice = Client(Alice());
  alice.Allocate(kBytes);
  alice.process().Signal(SIGSTOP);
  AnnounceAReset();
  EXPECT_EQ(alice.process().DiedOf(), SIGKILL);
  ExpectBackInTheWindow();
}

TEST_F(KillingCard, ComesBackThoughAStoppedClientHasAnUnreadGrant) {
  ClientProcess process(Alice());
  ControlClient control = Control();
  SessionThere session = SessionThere::Greeted(process, daemon().client_socket());
  const auto made = session.Ask(AllocateFrame(2, kBytes));
  ASSERT_TRUE(made.has_value());
  session.Send(OpenFrame(3, {made->As<hlbuf_wire_allocated>().buffer_id}));
  process.Signal(SIGSTOP);
  ASSERT_TRUE(
      Eventually([&] { return control.SessionsOf(*Alice().uid).at(0).in_flight_fds == 1; }));
  AnnounceAReset();
  EXPECT_EQ(process.DiedOf(), SIGKILL);
  ExpectBackInTheWindow();
}

// The registration is the process's, as with an RDMA device: it ends with it. The descriptor was
// closed long ago.
TEST_F(KillingCard, ComesBackThoughAClientKeepsARegistration) {
  Importer importer;
  LibraryClient alice = Client(Alice());
  alice.process().Must("count-terminations");
  const HeldBuffer made = alice.Allocate(kBytes);
  const Outcome registered = importer.Register(alice.process().Give(made.fd).get(), 0, kBytes);
  ASSERT_EQ(registered.error, 0);
  alice.process().Take(importer.fd());
  importer.Close();
  alice.process().Close(made.fd);
  AnnounceAReset();
  EXPECT_EQ(alice.process().DiedOf(), SIGKILL);
  ExpectBackInTheWindow();
}

// The memory is what the driver waits for, and who was only passed it is not signalled: the service
// gives up, and the card is back when that process has gone.
TEST_F(KillingCard, SparesWhoWasPassedTheDescriptorAndWaitsForIt) {
  LibraryClient alice = Client(Alice());
  ClientProcess accomplice(Bob());
  accomplice.Must("count-terminations");
  const HeldBuffer made = alice.Allocate(kBytes);
  accomplice.Take(alice.process().Give(made.fd).get());
  AnnounceAReset();
  EXPECT_EQ(alice.process().DiedOf(), SIGTERM);
  EXPECT_TRUE(Eventually([&] { return bool{Contains(daemon().Log(), "HELD: 1 reference")}; }))
      << daemon().Log();
  EXPECT_EQ(accomplice.Must("terminations").Int(), 0);
  accomplice.Kill();
  EXPECT_TRUE(Eventually([&] { return Control().EpochOf("dev0") == epoch_ + 1; }));
  ExpectServes();
}

// The verdict says who it was, and the card waits for it.
TEST_F(Card, WithoutEnforcementWaitsForTheClientThatTheVerdictNames) {
  Start("");
  LibraryClient alice = Client(Alice());
  alice.process().Must("count-terminations");
  alice.Allocate(kBytes);
  ControlClient control = Control();
  auto resetting = control.StartToReset("dev0", 1'000);
  EXPECT_TRUE(Eventually([&] { return bool{Contains(daemon().Log(), "HELD: ")}; }))
      << daemon().Log();
  EXPECT_EQ(alice.process().Must("terminations").Int(), 0);
  const pid_t pid = alice.process().pid();
  alice.process().Kill();
  const RevocationSeen seen = resetting.get();
  EXPECT_EQ(seen.only().verdict, "HELD");
  EXPECT_EQ(seen.only().holders, std::vector<pid_t>{pid});
  EXPECT_EQ(seen.device_state, "READY") << daemon().Log() << sim_.State();
}

}  // namespace
}  // namespace hlbuf
