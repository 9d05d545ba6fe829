// SPDX-License-Identifier: Apache-2.0
// How sessions end, and what stays of them while a descriptor is on its way that cannot be taken
// back.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/forked.h"
#include "tests/support/session_steps.h"

namespace hlbuf {
namespace {

// A client process that was killed while one grant was unread, and its child, which has inherited
// the socket.
class KilledClient {
 public:
  explicit KilledClient(const std::string& path) {
    Forked client([&] {
      RawClient connection = RawClient::Greeted(path);
      const auto buffer = Allocated(connection);
      LeaveUnread(connection, buffer.buffer_id);
      if (::fork() == 0) Inherit(connection);
      forked_.Open();
      ::pause();
    });
    EXPECT_TRUE(forked_.Pass());
    client.Kill();
  }
  ~KilledClient() { LetGo(); }

  // The heir takes what is in the queue, its descriptors too, and keeps the socket.
  void Read() {
    read_.Open();
    EXPECT_TRUE(has_read_.Pass());
  }
  // The heir exits.
  void LetGo() { hold_[1].Reset(); }

 private:
  struct Pipe {
    Pipe() {
      int fds[2];
      EXPECT_EQ(::pipe2(fds, O_CLOEXEC), 0);
      ends[0] = UniqueFd(fds[0]);
      ends[1] = UniqueFd(fds[1]);
    }
    UniqueFd& operator[](std::size_t end) { return ends[end]; }
    UniqueFd ends[2];
  };

  [[noreturn]] void Inherit(RawClient& connection) {
    hold_[1].Reset();
    pollfd waits[2] = {{.fd = hold_[0].get(), .events = POLLIN, .revents = 0},
                       {.fd = read_.fd(), .events = POLLIN, .revents = 0}};
    ::poll(waits, 2, -1);
    std::optional<Packet> taken;
    if (waits[1].revents != 0) {
      taken = connection.Receive();
      if (taken.has_value() && taken->fds.size() == 1) has_read_.Open();
    }
    ::poll(waits, 1, -1);
    ::_exit(0);
  }

