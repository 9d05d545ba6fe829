// SPDX-License-Identifier: Apache-2.0
// Accepting, also when there is nothing left to accept with.
#include "daemon/session/listener.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <atomic>
#include <cerrno>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/raw_client.h"
#include "tests/support/session_rig.h"

namespace hlbuf {
namespace {

// For the life of this object the process gets no new descriptor with a number of `limit` or above.
class NofileLimit {
 public:
  explicit NofileLimit(rlim_t limit) {
    EXPECT_EQ(::getrlimit(RLIMIT_NOFILE, &before_), 0);
    const rlimit lowered = {.rlim_cur = limit, .rlim_max = before_.rlim_max};
    EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &lowered), 0);
  }
  ~NofileLimit() { EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &before_), 0); }

 private:
  rlimit before_ = {};
};

// Takes every descriptor that is left.
class Shortage {
 public:
  Shortage() : limit_(64) {
    for (int fd = ::dup(STDERR_FILENO); fd >= 0; fd = ::dup(STDERR_FILENO)) taken_.emplace_back(fd);
    EXPECT_EQ(errno, EMFILE);
  }

 private:
  NofileLimit limit_;
  std::vector<UniqueFd> taken_;
};

// Sockets that need no descriptor any more to be connected.
std::vector<UniqueFd> MakeSockets(std::size_t count) {
  std::vector<UniqueFd> sockets;
  for (std::size_t i = 0; i < count; ++i)
    sockets.emplace_back(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  return sockets;
}

RawClient Connect(UniqueFd socket, const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  EXPECT_EQ(::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)),
            0);
  return RawClient(std::move(socket));
}

// What ended sessions had is closed.
void UntilNobodyIsThere(SessionRig& rig) {
  rig.Until([&](Broker&) { return rig.listener().session_count() == 0; });
  rig.OnLoop([](Broker&) {});  // they are destroyed from the loop, after they have ended
}

int CountRefused(SessionRig& rig) {
  int count = 0;
  for (const Event& event : rig.Events())
    count += event.kind == EventKind::kRequestRefused &&
             event.text.find("LimitNOFILE=") != std::string::npos;
  return count;
}

TEST(Listener, RefusesAtOnceWhenNoDescriptorIsLeftAndServesAgainLater) {
  SessionRig rig;
  for (int shortage = 1; shortage <= 2; ++shortage) {
    std::vector<UniqueFd> sockets = MakeSockets(10);
    {
      const Shortage nothing_left;
      std::vector<RawClient> clients;
      for (UniqueFd& socket : sockets) clients.push_back(Connect(std::move(socket), rig.path()));
      for (RawClient& client : clients) EXPECT_FALSE(client.Receive().has_value());
      EXPECT_GE(CountRefused(rig), shortage);
    }
    EXPECT_TRUE(RawClient::Greeted(rig.path()));
    UntilNobodyIsThere(rig);
  }
}

TEST(Listener, RestsWhileItCannotEvenRefuse) {
  SessionRig rig;
  std::vector<UniqueFd> sockets = MakeSockets(2);
  RawClient client;
  {
    // Below the number of the reserve: given up, it does not come back.
    const NofileLimit none(3);
    client = Connect(std::move(sockets[0]), rig.path());
    EXPECT_LT(rig.RoundsIn(500), 50U);
    EXPECT_FALSE(client.Readable(0)) << "nothing could have answered";
  }
  const std::optional<Packet> welcome = client.Ask(HelloFrame());
  ASSERT_TRUE(welcome.has_value());
  EXPECT_EQ(welcome->opcode(), HLBUF_WIRE_WELCOME);
  // The reserve is back.
  const Shortage nothing_left;
  RawClient next = Connect(std::move(sockets[1]), rig.path());
  EXPECT_FALSE(next.Receive().has_value());
}

TEST(Listener, EndsInAShortageWithoutAWord) {
  RawClient client;
  SessionRig rig;
  std::vector<UniqueFd> sockets = MakeSockets(1);
  const NofileLimit none(3);
  client = Connect(std::move(sockets[0]), rig.path());
  rig.OnLoop([](Broker&) {});  // it rests now; the rig ends before it would listen again
}

