// SPDX-License-Identifier: Apache-2.0
// A service that stood still, as in a debugger or on a machine that was suspended: the time that it
// slept through is nobody's fault.
#include <gtest/gtest.h>

#include <csignal>

#include "tests/support/control_client.h"
#include "tests/support/daemon_process.h"
#include "tests/support/library_client.h"
#include "tests/support/texts.h"

namespace hlbuf {
namespace {

constexpr std::uint64_t kBytes = 64 << 10;

class Stall : public DaemonTest {
 protected:
  // It stands still until Continue().
  void StandStill(int ms) {
    daemon().Signal(SIGSTOP);
    EXPECT_TRUE(daemon().RunsFor(ms));
  }
  void Continue() { daemon().Signal(SIGCONT); }
  LibraryClient Client(const User& user) { return {user, daemon().client_socket()}; }
  ControlClient Control() { return ControlClient(daemon().control_socket()); }
};

TEST_F(Stall, AfterARestartCostsNoClientItsLeases) {
  Start({.config = "[timing]\nreattach_grace = \"3s\"\n", .supervised = true});
  LibraryClient alice = Client(Alice());
  const HeldBuffer made = alice.Allocate(kBytes);
  daemon().Crash();
  StandStill(3'500);
  Continue();
  alice.Release(alice.Open(made.id));  // inside of which it comes back
  EXPECT_TRUE(Eventually([&] { return Control().Find(made.id)->lease_count == 1; }));
  EXPECT_EQ(Control().Leases(), std::vector{made.lease});
}

TEST_F(Stall, DoesNotOvertakeWhatWasLetGoInTime) {
  Start();
  LibraryClient alice = Client(Alice());
  alice.KeepWhatIsRevoked();
  const HeldBuffer made = alice.Allocate(kBytes);
  ControlClient asking = Control();
  auto revoking = asking.StartToRevoke(made.id, /* grace_ms= */ 1'000);
  alice.AwaitNotice("revoke ");
  daemon().Signal(SIGSTOP);
  alice.Release(made);
  StandStill(1'500);
  Continue();
  EXPECT_NE(revoking.get().only().verdict, "HELD");
  daemon().ExpectNothingInUse();
}

}  // namespace
}  // namespace hlbuf
