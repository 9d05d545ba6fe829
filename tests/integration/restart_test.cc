// SPDX-License-Identifier: Apache-2.0
// What a service that was killed and started again owes its clients, with scenarios that a model
// check found, under their numbers.
#include <gtest/gtest.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <csignal>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/support/control_client.h"
#include "tests/support/daemon_process.h"
#include "tests/support/library_client.h"
#include "tests/support/texts.h"

namespace hlbuf {
namespace {

constexpr std::uint64_t kBytes = 64 << 10;
constexpr int kLongMs = 15'000;  // more than a client that complies needs
// Long enough for a client to come back, short enough to wait for one that does not.
const char* const kShortGrace = "[timing]\nreattach_grace = \"2s\"\n";

class Restart : public DaemonTest {
 protected:
  void StartSupervised(const std::string& config = "", const std::string& crash_point = "") {
    DaemonOptions options = {.config = config, .supervised = true};
    if (!crash_point.empty()) options.environment = {"HLBUF_CRASH_POINT=" + crash_point};
    Start(options);
  }
  // It dies of itself, at its crash point.
  void AwaitCrash() {
    ASSERT_TRUE(daemon().supervisor().HasEnded(1)) << "it passed no crash point";
    daemon().AwaitLife(2);
  }
  LibraryClient Client(const User& user) { return {user, daemon().client_socket()}; }
  ControlClient Control() { return ControlClient(daemon().control_socket()); }
  // An idle client comes back when it looks for notices.
  void ComeBack(LibraryClient& client) {
    EXPECT_TRUE(Eventually([&] {
      client.process().Do("library-dispatch 0");
      return IsBack(client.process().pid());
    })) << "process "
        << client.process().pid() << " does not come back";
    client.process().Do("library-dispatch 200");  // reads that it is
  }
  bool IsBack(pid_t pid) {
    ControlClient control = Control();
    for (const User& user : {Alice(), Bob()})
      for (const SessionSeen& session : control.SessionsOf(*user.uid))
        if (session.pid == pid) return session.state == "READY";
    return false;
  }
  std::vector<std::string> EventsOf(const std::string& kind) {
    std::vector<std::string> texts;
    for (const EventSeen& event : Control().Events())
      if (event.kind == kind) texts.push_back(event.text);
    return texts;
  }
  // The same socket that `client` has, which goes on using it.
  RawClient SessionOf(LibraryClient& client) {
    const std::string directory = absl::StrCat("/proc/", client.process().pid(), "/fd");
    for (const auto& entry : std::filesystem::directory_iterator(directory)) {
      if (!StartsWith(std::filesystem::read_symlink(entry).string(), "socket:")) continue;
      UniqueFd fd = client.process().Give(std::stoi(entry.path().filename()));
      sockaddr_un peer = {};
      socklen_t bytes = sizeof(peer);
      if (::getpeername(fd.get(), reinterpret_cast<sockaddr*>(&peer), &bytes) == 0 &&
          daemon().client_socket() == peer.sun_path)
        return RawClient(std::move(fd));
    }
    ADD_FAILURE() << "it has no session";
    return {};
  }
  static bool HasUnreadByPeer(int socket) {
    int bytes = 0;
    return ::ioctl(socket, SIOCOUTQ, &bytes) == 0 && bytes > 0;
  }
  // A process that this one has started.
  static void StopAndAwait(pid_t pid) {
    ::kill(pid, SIGSTOP);
    EXPECT_TRUE(Eventually([&] {
      siginfo_t stopped = {};
      return ::waitid(P_PID, static_cast<id_t>(pid), &stopped, WSTOPPED | WNOHANG) == 0 &&
             stopped.si_pid == pid;
    })) << "process "
        << pid;
  }
  void ExpectLeases(std::uint64_t buffer, std::uint32_t count) {
    EXPECT_TRUE(Eventually([&] {
      const std::optional<BufferSeen> seen = Control().Find(buffer);
      return seen.has_value() && seen->state == "LIVE" && seen->lease_count == count;
    })) << "buffer "
        << buffer;
  }
};

TEST_F(Restart, KeepsBuffersLeasesAndBytes) {
  StartSupervised();
  LibraryClient alice = Client(Alice());
  LibraryClient bob = Client(Bob());
  const HeldBuffer made = alice.Allocate(kBytes, "weights", {"job=7"});
  alice.Share(made.id, "uid", *Bob().uid);
  alice.Write(made, "before");
  daemon().Crash();
  const HeldBuffer opened = bob.OpenNamed("weights", *Alice().uid);
  EXPECT_EQ(opened.id, made.id);
  EXPECT_EQ(opened.epoch, made.epoch);
  EXPECT_EQ(bob.Read(opened, 6), "before");
  alice.Write(made, "behind");
  EXPECT_EQ(bob.Read(opened, 6), "behind");
  ComeBack(alice);
  ExpectLeases(made.id, 2);
  EXPECT_EQ(Control().Find(made.id)->labels, "job=7");
  alice.Release(made);
  bob.Release(opened);
  daemon().ExpectNothingInUse();
}

TEST_F(Restart, EndsWhatItsClientDoesNotComeBackFor) {
  StartSupervised(kShortGrace);
  LibraryClient alice = Client(Alice());
  const HeldBuffer made = alice.Allocate(kBytes);
  daemon().Signal(SIGSTOP);
  alice.process().Kill();
  daemon().Crash();
  EXPECT_TRUE(Eventually([&] { return !Control().Find(made.id).has_value(); }));
  daemon().ExpectNothingInUse();
}

// A gives its descriptor to a process that is no client, and dies with the service. Its buffer is
// over; what the stranger has is the first and only export of it.
TEST_F(Restart, Scenario01_WhatAStrangerHoldsIsNeitherProvenNorGivenOn) {
  StartSupervised(kShortGrace);
  LibraryClient alice = Client(Alice());
  ClientProcess stranger(Stranger());
  const HeldBuffer made = alice.Allocate(kBytes);
  alice.Write(made, "alice's");
  const int passed = stranger.Take(alice.process().Give(made.fd).get());
  daemon().Signal(SIGSTOP);
  alice.process().Kill();
  daemon().Crash();
  LibraryClient bob = Client(Bob());
  if (CountsReferences()) {
    EXPECT_TRUE(Eventually([&] { return Control().Find(made.id)->state == "DRAINING"; }));
    const RevocationSeen seen = Control().Revoke(made.id, /* grace_ms= */ 200);
    EXPECT_EQ(seen.only().verdict, "HELD");
    EXPECT_EQ(daemon().UsedBytes(), kBytes);
  }
  const HeldBuffer next = bob.Allocate(kBytes);
  bob.Write(next, "bob's..");
  EXPECT_EQ(stranger.Read(passed, 7), "alice's");
  stranger.Close(passed);
  bob.Release(next);
  daemon().ExpectNothingInUse();
}

TEST_F(Restart, Scenario02_WhoOpensFirstGetsWhatTheOthersStillHave) {
  StartSupervised();
  LibraryClient alice = Client(Alice());
  LibraryClient bob = Client(Bob());
  const HeldBuffer made = alice.Allocate(kBytes);
  alice.Share(made.id, "uid", *Bob().uid);
  const HeldBuffer held = bob.Open(made.id);
  daemon().Crash();
  const HeldBuffer again = bob.Open(made.id);  // alice has not come back yet
  alice.Write(made, "one file");
  EXPECT_EQ(bob.Read(again, 8), "one file");
  EXPECT_EQ(bob.Read(held, 8), "one file");
  ComeBack(alice);
  ExpectLeases(made.id, 3);
}

// Alice neither reads the grant nor sees the service die; an ECONNRESET is in front of it then.
TEST_F(Restart, Scenario03_AGrantInTheOldSocketIsFoundBeforeTheSessionComesBack) {
  StartSupervised();
  LibraryClient alice = Client(Alice());
  const HeldBuffer made = alice.Allocate(kBytes);
  RawClient same = SessionOf(alice);
  StopAndAwait(daemon().pid());
  alice.process().Begin(absl::StrCat("library-open-id ", made.id));
  EXPECT_TRUE(Eventually([&] { return HasUnreadByPeer(same.fd()); }));
  StopAndAwait(alice.process().pid());
  daemon().Signal(SIGCONT);
  EXPECT_TRUE(same.Readable(kLongMs)) << "nothing was granted";
  const std::vector<std::uint64_t> leases = Control().Leases();
  StopAndAwait(daemon().pid());
  EXPECT_EQ(same.Send(PongFrame(0)), 0);
  daemon().Crash();
  alice.process().Signal(SIGCONT);
  const Reply opened = alice.process().Answer();
  EXPECT_TRUE(opened.ok) << opened.Text();
  EXPECT_EQ(std::set(leases.begin(), leases.end()), (std::set{made.lease, opened.Number(3)}));
  ComeBack(alice);
  ExpectLeases(made.id, 2);
}

// Written down, and never sent.
TEST_F(Restart, Scenario04_AnAllocationThatWasWrittenDownIsAnsweredOnce) {
  StartSupervised("", "before-grant:1");
  LibraryClient alice = Client(Alice());
  const HeldBuffer made = alice.Allocate(kBytes, "weights");
  AwaitCrash();
  const std::vector<BufferSeen> buffers = Control().Buffers();
  ASSERT_EQ(buffers.size(), 1U);
  EXPECT_EQ(buffers[0].id, made.id);
  EXPECT_EQ(buffers[0].lease_count, 1U);
  alice.Release(made);
  daemon().ExpectNothingInUse();
}

TEST_F(Restart, Scenario04_AReleaseThatWasNotReadLeavesNoLease) {
  StartSupervised();
  LibraryClient alice = Client(Alice());
  const HeldBuffer kept = alice.Allocate(kBytes);
  const HeldBuffer released = alice.Allocate(kBytes);
  daemon().Signal(SIGSTOP);
  alice.Release(released);
  daemon().Crash();
  ComeBack(alice);
  EXPECT_TRUE(Eventually([&] { return !Control().Find(released.id).has_value(); }));
  ExpectLeases(kept.id, 1);
}

TEST_F(Restart, Scenario05_ARevocationGoesOnToItsVerdict) {
  StartSupervised();
  LibraryClient alice = Client(Alice());
  LibraryClient bob = Client(Bob());
  alice.KeepWhatIsRevoked();
  const HeldBuffer made = alice.Allocate(kBytes);
  alice.Share(made.id, "uid", *Bob().uid);
  ControlClient asking = Control();
  auto revoking = asking.StartToRevoke(made.id, kLongMs);
  alice.AwaitNotice("revoke ");
  daemon().Crash();
  EXPECT_NE(revoking.get().error, "") << "who asked is told that it has to look again";
  ComeBack(alice);
  EXPECT_EQ(Control().Find(made.id)->state, "REVOKING");
  EXPECT_TRUE(StartsWith(bob.RefusalToOpen(made.id), "REVOKED"));
  alice.Release(made);
  EXPECT_TRUE(Eventually([&] { return !EventsOf("BUFFER_VERDICT").empty(); }));
  EXPECT_TRUE(StartsWith(bob.RefusalToOpen(made.id), "GONE"));
  daemon().ExpectNothingInUse();
}

TEST_F(Restart, Scenario05_ANoticeThatWasNotDeliveredIs) {
  StartSupervised();
  LibraryClient alice = Client(Alice());
  const HeldBuffer made = alice.Allocate(kBytes);
  ControlClient asking = Control();
  auto revoking = asking.StartToRevoke(made.id, kLongMs);
  EXPECT_TRUE(Eventually([&] { return Control().Find(made.id)->state == "REVOKING"; }));
  daemon().Crash();
  static_cast<void>(revoking.get());
  EXPECT_TRUE(Contains(alice.AwaitNotice("revoke "), absl::StrCat(made.id, " OPERATOR")));
  ComeBack(alice);
  daemon().ExpectNothingInUse();
}

TEST_F(Restart, Scenario06_WhatDrainsHasItsDeadlineStill) {
  if (!CountsReferences()) GTEST_SKIP() << "this device shows nobody but lessees";
  StartSupervised();
  LibraryClient alice = Client(Alice());
  ClientProcess stranger(Stranger());
  const HeldBuffer made = alice.Allocate(kBytes);
  const int passed = stranger.Take(alice.process().Give(made.fd).get());
  ControlClient asking = Control();
  auto revoking = asking.StartToRevoke(made.id, /* grace_ms= */ 3'000);
  alice.AwaitNotice("revoke ");
  daemon().Crash();
  static_cast<void>(revoking.get());
  EXPECT_TRUE(Eventually([&] { return !EventsOf("BUFFER_VERDICT").empty(); }));
  EXPECT_TRUE(Contains(EventsOf("BUFFER_VERDICT")[0], "HELD"));
  stranger.Close(passed);
  daemon().ExpectNothingInUse();
}

TEST_F(Restart, Scenario07_EachLeaseComesBackAsItself) {
  StartSupervised();
  LibraryClient alice = Client(Alice());
  const HeldBuffer made = alice.Allocate(kBytes);
  const HeldBuffer opened = alice.Open(made.id);
  daemon().Crash();
  ComeBack(alice);
  alice.Release(made);
  ExpectLeases(made.id, 1);
  alice.Release(opened);
  daemon().ExpectNothingInUse();
}

TEST_F(Restart, Scenario08_ALeaseComesBackWithoutItsDescriptor) {
  StartSupervised();
  LibraryClient alice = Client(Alice());
  const HeldBuffer made = alice.Allocate(kBytes);
  alice.process().Close(made.fd);
  daemon().Crash();
  ComeBack(alice);
  ExpectLeases(made.id, 1);
}

TEST_F(Restart, Scenario09_WhatOneUserFreedShowsNothingToTheNext) {
  StartSupervised();
  LibraryClient alice = Client(Alice());
  const HeldBuffer made = alice.Allocate(kBytes);
  alice.Write(made, "secret");
  alice.Release(made);
  daemon().ExpectNothingInUse();
  daemon().Crash();
  LibraryClient bob = Client(Bob());
  const HeldBuffer next = bob.Allocate(kBytes);
  EXPECT_EQ(bob.Read(next, 6), std::string(6, '\0'));
}

TEST_F(Restart, Scenario11_AnEpochThatWasClosingIsNotGrantedAgain) {
  StartSupervised();
  LibraryClient alice = Client(Alice());
  LibraryClient bob = Client(Bob());
  const HeldBuffer made = alice.Allocate(kBytes);
  alice.KeepWhatIsRevoked();
  ControlClient asking = Control();
  auto resetting = asking.StartToReset("dev0", kLongMs);
  alice.AwaitNotice("revoke ");
  daemon().supervisor().Kill();
  static_cast<void>(resetting.get());
  ASSERT_TRUE(daemon().supervisor().BecomesReady());
  const std::string refusal = bob.RefusalToAllocate(kBytes);
  EXPECT_TRUE(StartsWith(refusal, "DEVICE_UNAVAILABLE")) << "the closing goes on";
  ComeBack(alice);
  alice.Release(made);
  bob.AwaitNotice("device dev0 READY");
  EXPECT_GT(bob.Allocate(kBytes).epoch, made.epoch);
  daemon().AwaitLife(2);
}

TEST_F(Restart, Scenario17_WhoHoldsIsNamedAfterACrashBetweenTheClosingSteps) {
  StartSupervised();
  LibraryClient alice = Client(Alice());
  alice.Allocate(kBytes);
  alice.KeepWhatIsRevoked();
  ControlClient asking = Control();
  auto resetting = asking.StartToReset("dev0", /* grace_ms= */ 2'000);
  alice.AwaitNotice("revoke ");
  daemon().supervisor().Kill();
  static_cast<void>(resetting.get());
  ASSERT_TRUE(daemon().supervisor().BecomesReady());
  ComeBack(alice);
  EXPECT_TRUE(Eventually([&] { return !EventsOf("BUFFER_VERDICT").empty(); }));
  EXPECT_TRUE(Contains(EventsOf("BUFFER_VERDICT")[0], "HELD: 1 reference and 1 lease"));
  EXPECT_TRUE(IsBack(alice.process().pid())) << "whose lease that is, is known";
  daemon().AwaitLife(2);
}

// Nobody has the descriptors any more but those that hold them.
TEST_F(Restart, Scenario18_WhatDiedWithItsKeeperIsNeitherProvenNorGivenOn) {
  StartSupervised();
  LibraryClient alice = Client(Alice());
  LibraryClient bob = Client(Bob());
  const HeldBuffer made = alice.Allocate(kBytes);
  alice.Share(made.id, "uid", *Bob().uid);
  alice.Write(made, "alice's");
  const std::vector<pid_t> keepers = daemon().Keepers();
  ASSERT_FALSE(keepers.empty());
  daemon().Signal(SIGSTOP);
  for (const pid_t keeper : keepers) ::kill(keeper, SIGKILL);
  daemon().Crash();
  ComeBack(alice);
  EXPECT_NE(bob.RefusalToOpen(made.id), "") << "there is nothing to hand out";
  const HeldBuffer next = bob.Allocate(kBytes);
  bob.Write(next, "bob's..");
  EXPECT_EQ(alice.Read(made, 7), "alice's");
  ControlClient asking = Control();
  auto revoking = asking.StartToRevoke(made.id, kLongMs);
  alice.AwaitNotice("revoke ");
  EXPECT_EQ(revoking.get().only().verdict, "ACKNOWLEDGED") << "a dma-buf that is there is PROVEN";
  for (const EventSeen& event : Control().Events()) EXPECT_NE(event.verdict, "PROVEN");
}

}  // namespace
}  // namespace hlbuf