TEST(Listener, TakesManyThatComeAtOnce) {
  SessionRigOptions options;
  options.timing.hello_timeout = absl::Minutes(1);
  SessionRig rig(options);
  std::vector<RawClient> clients;
  for (int i = 0; i < 300; ++i) clients.push_back(RawClient::Connect(rig.path()));
  for (RawClient& client : clients) ASSERT_EQ(client.Send(HelloFrame()), 0);
  for (RawClient& client : clients) {
    const std::optional<Packet> welcome = client.Receive();
    ASSERT_TRUE(welcome.has_value());
    EXPECT_EQ(welcome->opcode(), HLBUF_WIRE_WELCOME);
  }
}

TEST(Listener, ForgetsWhoLeavesBeforeItIsGreeted) {
  SessionRig rig;
  for (int i = 0; i < 200; ++i) RawClient::Connect(rig.path()).Close();
  EXPECT_TRUE(RawClient::Greeted(rig.path()));
  rig.Until([](Broker& broker) {
    return broker.ledger().sessions.empty() && broker.ledger().accounts.size() == 0;
  });
  rig.OnLoop([&](Broker&) { EXPECT_EQ(rig.listener().session_count(), 0U); });
}

TEST(Listener, EndsOnlyThoseThatWereNotGreetedInTime) {
  SessionRigOptions options;
  options.timing.hello_timeout = absl::Seconds(1);
  SessionRig rig(options);
  RawClient greeted = RawClient::Greeted(rig.path());
  std::vector<RawClient> silent;
  for (int i = 0; i < 20; ++i) silent.push_back(RawClient::Connect(rig.path()));
  for (RawClient& client : silent) {
    const std::optional<Packet> goodbye = client.Receive();
    ASSERT_TRUE(goodbye.has_value());
    EXPECT_EQ(goodbye->As<hlbuf_wire_goodbye>().reason, std::uint32_t{HLBUF_WIRE_GOODBYE_HELLO});
    EXPECT_FALSE(client.Receive().has_value());
  }
  EXPECT_TRUE(greeted.Ask(DevicesFrame(1)).has_value());
}

TEST(Listener, SaysGoodbyeToAllAndTakesNobodyMore) {
  SessionRig rig;
  std::vector<RawClient> clients;
  for (int i = 0; i < 20; ++i) clients.push_back(RawClient::Greeted(rig.path()));
  clients.push_back(RawClient::Connect(rig.path()));
  rig.Until([&](Broker&) { return rig.listener().session_count() == clients.size(); });
  std::atomic<bool> done = false;
  rig.OnLoop([&](Broker&) {
    rig.listener().Shutdown("that is all", Listener::Leases::kEnd, absl::Minutes(10),
                            [&] { done = true; });
  });
  rig.Until([&](Broker&) { return done.load(); });
  for (RawClient& client : clients) {
    const std::optional<Packet> goodbye = client.Receive();
    ASSERT_TRUE(goodbye.has_value());
    EXPECT_EQ(goodbye->As<hlbuf_wire_goodbye>().reason, std::uint32_t{HLBUF_WIRE_GOODBYE_SHUTDOWN});
    EXPECT_EQ(goodbye->text(), "that is all");
    EXPECT_FALSE(client.Receive().has_value());
  }
  RawClient late = RawClient::Connect(rig.path());  // waits in the backlog
  EXPECT_LT(rig.RoundsIn(100), 20U);
  rig.OnLoop([&](Broker&) { EXPECT_EQ(rig.listener().session_count(), 0U); });
}

TEST(Listener, RestsWhenNothingHappens) {
  SessionRig rig;
  std::vector<RawClient> clients;
  for (int i = 0; i < 20; ++i) clients.push_back(RawClient::Greeted(rig.path()));
  EXPECT_LT(rig.RoundsIn(300), 20U);
}

TEST(Listener, TakesNewTimesForThoseWhoAreThereAndThoseWhoCome) {
  SessionRig rig;
  RawClient there = RawClient::Greeted(rig.path());
  rig.OnLoop([&](Broker&) {
    rig.listener().SetTiming(
        {.hello_timeout = absl::Milliseconds(50), .ping_interval = absl::Milliseconds(20)});
  });
  const std::optional<Packet> ping = there.Receive();
  ASSERT_TRUE(ping.has_value());
  EXPECT_EQ(ping->opcode(), HLBUF_WIRE_PING);
  RawClient silent = RawClient::Connect(rig.path());
  const std::optional<Packet> goodbye = silent.Receive();
  ASSERT_TRUE(goodbye.has_value());
  EXPECT_EQ(goodbye->opcode(), HLBUF_WIRE_GOODBYE);
}

}  // namespace
}  // namespace hlbuf
