// SPDX-License-Identifier: Apache-2.0
// Buffers that are asked back, by operators and by resets, from clients that comply and that do
// not.
#include <gtest/gtest.h>

#include <chrono>
#include <csignal>

#include "tests/support/control_client.h"
#include "tests/support/daemon_process.h"
#include "tests/support/library_client.h"
#include "tests/support/texts.h"

namespace hlbuf {
namespace {

constexpr std::uint64_t kBytes = 64 << 10;
constexpr int kLongMs = 15'000;   // more than a client that complies needs
constexpr int kShortMs = 200;     // of a deadline that is meant to pass
constexpr int kEnoughMs = 5'000;  // of one that passes after a client has complied

// What a holder that let go is worth on the device of this run.
std::string LetGo() { return CountsReferences() ? "PROVEN" : "ACKNOWLEDGED"; }

class Revocation : public DaemonTest {
 protected:
  Revocation() { Use(); }
  LibraryClient Client(const User& user) { return {user, daemon().client_socket()}; }
  ControlClient Control() { return ControlClient(daemon().control_socket()); }
};

TEST_F(Revocation, EndsAsSoonAsEverybodyHasLetGo) {
  LibraryClient alice = Client(Alice());
  LibraryClient bob = Client(Bob());
  ControlClient control = Control();
  const HeldBuffer made = alice.Allocate(kBytes);
  alice.Share(made.id, "uid", *Bob().uid);
  bob.Open(made.id);
  auto revoking = control.StartToRevoke(made.id, kLongMs);
  EXPECT_TRUE(Contains(alice.AwaitNotice("revoke "), std::to_string(made.id) + " OPERATOR"));
  EXPECT_TRUE(Contains(bob.AwaitNotice("revoke "), std::to_string(made.id) + " OPERATOR"));
  const RevocationSeen seen = revoking.get();
  EXPECT_EQ(seen.only().verdict, LetGo());
  EXPECT_EQ(seen.only().references, 0U);
  EXPECT_EQ(seen.sessions_told, 2U);
  EXPECT_EQ(seen.leases_told, 2U);
  EXPECT_TRUE(StartsWith(alice.RefusalToOpen(made.id), "GONE"));
  daemon().ExpectNothingInUse();
}

TEST_F(Revocation, NamesTheOneWhoIgnoresItAndEndsWhenItLetsGo) {
  LibraryClient alice = Client(Alice());
  LibraryClient bob = Client(Bob());
  ControlClient control = Control();
  bob.KeepWhatIsRevoked();
  const HeldBuffer made = alice.Allocate(kBytes);
  alice.Share(made.id, "uid", *Bob().uid);
  const HeldBuffer kept = bob.Open(made.id);
  alice.Release(made);
  const BufferVerdictSeen verdict = control.Revoke(made.id, kShortMs).only();
  EXPECT_EQ(verdict.verdict, "HELD");
  EXPECT_EQ(verdict.references, 1U);
  EXPECT_EQ(verdict.holders, std::vector<pid_t>{bob.process().pid()});
  EXPECT_EQ(daemon().UsedBytes(), kBytes);
  bob.AwaitNotice("revoke ");
  bob.Release(kept);
  daemon().ExpectNothingInUse();
}

TEST_F(Revocation, OfAStoppedClientIsHeldUntilItRunsAgain) {
  LibraryClient alice = Client(Alice());
  ControlClient control = Control();
  const HeldBuffer made = alice.Allocate(kBytes);
  alice.process().Signal(SIGSTOP);
  const BufferVerdictSeen verdict = control.Revoke(made.id, kShortMs).only();
  EXPECT_EQ(verdict.verdict, "HELD");
  EXPECT_EQ(verdict.holders, std::vector<pid_t>{alice.process().pid()});
  alice.process().Signal(SIGCONT);
  alice.AwaitNotice("revoke ");
  daemon().ExpectNothingInUse();
}

TEST_F(Revocation, OfAStoppedClientWithAnUnreadGrantIsFreedByItsDeath) {
  ClientProcess process(Alice());
  ControlClient control = Control();
  SessionThere session = SessionThere::Greeted(process, daemon().client_socket());
  const auto made = session.Ask(AllocateFrame(2, kBytes));
  ASSERT_TRUE(made.has_value());
  const std::uint64_t id = made->As<hlbuf_wire_allocated>().buffer_id;
  session.Send(OpenFrame(3, {id}));
  process.Signal(SIGSTOP);
  EXPECT_TRUE(
      Eventually([&] { return control.SessionsOf(*Alice().uid).at(0).in_flight_fds == 1; }));
  const BufferVerdictSeen verdict = control.Revoke(id, kShortMs).only();
  EXPECT_EQ(verdict.verdict, "HELD");
  EXPECT_EQ(verdict.references, 2U);
  process.Kill();
  daemon().ExpectNothingInUse();
}

// Scenario 6 of the protocol's rules: every session acknowledges, and somebody without a lease has
// the memory. On a device without a count nobody could know.
TEST_F(Revocation, Scenario06_DrainingHasADeadline) {
  LibraryClient alice = Client(Alice());
  ClientProcess accomplice(Bob());
  ControlClient control = Control();
  const HeldBuffer made = alice.Allocate(kBytes);
  const int leaked = accomplice.Take(alice.process().Give(made.fd).get());
  auto revoking = control.StartToRevoke(made.id, kEnoughMs);
  alice.AwaitNotice("revoke ");
  const BufferVerdictSeen verdict = revoking.get().only();
  EXPECT_EQ(verdict.verdict, CountsReferences() ? "HELD" : "ACKNOWLEDGED");
  EXPECT_EQ(verdict.references, CountsReferences() ? 1U : 0U);
  EXPECT_TRUE(verdict.holders.empty()) << "nobody has a lease";
  if (CountsReferences()) {
    EXPECT_EQ(daemon().UsedBytes(), kBytes) << "still charged to its owner";
  }
  accomplice.Close(leaked);
  daemon().ExpectNothingInUse();
}

TEST_F(Revocation, OfWhatIsNotThereIsRefused) {
  EXPECT_TRUE(StartsWith(Control().Revoke(12345, kShortMs).error, "NOT_FOUND: "));
}

class Reset : public Revocation {};

TEST_F(Reset, AsksEveryLeaseBackAndBeginsAnEpoch) {
  LibraryClient alice = Client(Alice());
  LibraryClient bob = Client(Bob());
  ControlClient control = Control();
  const HeldBuffer hers = alice.Allocate(kBytes, "weights");
  bob.Allocate(kBytes, "weights");
  auto resetting = control.StartToReset("dev0", kLongMs);
  EXPECT_TRUE(Contains(alice.AwaitNotice("revoke "), " RESET"));
  EXPECT_TRUE(Contains(bob.AwaitNotice("revoke "), " RESET"));
  const RevocationSeen seen = resetting.get();
  EXPECT_EQ(seen.error, "");
  ASSERT_EQ(seen.verdicts.size(), 2U);
  for (const BufferVerdictSeen& verdict : seen.verdicts) EXPECT_EQ(verdict.verdict, LetGo());
  EXPECT_EQ(seen.device_state, "READY");
  EXPECT_EQ(seen.epoch, hers.epoch + 1);

  EXPECT_EQ(alice.AwaitNotice("device dev0 READY"),
            "device dev0 READY " + std::to_string(seen.epoch));
  EXPECT_TRUE(StartsWith(alice.RefusalToOpen(hers.id), "GONE"));
  const HeldBuffer again = alice.Allocate(kBytes, "weights");
  EXPECT_EQ(again.epoch, seen.epoch);
  EXPECT_NE(again.id, hers.id);
}

TEST_F(Reset, TakesPlaceThoughAHolderKeepsTheMemory) {
  LibraryClient alice = Client(Alice());
  LibraryClient bob = Client(Bob());
  ControlClient control = Control();
  bob.KeepWhatIsRevoked();
  const HeldBuffer kept = bob.Allocate(kBytes);
  bob.Write(kept, "his");
  const RevocationSeen seen = control.SimulateReset("dev0", kShortMs);
  EXPECT_EQ(seen.only().verdict, "HELD");
  EXPECT_EQ(seen.only().holders, std::vector<pid_t>{bob.process().pid()});
  EXPECT_EQ(seen.device_state, "READY");
  EXPECT_EQ(alice.Read(alice.Allocate(kBytes), 3), std::string(3, '\0'));
  EXPECT_EQ(bob.Read(kept, 3), "his") << "what it holds is its own until it lets go";
  bob.AwaitNotice("revoke ");
  bob.Release(kept);
}

TEST_F(Reset, RefusesRequestsWhileItWaitsForAHolder) {
  LibraryClient alice = Client(Alice());
  LibraryClient bob = Client(Bob());
  ControlClient control = Control();
  bob.KeepWhatIsRevoked();
  const HeldBuffer kept = bob.Allocate(kBytes, "his");
  bob.Share(kept.id, "uid", *Alice().uid);
  auto resetting = control.StartToReset("dev0", kLongMs);
  bob.AwaitNotice("revoke ");
  EXPECT_TRUE(StartsWith(alice.RefusalToOpen(kept.id), "REVOKED"));
  EXPECT_TRUE(StartsWith(alice.RefusalToAllocate(kBytes), "DEVICE_UNAVAILABLE"));
  EXPECT_TRUE(StartsWith(control.SimulateReset("dev0", kShortMs).error, "DEVICE_UNAVAILABLE"));
  bob.Release(kept);
  EXPECT_EQ(resetting.get().only().verdict, LetGo());
}

// Scenario 12 of the protocol's rules: what a worker exported for an epoch that has ended meanwhile
// is neither granted nor kept.
TEST_F(Reset, Scenario12_LeavesNothingOfAllocationsThatItOvertakes) {
  constexpr int kResets = 20;
  ControlClient control = Control();
  RawClient client = Greeted();
  std::uint64_t cookie = 1;
  for (int i = 0; i < kResets; ++i) {
    const std::uint64_t first = cookie + 1;
    for (int n = 0; n < 8; ++n) ASSERT_EQ(client.Send(AllocateFrame(++cookie, kBytes)), 0);
    const std::uint64_t ending = control.EpochOf("dev0");
    auto resetting = control.StartToReset("dev0", kLongMs);
    std::uint64_t answered = first - 1;
    while (answered < cookie) {
      const auto packet = client.Receive();
      ASSERT_TRUE(packet.has_value());
      if (packet->opcode() == HLBUF_WIRE_ALLOCATED) {
        const auto grant = packet->As<hlbuf_wire_allocated>();
        EXPECT_GE(grant.epoch, ending);
        ASSERT_EQ(client.Send(ReleaseFrame({grant.lease_id})), 0);
      } else if (packet->opcode() == HLBUF_WIRE_ERROR) {
        const auto status = packet->As<hlbuf_wire_error>().status;
        EXPECT_TRUE(status == HLBUF_WIRE_DEVICE_UNAVAILABLE || status == HLBUF_WIRE_REVOKED)
            << packet->text();
      }
      if (packet->cookie() != 0) ++answered;
    }
    const RevocationSeen seen = resetting.get();
    EXPECT_EQ(seen.error, "");
    EXPECT_EQ(seen.epoch, ending + 1);
    for (const BufferVerdictSeen& verdict : seen.verdicts) EXPECT_EQ(verdict.verdict, LetGo());
    daemon().ExpectNothingInUse();
  }
}

// It holds what the reset asks back, and asks for more meanwhile, as a job does that begins anew.
TEST_F(Revocation, ByAResetLetsAnAllocationWait) {
  LibraryClient alice = Client(Alice());
  ClientProcess waiting(Alice());
  waiting.Must("library-connect " + daemon().client_socket());
  alice.KeepWhatIsRevoked();
  const HeldBuffer made = alice.Allocate(kBytes);
  ControlClient control = Control();
  auto resetting = control.StartToReset("dev0", kLongMs);
  alice.AwaitNotice("revoke ");
  waiting.Begin("library-allocate-waiting " + std::to_string(kBytes) + " -");
  EXPECT_TRUE(StartsWith(alice.RefusalToAllocate(kBytes), "DEVICE_UNAVAILABLE"))
      << "who does not wait";
  alice.Release(made);
  EXPECT_EQ(resetting.get().only().verdict, LetGo());
  const Reply allocated = waiting.Answer();
  EXPECT_TRUE(allocated.ok) << allocated.Text();
  EXPECT_EQ(allocated.Number(5), made.epoch + 1);
  waiting.Exit();
  daemon().ExpectNothingInUse();
}

// The service's reason, not only that the call has timed out.
TEST_F(Revocation, ByAResetTellsAnAllocationThatWaitedInVainWhy) {
  LibraryClient alice = Client(Alice());
  LibraryClient bob = Client(Bob());
  alice.KeepWhatIsRevoked();
  const HeldBuffer made = alice.Allocate(kBytes);
  ControlClient control = Control();
  auto resetting = control.StartToReset("dev0", kLongMs);
  alice.AwaitNotice("revoke ");
  bob.process().Must("library-set-timeout 3200");
  const Reply refused =
      bob.process().Do("library-allocate-waiting " + std::to_string(kBytes) + " -");
  EXPECT_FALSE(refused.ok);
  EXPECT_TRUE(StartsWith(refused.Text(), "DEVICE_UNAVAILABLE dev0 is REVOKING; a DEVICE notice"))
      << refused.Text();
  alice.Release(made);
  EXPECT_EQ(resetting.get().only().verdict, LetGo());
  daemon().ExpectNothingInUse();
}

}  // namespace
}  // namespace hlbuf