  Gate forked_, read_, has_read_;
  Pipe hold_;
};

void UntilParked(SessionRig& rig) {
  rig.Until([](Broker& broker) {
    return broker.ledger().sessions.size() == 1 &&
           NewestSession(broker).state == SessionState::kParked;
  });
}

TEST(SessionEnd, KeepsTheChargeOfAGrantThatAnHeirOfTheSocketHasNotRead) {
  SessionRig rig;
  KilledClient client(rig.path());
  UntilParked(rig);
  rig.OnLoop([](Broker& broker) {
    EXPECT_EQ(NewestSession(broker).in_flight.amount(), 1U);
    EXPECT_TRUE(NewestSession(broker).leases.empty()) << "its leases have ended all the same";
    EXPECT_EQ(broker.ledger().accounts.service().used(Resource::kInFlight), 1U);
  });
  rig.Until([](Broker& broker) { return broker.ledger().registry.size() == 0; });
  EXPECT_LT(rig.RoundsIn(300), 20U) << "a parked session keeps the loop busy";
  client.Read();
  rig.Until(IsForgotten);
}

TEST(SessionEnd, ForgetsAParkedSessionWhenItsLastHeirExits) {
  SessionRig rig;
  KilledClient client(rig.path());
  UntilParked(rig);
  client.LetGo();
  rig.Until(IsForgotten);
}

TEST(SessionEnd, AParkedSessionsGrantCountsAgainstItsDomain) {
  SessionRigOptions options;
  options.limits.domain[static_cast<std::size_t>(Resource::kInFlight)] = 1;
  SessionRig rig(options);
  KilledClient killed(rig.path());
  UntilParked(rig);
  RawClient client = RawClient::Greeted(rig.path());
  const std::optional<Packet> busy = client.Ask(AllocateFrame(3, 4096));
  ASSERT_TRUE(busy.has_value());
  EXPECT_EQ(busy->As<hlbuf_wire_error>().status, std::uint32_t{HLBUF_WIRE_BUSY}) << busy->text();
  killed.LetGo();
  rig.Until([](Broker& broker) { return broker.ledger().sessions.size() == 1; });
  EXPECT_EQ(client.Ask(AllocateFrame(4, 4096))->fds.size(), 1U);
}

TEST(SessionEnd, GoodbyeDoesNotOvertakeAnUnreadGrant) {
  SessionRig rig;
  RawClient client = RawClient::Greeted(rig.path());
  const auto buffer = Allocated(client);
  LeaveUnread(client, buffer.buffer_id);
  std::atomic<bool> done = false;
  rig.OnLoop([&](Broker&) {
    rig.listener().Shutdown("that is all", Listener::Leases::kEnd, absl::Minutes(10),
                            [&] { done = true; });
  });
  EXPECT_LT(rig.RoundsIn(100), 20U);
  EXPECT_FALSE(done);
  ASSERT_EQ(client.Send(DevicesFrame(5)), 0);  // is not read any more
  const std::optional<Packet> grant = client.Receive();
  ASSERT_TRUE(grant.has_value());
  EXPECT_EQ(grant->fds.size(), 1U);
  const std::optional<Packet> goodbye = client.Receive();
  ASSERT_TRUE(goodbye.has_value());
  EXPECT_EQ(goodbye->opcode(), HLBUF_WIRE_GOODBYE);
  EXPECT_EQ(goodbye->text(), "that is all");
  EXPECT_FALSE(client.Receive().has_value());
  rig.Until([&](Broker& broker) { return done && IsForgotten(broker); });
}

TEST(SessionEnd, GoodbyeIsTheLastOfWhatWaitsInAFullQueue) {
  SessionRig rig;
  RawClient client = RawClient::Greeted(rig.path());
  const auto buffer = Allocated(client);
  const std::size_t count = FillQueue(rig, client);
  ASSERT_EQ(client.Send(OpenFrame(3, {buffer.buffer_id})), 0);
  rig.Until([](Broker& broker) { return NewestSession(broker).leases.size() == 2; });
  rig.OnLoop([&](Broker& broker) {
    rig.listener().Shutdown("that is all", Listener::Leases::kEnd, absl::Minutes(10), [] {});
    const BufferId id{buffer.buffer_id};
    EXPECT_TRUE(
        broker.RevokeBuffers({&id, 1}, absl::Minutes(10), [](const RevocationReport&) {}).ok());
  });
  TakeFilled(client, count);
  EXPECT_EQ(client.Receive()->opcode(), HLBUF_WIRE_OPENED);
  EXPECT_EQ(client.Receive()->opcode(), HLBUF_WIRE_GOODBYE);
  EXPECT_FALSE(client.Receive().has_value());
  rig.Until(IsForgotten);
}

TEST(SessionEnd, IsNotWaitedForWhenThePeerReadsNothing) {
  SessionRig rig;
  RawClient client = RawClient::Greeted(rig.path());
  const auto buffer = Allocated(client);
  LeaveUnread(client, buffer.buffer_id);
  std::atomic<bool> done = false;
  rig.OnLoop([&](Broker&) {
    rig.listener().Shutdown("that is all", Listener::Leases::kEnd, absl::Milliseconds(50),
                            [&] { done = true; });
  });
  rig.Until([&](Broker&) { return done.load(); });
  UntilParked(rig);
  EXPECT_LT(rig.RoundsIn(100), 20U);
  EXPECT_EQ(client.Send(DevicesFrame(5)), EPIPE) << "a parked session is spoken to";
  EXPECT_EQ(client.Receive()->fds.size(), 1U);
  EXPECT_FALSE(client.Receive().has_value());
  rig.Until(IsForgotten);
}

TEST(SessionEnd, ABrokenFrameBehindAnUnreadGrantIsNotReadYet) {
  SessionRig rig;
  RawClient client = RawClient::Greeted(rig.path());
  const auto buffer = Allocated(client);
  LeaveUnread(client, buffer.buffer_id);
  ASSERT_EQ(client.Send({std::byte{1}}), 0);
  rig.OnLoop([](Broker&) {});
  rig.OnLoop([](Broker& broker) { EXPECT_EQ(NewestSession(broker).state, SessionState::kReady); });
  EXPECT_EQ(client.Receive()->fds.size(), 1U);
  EXPECT_EQ(client.DrainToEnd(), HLBUF_WIRE_GOODBYE);
  rig.Until(IsForgotten);
}

// A pipe hangs up when nobody has its writing end any more, the daemon's queues included.
bool HangsUp(const UniqueFd& reader, int ms) {
  pollfd p = {.fd = reader.get(), .events = POLLIN, .revents = 0};
  return ::poll(&p, 1, ms) == 1;
}

TEST(SessionEnd, Scenario14_DescriptorsThatAPeerSentDoNotRestInAParkedSession) {
  SessionRig rig;
  PairedClient paired = rig.ConnectByPair();
  RawClient& client = paired.client;
  ASSERT_EQ(client.Ask(HelloFrame())->opcode(), HLBUF_WIRE_WELCOME);
  const auto buffer = Allocated(client);
  LeaveUnread(client, buffer.buffer_id);
  int pipe[2];
  ASSERT_EQ(::pipe2(pipe, O_CLOEXEC), 0);
  const UniqueFd reader(pipe[0]);
  UniqueFd writer(pipe[1]);
  // None of it is read while the grant is not. An empty packet looks like the end of file.
  ASSERT_EQ(client.Send({}), 0);
  ASSERT_EQ(client.Send(DevicesFrame(3), std::vector<int>(253, writer.get())), 0);
  ASSERT_EQ(client.Send({}, {writer.get()}), 0);
  ASSERT_EQ(client.Send(std::vector<std::byte>(40'000), {writer.get()}), 0);
  writer.Reset();
  rig.OnLoop([](Broker& broker) { EXPECT_EQ(NewestSession(broker).state, SessionState::kReady); });
  EXPECT_FALSE(HangsUp(reader, 0));

  rig.OnLoop([&](Broker&) {
    rig.listener().Shutdown("that is all", Listener::Leases::kEnd, absl::ZeroDuration(), [] {});
  });
  UntilParked(rig);
  EXPECT_TRUE(HangsUp(reader, RawClient::kDeadlineMs));
  EXPECT_EQ(client.Send(DevicesFrame(4), {STDERR_FILENO}), EPIPE) << "more comes in";
  EXPECT_EQ(client.Receive()->fds.size(), 1U) << "what it was granted is its own";
  rig.Until(IsForgotten);
}

TEST(SessionEnd, WithManyAllocationsUnderWayLeavesNothingBehind) {
  SessionRig rig;
  for (int round = 0; round < 30; ++round) {
    RawClient client = RawClient::Greeted(rig.path());
    for (std::uint64_t cookie = 1; cookie <= 20; ++cookie)
      ASSERT_EQ(client.Send(AllocateFrame(cookie, 4096)), 0);
    if (round % 2 == 0) {
      EXPECT_TRUE(client.Receive().has_value());
    }
    client.Close();
  }
  rig.Until(IsForgotten);
}

TEST(SessionEnd, WithAFullQueueAndMoreBehindItLeavesNothingBehind) {
  SessionRig rig;
  RawClient client = RawClient::Greeted(rig.path());
  const auto buffer = Allocated(client);
  FillQueue(rig, client);
  ASSERT_EQ(client.Send(AllocateFrame(3, 4096)), 0);
  rig.Until([](Broker& broker) { return NewestSession(broker).leases.size() == 2; });
  ASSERT_EQ(client.Send(OpenFrame(4, {buffer.buffer_id})), 0);
  client.Close();
  rig.Until(IsForgotten);
}

TEST(SessionEnd, ComesWhenThePeerSaysThatItWillSendNoMore) {
  SessionRig rig;
  RawClient client = RawClient::Greeted(rig.path());
  Allocated(client);
  ASSERT_EQ(::shutdown(client.fd(), SHUT_WR), 0);
  EXPECT_FALSE(client.Receive().has_value());
  rig.Until(IsForgotten);
}

// What is already in the socket is served before the end of file behind it is seen.
TEST(SessionEnd, TakesTheReleasesThatWereSentBefore) {
  SessionRig rig;
  RawClient owner = RawClient::Greeted(rig.path());
  const auto buffer = Allocated(owner);
  ASSERT_EQ(owner.Send(ReleaseFrame({buffer.lease_id})), 0);
  owner.Close();
  rig.Until(IsForgotten);
  int ended = 0;
  for (const Event& event : rig.Events()) ended += event.kind == EventKind::kSessionEnded ? 1 : 0;
  EXPECT_EQ(ended, 1);
}

TEST(SessionEnd, TheDaemonMayEndWhileGrantsAreUnread) {
  RawClient client;
  {
    SessionRig rig;
    client = RawClient::Greeted(rig.path());
    const auto buffer = Allocated(client);
    LeaveUnread(client, buffer.buffer_id);
  }
  const std::optional<Packet> grant = client.Receive();
  ASSERT_TRUE(grant.has_value());
  EXPECT_EQ(grant->fds.size(), 1U);
  EXPECT_FALSE(client.Receive().has_value());
}

}  // namespace
}  // namespace hlbuf
