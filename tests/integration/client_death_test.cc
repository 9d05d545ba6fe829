// SPDX-License-Identifier: Apache-2.0
// Clients that die at every step of the protocol, and in every way: what they had is free again.
#include <gtest/gtest.h>

#include <csignal>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/support/control_client.h"
#include "tests/support/daemon_process.h"
#include "tests/support/library_client.h"
#include "tests/support/texts.h"

namespace hlbuf {
namespace {

constexpr std::uint64_t kBytes = 64 << 10;

// A client that is about to die, the daemon it uses, and a buffer of another user that it may open.
struct Scene {
  DaemonProcess& daemon;
  ClientProcess& client;
  LibraryClient& owner;
  HeldBuffer shared;

  SessionThere Greeted() const { return SessionThere::Greeted(client, daemon.client_socket()); }
};

void BeforeHello(Scene& scene) {
  SessionThere::Connect(scene.client, scene.daemon.client_socket());
}

void AfterHello(Scene& scene) { scene.Greeted(); }

// The client sends `frames` and dies before the daemon reads the first of them.
void DieBeforeTheyAreRead(Scene& scene, SessionThere& session,
                          const std::vector<std::vector<std::byte>>& frames) {
  scene.daemon.Signal(SIGSTOP);
  const std::string stat = absl::StrCat("/proc/", scene.daemon.pid(), "/stat");
  EXPECT_TRUE(Eventually([&] { return Contains(ReadAll(stat), ") T "); }));
  for (const auto& frame : frames) session.Send(frame);
  scene.client.Kill();
  scene.daemon.Signal(SIGCONT);
}

void WithARequestThatTheDaemonHasNotRead(Scene& scene) {
  SessionThere session = scene.Greeted();
  DieBeforeTheyAreRead(scene, session, {AllocateFrame(2, kBytes), OpenFrame(3, {scene.shared.id})});
}

void WithAReleaseThatTheDaemonHasNotRead(Scene& scene) {
  SessionThere session = scene.Greeted();
  const auto grant = session.Ask(OpenFrame(2, {scene.shared.id}));
  ASSERT_TRUE(grant.has_value() && grant->numbers.size() == 1);
  DieBeforeTheyAreRead(scene, session,
                       {ReleaseFrame({grant->ItemAt<hlbuf_wire_opened_item>(0).lease_id})});
}

void WithAShareThatTheDaemonHasNotRead(Scene& scene) {
  SessionThere session = scene.Greeted();
  const auto made = session.Ask(AllocateFrame(2, kBytes));
  ASSERT_TRUE(made.has_value());
  const std::uint64_t id = made->As<hlbuf_wire_allocated>().buffer_id;
  DieBeforeTheyAreRead(
      scene, session,
      {ShareFrame(3, HLBUF_WIRE_SHARE, id, HLBUF_WIRE_GRANTEE_UID, *Alice().uid),
       ShareFrame(4, HLBUF_WIRE_UNSHARE, id, HLBUF_WIRE_GRANTEE_UID, *Alice().uid)});
}

void AwaitUnreadGrant(Scene& scene) {
  ControlClient control(scene.daemon.control_socket());
  EXPECT_TRUE(Eventually([&] {
    const auto sessions = control.SessionsOf(*Bob().uid);
    return sessions.size() == 1 && sessions[0].in_flight_fds == 1;
  }));
}

void WithAGrantThatItHasNotRead(Scene& scene) {
  SessionThere session = scene.Greeted();
  session.Send(OpenFrame(2, {scene.shared.id}));
  session.Send(AllocateFrame(3, kBytes));
  // Answered behind the grant: the answers cannot be there before it.
  AwaitUnreadGrant(scene);
}

void WithABatchBehindAGrantThatItHasNotRead(Scene& scene) {
  SessionThere session = scene.Greeted();
  session.Send(OpenFrame(2, {scene.shared.id}));
  session.Send(OpenFrame(3, std::vector<std::uint64_t>(64, scene.shared.id)));
  AwaitUnreadGrant(scene);
}

void WithAGrantThatItHasRead(Scene& scene) {
  SessionThere session = scene.Greeted();
  EXPECT_EQ(session.Ask(OpenFrame(2, {scene.shared.id}))->numbers.size(), 1U);
  EXPECT_EQ(session.Ask(AllocateFrame(3, kBytes))->numbers.size(), 1U);
}

void WithAMapping(Scene& scene) {
  SessionThere session = scene.Greeted();
  const auto grant = session.Ask(OpenFrame(2, {scene.shared.id}));
  ASSERT_TRUE(grant.has_value() && grant->numbers.size() == 1);
  scene.client.Map(grant->numbers[0], kBytes);
  scene.client.Close(grant->numbers[0]);
}

void WithARevocationThatItHasNotRead(Scene& scene) {
  SessionThere session = scene.Greeted();
  EXPECT_EQ(session.Ask(OpenFrame(2, {scene.shared.id}))->numbers.size(), 1U);
  scene.owner.Unshare(scene.shared.id, "uid", *Bob().uid);
}

void BetweenRevocationAndRelease(Scene& scene) {
  SessionThere session = scene.Greeted();
  EXPECT_EQ(session.Ask(OpenFrame(2, {scene.shared.id}))->numbers.size(), 1U);
  scene.owner.Unshare(scene.shared.id, "uid", *Bob().uid);
  const auto revoke = session.Receive();
  EXPECT_TRUE(revoke.has_value() && revoke->opcode() == HLBUF_WIRE_REVOKE);
}

void WithAGoodbyeThatItHasNotRead(Scene& scene) {
  SessionThere session = scene.Greeted();
  EXPECT_EQ(session.Ask(OpenFrame(2, {scene.shared.id}))->numbers.size(), 1U);
  session.Send(HelloFrame(3));  // a second one breaks the protocol
  ControlClient control(scene.daemon.control_socket());
  EXPECT_TRUE(Eventually([&] { return control.SessionsOf(*Bob().uid).empty(); }));
}

struct Step {
  const char* name;
  void (*play)(Scene&);
};

class ClientDeath : public DaemonTest, public testing::WithParamInterface<Step> {};

TEST_P(ClientDeath, EndsWhatTheClientHadAndNothingElse) {
  Use();
  LibraryClient owner(Alice(), daemon().client_socket());
  ClientProcess client(Bob());
  const HeldBuffer shared = owner.Allocate(kBytes);
  owner.Share(shared.id, "uid", *Bob().uid);
  Scene scene = {daemon(), client, owner, shared};
  GetParam().play(scene);
  client.Kill();

  ControlClient control(daemon().control_socket());
  EXPECT_TRUE(Eventually([&] { return control.SessionsOf(*Bob().uid).empty(); }));
  EXPECT_TRUE(Eventually([&] { return control.Buffers().size() == 1; }));
  const std::optional<BufferSeen> left = control.Find(shared.id);
  ASSERT_TRUE(left.has_value());
  EXPECT_EQ(left->lease_count, 1U);
  owner.Release(shared);
  daemon().ExpectNothingInUse();
}

INSTANTIATE_TEST_SUITE_P(
    AtEachStep, ClientDeath,
    testing::Values(Step{"BeforeHello", BeforeHello}, Step{"AfterHello", AfterHello},
                    Step{"RequestUnread", WithARequestThatTheDaemonHasNotRead},
                    Step{"GrantUnread", WithAGrantThatItHasNotRead},
                    Step{"GrantRead", WithAGrantThatItHasRead}, Step{"Mapped", WithAMapping},
                    Step{"RevocationUnread", WithARevocationThatItHasNotRead},
                    Step{"RevocationRead", BetweenRevocationAndRelease},
                    Step{"ReleaseUnread", WithAReleaseThatTheDaemonHasNotRead},
                    Step{"ShareUnread", WithAShareThatTheDaemonHasNotRead},
                    Step{"BatchBehindUnreadGrant", WithABatchBehindAGrantThatItHasNotRead},
                    Step{"GoodbyeUnread", WithAGoodbyeThatItHasNotRead}),
    [](const testing::TestParamInfo<Step>& step) { return std::string(step.param.name); });

class Worker : public DaemonTest {
 protected:
  Worker() { Use(); }
};

TEST_F(Worker, ThatKeepsTheSocketDoesNotKeepTheSessionOfItsDeadParent) {
  ClientProcess parent(Alice());
  SessionThere session = SessionThere::Greeted(parent, daemon().client_socket());
  const auto grant = session.Ask(AllocateFrame(2, kBytes));
  ASSERT_TRUE(grant.has_value() && grant->numbers.size() == 1);
  const std::unique_ptr<ClientProcess> worker = parent.Fork();
  parent.Kill();

  ControlClient control(daemon().control_socket());
  EXPECT_TRUE(Eventually([&] { return control.SessionsOf(*Alice().uid).empty(); }));
  // What it inherited beside the socket is a reference like any other: nothing takes it back.
  if (CountsReferences()) {
    EXPECT_EQ(daemon().UsedBytes(), kBytes);
    worker->Close(grant->numbers[0]);
  }
  daemon().ExpectNothingInUse();
  EXPECT_FALSE(worker->Do("receive " + std::to_string(session.socket())).ok) << "no end of file";
}

// An unread grant that a worker inherited is charged until the worker has read it, or is dead.
TEST_F(Worker, KeepsTheChargeOfAGrantThatNobodyReads) {
  ClientProcess parent(Alice());
  SessionThere session = SessionThere::Greeted(parent, daemon().client_socket());
  session.Send(AllocateFrame(2, kBytes));
  const std::unique_ptr<ClientProcess> worker = parent.Fork();
  ControlClient control(daemon().control_socket());
  const auto state_is = [&](const std::string& state, std::uint32_t fds) {
    const auto sessions = control.SessionsOf(*Alice().uid);
    return sessions.size() == 1 && sessions[0].state == state && sessions[0].in_flight_fds == fds;
  };
  EXPECT_TRUE(Eventually([&] { return state_is("READY", 1); }));
  parent.Kill();
  EXPECT_TRUE(Eventually([&] { return state_is("PARKED", 1); }));
  worker->Kill();
  EXPECT_TRUE(Eventually([&] { return control.SessionsOf(*Alice().uid).empty(); }));
  daemon().ExpectNothingInUse();
}

TEST_F(Worker, MayConnectItselfAndOutliveItsParent) {
  ClientProcess parent(Alice());
  const SessionThere first = SessionThere::Greeted(parent, daemon().client_socket());
  const std::unique_ptr<ClientProcess> worker = parent.Fork();
  worker->Close(first.socket());
  SessionThere second = SessionThere::Greeted(*worker, daemon().client_socket());
  parent.Kill();
  const auto grant = second.Ask(AllocateFrame(2, kBytes));
  ASSERT_TRUE(grant.has_value());
  EXPECT_EQ(grant->opcode(), HLBUF_WIRE_ALLOCATED);
}

}  // namespace
}  // namespace hlbuf
