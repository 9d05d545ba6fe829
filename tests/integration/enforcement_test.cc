// SPDX-License-Identifier: Apache-2.0
// Processes that do not let go of what a reset asks back, under a service that may signal them.
#include <gtest/gtest.h>

#include <csignal>

#include "absl/strings/str_cat.h"
#include "tests/support/control_client.h"
#include "tests/support/daemon_process.h"
#include "tests/support/library_client.h"
#include "tests/support/texts.h"

namespace hlbuf {
namespace {

constexpr std::uint64_t kBytes = 64 << 10;
constexpr int kGraceMs = 6'000;       // SIGTERM after 3.6 s, SIGKILL after 4.8 s
constexpr int kLongGraceMs = 15'000;  // between them is time to let go, on a busy machine too
constexpr int kShortGraceMs = 1'000;  // where nobody has to die in time

// What a holder that let go is worth on the device of this run.
std::string LetGo() { return CountsReferences() ? "PROVEN" : "ACKNOWLEDGED"; }

class Enforcement : public DaemonTest {
 protected:
  void Enforce(const std::string& keys, std::optional<uid_t> uid = std::nullopt) {
    Start({.config = absl::StrCat("[enforcement]\n", keys), .uid = uid});
  }
  LibraryClient Client(const User& user) { return {user, daemon().client_socket()}; }
  ControlClient Control() { return ControlClient(daemon().control_socket()); }
  RevocationSeen Reset(int grace_ms = kGraceMs) {
    return Control().SimulateReset("dev0", grace_ms);
  }
  static int Terminations(LibraryClient& client) {
    return client.process().Must("terminations").Int();
  }
  bool WasTerminated(LibraryClient& client) {
    return Eventually([&] { return Terminations(client) == 1; });
  }
  // Still there, and never signalled: it would say so, or be dead.
  static void ExpectUntouched(LibraryClient& client) { EXPECT_EQ(Terminations(client), 0); }
};

class Killing : public Enforcement {
 protected:
  Killing() { Enforce("resets = \"kill\"\n"); }
};

TEST_F(Killing, EndsAClientThatIgnoresItsNotice) {
  LibraryClient alice = Client(Alice());
  LibraryClient bob = Client(Bob());
  bob.process().Must("count-terminations");
  alice.Allocate(kBytes);
  const HeldBuffer his = bob.Allocate(kBytes);
  ControlClient control = Control();
  auto resetting = control.StartToReset("dev0", kGraceMs);
  bob.AwaitNotice("revoke ");
  const RevocationSeen seen = resetting.get();
  EXPECT_EQ(alice.process().DiedOf(), SIGTERM);
  ASSERT_EQ(seen.verdicts.size(), 2U) << seen.error;
  for (const BufferVerdictSeen& verdict : seen.verdicts) EXPECT_EQ(verdict.verdict, LetGo());
  EXPECT_EQ(seen.device_state, "READY");
  EXPECT_EQ(seen.epoch, his.epoch + 1);
  ExpectUntouched(bob);
  const double sent =
      NumberAfter(absl::StrCat("pid ", alice.process().pid(), ": SIGTERM sent: "), daemon().Log());
  EXPECT_GE(sent, 3.6);
  EXPECT_LT(sent, 4.8) << "as late as the SIGKILL";
  EXPECT_FALSE(Contains(daemon().Log(), "SIGKILL sent"));
  daemon().ExpectNothingInUse();
}

TEST_F(Killing, SparesAClientThatLetsGoWhenItIsTerminated) {
  LibraryClient alice = Client(Alice());
  alice.process().Must("count-terminations");
  const HeldBuffer made = alice.Allocate(kBytes);
  ControlClient control = Control();
  auto resetting = control.StartToReset("dev0", kLongGraceMs);
  EXPECT_TRUE(WasTerminated(alice));
  alice.Release(made);
  EXPECT_EQ(resetting.get().only().verdict, LetGo());
  EXPECT_EQ(alice.RefusalToAllocate(kBytes), "") << "it goes on in the next epoch";
  EXPECT_FALSE(Contains(daemon().Log(), "SIGKILL sent"));
}

TEST_F(Killing, KillsAClientThatIgnoresBeingTerminatedToo) {
  LibraryClient alice = Client(Alice());
  alice.process().Must("count-terminations");
  alice.Allocate(kBytes);
  EXPECT_EQ(Reset().only().verdict, LetGo());
  EXPECT_EQ(alice.process().DiedOf(), SIGKILL);
}

TEST_F(Killing, KillsAStoppedClient) {
  LibraryClient alice = Client(Alice());
  alice.Allocate(kBytes);
  alice.process().Signal(SIGSTOP);
  EXPECT_EQ(Reset().only().verdict, LetGo());
  EXPECT_EQ(alice.process().DiedOf(), SIGKILL);
}

// What was sent to it and is unread cannot be taken back, and nothing is sent behind it: this is
// what SIGKILL is for.
TEST_F(Killing, KillsAStoppedClientWithAnUnreadGrant) {
  ClientProcess process(Alice());
  ControlClient control = Control();
  SessionThere session = SessionThere::Greeted(process, daemon().client_socket());
  const auto made = session.Ask(AllocateFrame(2, kBytes));
  ASSERT_TRUE(made.has_value());
  session.Send(OpenFrame(3, {made->As<hlbuf_wire_allocated>().buffer_id}));
  process.Signal(SIGSTOP);
  EXPECT_TRUE(
      Eventually([&] { return control.SessionsOf(*Alice().uid).at(0).in_flight_fds == 1; }));
  EXPECT_EQ(Reset().only().verdict, LetGo());
  EXPECT_EQ(process.DiedOf(), SIGKILL);
  daemon().ExpectNothingInUse();
}

// Who only was passed a descriptor has agreed to nothing, and is not known to the service.
TEST_F(Killing, NeverStrikesWhoWasPassedTheDescriptor) {
  LibraryClient alice = Client(Alice());
  LibraryClient bob = Client(Bob());
  bob.process().Must("count-terminations");
  const HeldBuffer made = alice.Allocate(kBytes);
  const int leaked = bob.process().Take(alice.process().Give(made.fd).get());
  const RevocationSeen seen = Reset();
  EXPECT_EQ(alice.process().DiedOf(), SIGTERM);
  EXPECT_EQ(seen.only().verdict, CountsReferences() ? "HELD" : "ACKNOWLEDGED");
  EXPECT_TRUE(seen.only().holders.empty());
  ExpectUntouched(bob);
  bob.process().Close(leaked);
  daemon().ExpectNothingInUse();
}

TEST_F(Killing, LeavesWhatOperatorsAskBackAlone) {
  LibraryClient alice = Client(Alice());
  alice.process().Must("count-terminations");
  const HeldBuffer made = alice.Allocate(kBytes);
  EXPECT_EQ(Control().Revoke(made.id, kShortGraceMs).only().verdict, "HELD");
  ExpectUntouched(alice);
}

TEST_F(Enforcement, IsOffByDefault) {
  Enforce("");
  LibraryClient alice = Client(Alice());
  alice.process().Must("count-terminations");
  const HeldBuffer made = alice.Allocate(kBytes);
  EXPECT_EQ(Control().Revoke(made.id, kShortGraceMs).only().verdict, "HELD");
  const RevocationSeen seen = Reset(kShortGraceMs);
  EXPECT_EQ(seen.only().verdict, "HELD");
  EXPECT_EQ(seen.only().signalled, std::vector<std::string>{"UNSPECIFIED"});
  ExpectUntouched(alice);
  EXPECT_FALSE(Contains(daemon().Log(), "HOLDER_SIGNALLED"));
}

TEST_F(Enforcement, StopsAtSigtermWhereNoMoreIsAllowed) {
  Enforce("resets = \"terminate\"\nrevocations = \"terminate\"\n");
  LibraryClient alice = Client(Alice());
  alice.process().Must("count-terminations");
  const HeldBuffer made = alice.Allocate(kBytes);
  const BufferVerdictSeen asked = Control().Revoke(made.id, kShortGraceMs).only();
  EXPECT_EQ(asked.verdict, "HELD");
  EXPECT_EQ(asked.signalled, std::vector<std::string>{"TERMINATE"});
  const BufferVerdictSeen reset = Reset(kShortGraceMs).only();
  EXPECT_EQ(reset.verdict, "HELD");
  EXPECT_EQ(reset.holders, std::vector<pid_t>{alice.process().pid()});
  EXPECT_EQ(reset.signalled, std::vector<std::string>{"TERMINATE"});
  EXPECT_EQ(Terminations(alice), 1) << "for one lease each signal is sent once";
}

TEST_F(Enforcement, SaysThatAGraceIsTooShortForIt) {
  Enforce("resets = \"kill\"\n[timing]\nreset_grace = \"900ms\"\n");
  EXPECT_TRUE(Contains(daemon().Log(), "reset_grace is 900ms: whoever is given less than 1s"));
}

// As in production without the drop-in: a user of its own, and no capabilities.
TEST_F(Enforcement, SaysWhatItLacksToSignalOthers) {
  if (DeviceKind() != "software") GTEST_SKIP() << "its device is root's alone";
  Enforce("resets = \"kill\"\n", DaemonProcess::kServiceUid);
  EXPECT_TRUE(Contains(daemon().Log(), "this service has no CAP_KILL"));
  LibraryClient alice = Client(Alice());
  alice.process().Must("count-terminations");
  const HeldBuffer made = alice.Allocate(kBytes);
  const BufferVerdictSeen verdict = Reset(kShortGraceMs).only();
  EXPECT_EQ(verdict.verdict, "HELD");
  EXPECT_EQ(verdict.holders, std::vector<pid_t>{alice.process().pid()});
  EXPECT_EQ(verdict.signalled, std::vector<std::string>{"UNSPECIFIED"});
  for (const char* signal : {"SIGTERM", "SIGKILL"})
    EXPECT_TRUE(Contains(daemon().Log(),
                         absl::StrCat("could not send ", signal,
                                      ": its process is another user's, and the service may not "
                                      "signal it; give the service CAP_KILL")));
  ExpectUntouched(alice);
  alice.Release(made);
}

// The same user takes no capability.
TEST_F(Enforcement, WithoutCapabilitiesReachesItsOwnUser) {
  if (DeviceKind() != "software") GTEST_SKIP() << "its device is root's alone";
  Enforce("resets = \"kill\"\n", DaemonProcess::kServiceUid);
  LibraryClient client =
      Client({.uid = DaemonProcess::kServiceUid, .gids = {DaemonProcess::kClientsGid}});
  client.Allocate(kBytes);
  EXPECT_EQ(Reset().only().verdict, LetGo());
  EXPECT_EQ(client.process().DiedOf(), SIGTERM);
}

}  // namespace
}  // namespace hlbuf
