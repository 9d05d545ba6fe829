// SPDX-License-Identifier: Apache-2.0
// Scenarios that a model check found, on a card, under their numbers.
#include <gtest/gtest.h>

#include <csignal>
#include <optional>
#include <ostream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "tests/vm/card_rig.h"

namespace hlbuf {
namespace {

class Scenarios : public CardTest {
 protected:
  static constexpr int kHeldExit = 4;  // of hl-bufctl

  void HoldCalls(bool hold) { card().Trigger(absl::StrCat(HLSIM_HOLD_CALLS, " ", hold ? 1 : 0)); }
  void AwaitAllocating() {
    EXPECT_TRUE(Eventually([this] {
      for (const BufferSeen& buffer : Control().Buffers())
        if (buffer.state == "ALLOCATING") return true;
      return false;
    })) << Story();
  }
  void ExpectLeased(const HeldBuffer& buffer) {
    const std::optional<BufferSeen> seen = Control().Find(buffer.id);
    ASSERT_TRUE(seen.has_value());
    EXPECT_EQ(seen->state, "LIVE");
    EXPECT_EQ(seen->lease_count, 1U);
  }
  std::int64_t TimeOf(const std::string& kind) {
    for (const EventSeen& event : Events())
      if (event.kind == kind) return event.time_ms;
    return 0;
  }
};

TEST_F(Scenarios, Scenario06_WhatOnlyAStrangerHoldsIsReportedAtTheDeadline) {
  UseCard();
  LibraryClient alice = Client(Alice());
  ClientProcess stranger(Stranger());
  const HeldBuffer made = alice.Allocate(kBytes);
  const int passed = stranger.Take(alice.process().Give(made.fd).get());
  Child revoking(Command({"revoke", "--grace", "1s", absl::StrFormat("%x", made.id)}));
  alice.AwaitNotice("revoke ");
  EXPECT_EQ(revoking.ExitStatus(), kHeldExit);
  EXPECT_TRUE(Contains(CtlOutput(), "HELD"));
  EXPECT_TRUE(Contains(CtlOutput(), "references that no lease explains"));
  EXPECT_TRUE(Happened({"REVOCATION_BEGAN asked back by an operator: 1 buffer, 1 lease",
                        "BUFFER_VERDICT HELD: 1 reference is still out"}));
  // The deadline counts from the round of the loop that began it, which ends somewhat later.
  EXPECT_GE(TimeOf("BUFFER_VERDICT") - TimeOf("REVOCATION_BEGAN"), 900);
  EXPECT_EQ(Control().Find(made.id)->state, "DRAINING");
  EXPECT_EQ(daemon().UsedBytes(), kBytes) << "it cannot be anybody else's yet";
  stranger.Close(passed);
  daemon().ExpectNothingInUse();
}

TEST_F(Scenarios, Scenario06_WhatDrainedBeforeItWasAskedBackHasADeadlineToo) {
  UseCard();
  LibraryClient alice = Client(Alice());
  ClientProcess stranger(Stranger());
  const HeldBuffer made = alice.Allocate(kBytes);
  const int passed = stranger.Take(alice.process().Give(made.fd).get());
  alice.Release(made);
  EXPECT_TRUE(Eventually([&] { return Control().Find(made.id)->state == "DRAINING"; }));
  const Finished revoked = Ctl({"revoke", "--grace", "500ms", absl::StrFormat("%x", made.id)});
  EXPECT_EQ(revoked.exit_status, kHeldExit) << revoked.output;
  stranger.Close(passed);
  daemon().ExpectNothingInUse();
}

// An application may close its descriptor once a memory region is registered. Its lease is none of
// the descriptor's, and the registration is what holds the card up.
TEST_F(Scenarios, Scenario08_ARegistrationIsHeldThoughItsDescriptorIsClosed) {
  UseCard();
  const Importer importer;
  LibraryClient alice = Client(Alice());
  alice.KeepWhatIsRevoked();
  const HeldBuffer made = alice.Allocate(kBytes);
  const Outcome registered = importer.Register(alice.process().Give(made.fd).get(), 0, kBytes);
  ASSERT_EQ(registered.error, 0);
  alice.process().Close(made.fd);
  ExpectLeased(made);
  Graceful();
  alice.AwaitNotice("revoke ");
  EXPECT_TRUE(IsSoonHeld(made.id)) << Story();
  EXPECT_TRUE(Happened({"BUFFER_VERDICT HELD: 1 reference and 1 lease"}));
  EXPECT_TRUE(Becomes("RESETTING")) << Story();
  EXPECT_EQ(HardResets(), 0U);
  EXPECT_EQ(importer.Deregister(registered.value), 0);
  EXPECT_TRUE(ComesBack()) << Story();
  EXPECT_EQ(HardResets(), 1U);
}

TEST_F(Scenarios, Scenario08_ALeaseThatHasNoDescriptorIsAskedBackAndHoldsUpNothing) {
  UseCard();
  LibraryClient alice = Client(Alice());
  const HeldBuffer made = alice.Allocate(kBytes);
  alice.process().Close(made.fd);
  ExpectLeased(made);
  Graceful();
  EXPECT_TRUE(StartsWith(alice.AwaitNotice("revoke "), absl::StrCat("revoke ", made.id)));
  EXPECT_TRUE(ComesBack()) << Story();
  EXPECT_EQ(VerdictOf(made.id), "PROVEN");
}

// Nobody holds anything, so the device is closed at once; its worker exports still.
TEST_F(Scenarios, Scenario12_AnExportThatEndsAfterTheClosingBeganIsNobodys) {
  UseCard();
  LibraryClient watcher = Client(Alice());
  LibraryClient bob = Client(Bob());
  HoldCalls(true);
  bob.process().Begin(absl::StrCat("library-allocate ", kBytes, " -"));
  AwaitAllocating();
  Child drilling(Command({"simulate-reset", "dev0"}));
  watcher.AwaitNotice("device dev0 CLOSING");
  AwaitAllocating();
  HoldCalls(false);
  const Reply late = bob.process().Answer();
  EXPECT_FALSE(late.ok);
  EXPECT_TRUE(StartsWith(late.Text(), "DEVICE_UNAVAILABLE dev0 is CLOSING"));
  EXPECT_EQ(drilling.ExitStatus(), 0) << CtlOutput();
  EXPECT_TRUE(ComesBack()) << Story();
  EXPECT_EQ(HardResets(), 1U);
}

TEST_F(Scenarios, Scenario12_AnExportThatTheResetOvertookIsRefused) {
  UseCard();
  LibraryClient alice = Client(Alice());
  LibraryClient bob = Client(Bob());
  alice.Allocate(kBytes);
  HoldCalls(true);
  bob.process().Begin(absl::StrCat("library-allocate ", kBytes, " -"));
  AwaitAllocating();
  HardReset();
  HoldCalls(false);
  const Reply late = bob.process().Answer();
  EXPECT_FALSE(late.ok);
  EXPECT_TRUE(StartsWith(late.Text(), "DEVICE_UNAVAILABLE"));
  EXPECT_TRUE(Contains(late.Text(), "the card is not operational"));
  alice.AwaitNotice("revoke ");
  EXPECT_TRUE(ComesBack()) << Story();
  EXPECT_EQ(HardResets(), 1U);
}

// A card that is let go within its window resets without a kill. The second reset shows that the
// log would say so.
TEST_F(Scenarios, Scenario13_TheKeepersOwnCopiesHoldUpNothing) {
  UseCard();
  LibraryClient alice = Client(Alice());
  alice.Allocate(kBytes);
  KernelLog log;
  Graceful();
  alice.AwaitNotice("revoke ");
  EXPECT_TRUE(ComesBack()) << Story();
  EXPECT_TRUE(Contains(log.Text(), "Going to reset device"));
  EXPECT_EQ(log.Text().find("Killing user process"), std::string::npos);
  EXPECT_EQ(log.Text().find("was not released"), std::string::npos);
  HardReset();
  EXPECT_TRUE(ComesBack(2)) << Story();
  EXPECT_TRUE(Contains(log.Text(), "Killing user process"));
}

struct Unread {
  const char* name;
  bool greeted;  // else the connection waits to be accepted
  bool dies;     // else it is stopped
};
void PrintTo(const Unread& unread, std::ostream* out) { *out << unread.name; }

class Scenario14 : public Scenarios, public testing::WithParamInterface<Unread> {
 protected:
  void StopDaemon() {
    daemon().Signal(SIGSTOP);
    const std::string stat = absl::StrCat("/proc/", daemon().pid(), "/stat");
    EXPECT_TRUE(Eventually([&] { return absl::StrContains(ReadAll(stat), ") T "); }));
  }
};

// What a client sent, and nobody asked for, lies in the daemon's queue when the card is to reset.
TEST_P(Scenario14, WhatNobodyHasReadHoldsUpNothing) {
  UseCard();
  LibraryClient alice = Client(Alice());
  const HeldBuffer made = alice.Allocate(kBytes);
  ClientProcess sender(Bob());
  UniqueFd copy = alice.process().Give(made.fd);
  std::optional<SessionThere> session;
  if (GetParam().greeted) session = SessionThere::Greeted(sender, daemon().client_socket());
  StopDaemon();
  if (!session) session = SessionThere::Connect(sender, daemon().client_socket());
  session->Send(GetParam().greeted ? DevicesFrame(2) : HelloFrame(), copy.get());
  copy.Reset();
  if (GetParam().dies)
    sender.Kill();
  else
    sender.Signal(SIGSTOP);
  KernelLog log;
  Graceful();
  daemon().Signal(SIGCONT);
  alice.AwaitNotice("revoke ");
  EXPECT_TRUE(ComesBack()) << Story();
  EXPECT_EQ(VerdictOf(made.id), "PROVEN");
  EXPECT_EQ(log.Text().find("Killing user process"), std::string::npos);
}

TEST_P(Scenario14, WhatComesWhileTheCardIsAskedBackHoldsUpNothing) {
  UseCard();
  LibraryClient alice = Client(Alice());
  alice.KeepWhatIsRevoked();
  const HeldBuffer made = alice.Allocate(kBytes);
  ClientProcess sender(Bob());
  UniqueFd copy = alice.process().Give(made.fd);
  std::optional<SessionThere> session;
  if (GetParam().greeted) session = SessionThere::Greeted(sender, daemon().client_socket());
  Graceful();
  alice.AwaitNotice("revoke ");
  StopDaemon();
  if (!session) session = SessionThere::Connect(sender, daemon().client_socket());
  session->Send(GetParam().greeted ? DevicesFrame(2) : HelloFrame(), copy.get());
  copy.Reset();
  if (GetParam().dies)
    sender.Kill();
  else
    sender.Signal(SIGSTOP);
  alice.process().Kill();
  daemon().Signal(SIGCONT);
  EXPECT_TRUE(ComesBack()) << Story();
}

INSTANTIATE_TEST_SUITE_P(Sent, Scenario14,
                         testing::Values(Unread{"OnASessionThatIsStopped", true, false},
                                         Unread{"OnASessionThatDies", true, true},
                                         Unread{"BeforeItWasAcceptedAndStopped", false, false},
                                         Unread{"BeforeItWasAcceptedAndDied", false, true}),
                         [](const auto& with) { return with.param.name; });

}  // namespace
}  // namespace hlbuf
