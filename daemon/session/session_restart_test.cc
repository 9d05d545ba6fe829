// SPDX-License-Identifier: Apache-2.0
// Clients that come back after a restart, against a real broker that was restored.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "daemon/core/error.h"
#include "tests/support/raw_client.h"
#include "tests/support/restart_rig.h"

namespace hlbuf {
namespace {

// A client, and what it knows of its session.
class Client {
 public:
  explicit Client(RestartRig& rig) : rig_(rig), client_(RawClient::Connect(rig.path())) {
    Take(client_.Ask(HelloAgainFrame()), HLBUF_WIRE_WELCOME);
  }

  // Sends `ask` for its session over a new connection.
  std::optional<Packet> Reattach(ReattachAsk ask) {
    client_ = RawClient::Connect(rig_.path());
    ask.session = welcome_.session_id;
    std::memcpy(ask.secret, welcome_.secret, sizeof(ask.secret));
    return client_.Ask(ReattachFrame(100, ask));
  }
  void ComeBack(std::vector<std::uint64_t> leases, std::vector<std::uint64_t> cookies = {}) {
    const std::uint64_t session = welcome_.session_id;
    Take(Reattach({.leases = std::move(leases), .cookies = std::move(cookies)}),
         HLBUF_WIRE_REATTACHED);
    EXPECT_EQ(welcome_.session_id, session);
  }
  hlbuf_wire_allocated Allocate(std::uint64_t cookie, const std::string& name = "") {
    std::optional<Packet> answer = client_.Ask(AllocateFrame(cookie, 4096, name));
    EXPECT_TRUE(answer.has_value() && answer->opcode() == HLBUF_WIRE_ALLOCATED &&
                answer->fds.size() == 1);
    return answer->As<hlbuf_wire_allocated>();
  }
  // The next notice of that kind.
  Packet Await(hlbuf_wire_opcode opcode) {
    for (;;) {
      std::optional<Packet> packet = client_.Receive();
      if (!packet.has_value()) return {};
      if (packet->opcode() == opcode) return std::move(*packet);
    }
  }
  const hlbuf_wire_welcome& welcome() const { return welcome_; }
  hlbuf_wire_welcome& welcome() { return welcome_; }
  RawClient& raw() { return client_; }

 private:
  void Take(const std::optional<Packet>& answer, hlbuf_wire_opcode opcode) {
    ASSERT_TRUE(answer.has_value());
    ASSERT_EQ(answer->opcode(), opcode) << answer->text();
    welcome_ = answer->As<hlbuf_wire_welcome>();
  }

  RestartRig& rig_;
  RawClient client_;
  hlbuf_wire_welcome welcome_ = {};
};

std::uint32_t StatusOf(const std::optional<Packet>& answer) {
  return answer.has_value() && answer->opcode() == HLBUF_WIRE_ERROR
             ? answer->As<hlbuf_wire_error>().status
             : 0U;
}

TEST(Hello, IsRefusedWhereItsSessionCannotBeWrittenDown) {
  RestartRig rig;
  rig.OnLoop([&](Broker&) {
    rig.recorder().fail_reserve = Error(ErrorCode::kQuotaExceeded, "no memory for more records");
  });
  RawClient client = RawClient::Connect(rig.path());
  EXPECT_EQ(StatusOf(client.Ask(HelloAgainFrame())), std::uint32_t{HLBUF_WIRE_QUOTA_EXCEEDED});
  rig.OnLoop([&](Broker&) { rig.recorder().fail_reserve = absl::OkStatus(); });
  const std::optional<Packet> welcome = client.Ask(HelloAgainFrame());
  EXPECT_TRUE(welcome.has_value() && welcome->opcode() == HLBUF_WIRE_WELCOME) << "NEW still";
}

std::size_t LeasesOf(RestartRig& rig, const Client& client) {
  std::size_t count = 0;
  rig.OnLoop([&](Broker& broker) {
    const auto it = broker.ledger().sessions.find(SessionId{client.welcome().session_id});
    if (it != broker.ledger().sessions.end()) count = it->second->leases.size();
  });
  return count;
}

ino_t InodeOf(const Packet& grant) {
  struct stat file = {};
  EXPECT_EQ(::fstat(grant.fds.at(0).get(), &file), 0);
  return file.st_ino;
}

TEST(SessionRestart, GivesAClientBackWhatItNames) {
  RestartRig rig;
  Client client(rig);
  const hlbuf_wire_allocated kept = client.Allocate(7, "weights");
  client.Allocate(8, "gradients");
  const hlbuf_wire_welcome before = client.welcome();
  std::optional<Packet> opened = client.raw().Ask(OpenFrame(9, {kept.buffer_id}));
  const ino_t inode = InodeOf(*opened);
  rig.Restart();
  client.ComeBack({kept.lease_id});
  EXPECT_NE(std::memcmp(before.secret, client.welcome().secret, sizeof(before.secret)), 0);
  EXPECT_EQ(LeasesOf(rig, client), 1U);
  rig.Until([](Broker& broker) { return broker.ledger().registry.size() == 1; });
  opened = client.raw().Ask(OpenFrame(10, {kept.buffer_id}));
  EXPECT_EQ(InodeOf(*opened), inode);
}

TEST(SessionRestart, TellsTheStatesOfDevices) {
  RestartRig rig;
  Client client(rig);
  rig.Restart();
  client.ComeBack({});
  const Packet device = client.Await(HLBUF_WIRE_DEVICE);
  EXPECT_EQ(device.As<hlbuf_wire_device>().state, std::uint32_t{HLBUF_WIRE_DEVICE_READY});
  EXPECT_EQ(device.text(), "memory0");
}

TEST(SessionRestart, AnswersAnAllocationThatWasServedByTheSameBuffer) {
  RestartRig rig;
  Client client(rig);
  const hlbuf_wire_allocated first = client.Allocate(7, "weights");
  rig.Restart();
  client.ComeBack({}, {7, 8});
  const hlbuf_wire_allocated again = client.Allocate(7, "weights");
  EXPECT_EQ(again.buffer_id, first.buffer_id);
  EXPECT_EQ(again.lease_id, first.lease_id);
  const hlbuf_wire_allocated other = client.Allocate(8, "gradients");
  EXPECT_NE(other.buffer_id, first.buffer_id);
  EXPECT_EQ(LeasesOf(rig, client), 2U);
  EXPECT_NE(client.Allocate(7).buffer_id, first.buffer_id);  // once is once
}

TEST(SessionRestart, IsForWhoKnowsTheSecret) {
  RestartRig rig;
  Client client(rig);
  const hlbuf_wire_allocated held = client.Allocate(7);
  rig.Restart();
  client.welcome().secret[5] ^= 1;
  EXPECT_EQ(StatusOf(client.Reattach({.leases = {held.lease_id}})),
            std::uint32_t{HLBUF_WIRE_PERMISSION_DENIED});
  EXPECT_EQ(client.raw().DrainToEnd(), HLBUF_WIRE_GOODBYE);
  client.welcome().secret[5] ^= 1;
  client.ComeBack({held.lease_id});
  EXPECT_EQ(LeasesOf(rig, client), 1U);
  const std::vector<Event> events = rig.Events();
  EXPECT_TRUE(std::any_of(events.begin(), events.end(), [](const Event& event) {
    return event.kind == EventKind::kProtocolBroken &&
           event.text.find("secret") != std::string::npos;
  }));
}

TEST(SessionRestart, IsForTheProcessThatHadTheSession) {
  RestartRig rig;
  Client client(rig);
  client.Allocate(7);
  rig.Restart();
  const pid_t child = ::fork();
  if (child == 0) {
    const std::uint32_t status = StatusOf(client.Reattach({}));
    ::_exit(status == HLBUF_WIRE_PERMISSION_DENIED ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  client.ComeBack({}, {7});
}

TEST(SessionRestart, AfterAStopIsTheSame) {
  RestartRig rig;
  Client client(rig);
  const hlbuf_wire_allocated held = client.Allocate(7);
  rig.Stop();
  const Packet goodbye = client.Await(HLBUF_WIRE_GOODBYE);
  EXPECT_EQ(goodbye.As<hlbuf_wire_goodbye>().leases_kept, 1U);
  rig.Start();
  client.ComeBack({held.lease_id});
  EXPECT_EQ(LeasesOf(rig, client), 1U);
}

TEST(SessionRestart, GoesOnWithARevocation) {
  RestartRig rig;
  Client client(rig);
  const hlbuf_wire_allocated held = client.Allocate(7);
  rig.OnLoop([&](Broker& broker) {
    EXPECT_TRUE(broker
                    .RevokeBuffers(std::vector{BufferId{held.buffer_id}}, absl::Minutes(5),
                                   [](const RevocationReport&) {})
                    .ok());
  });
  const std::uint64_t deadline =
      client.Await(HLBUF_WIRE_REVOKE).As<hlbuf_wire_revoke>().deadline_boottime_ns;
  rig.Restart();
  client.ComeBack({held.lease_id});
  const Packet again = client.Await(HLBUF_WIRE_REVOKE);
  EXPECT_EQ(again.As<hlbuf_wire_revoke>().reason, std::uint32_t{HLBUF_WIRE_REVOKE_OPERATOR});
  EXPECT_EQ(again.As<hlbuf_wire_revoke>().deadline_boottime_ns, deadline);
  EXPECT_EQ(again.ItemAt<hlbuf_wire_revoked_lease>(0).lease_id, held.lease_id);
  ASSERT_EQ(client.raw().Send(ReleaseFrame({held.lease_id})), 0);
  rig.Until([](Broker& broker) { return broker.ledger().registry.size() == 0; });
}

// What it does not name was the last that a reset waits for: the device steps on, and this session
// is told, before its REATTACH has been answered.
TEST(SessionRestart, LetsAResetGoOnByWhatItDoesNotName) {
  RestartRig rig;
  Client client(rig);
  client.Allocate(7);
  rig.OnLoop([&](Broker& broker) {
    EXPECT_TRUE(
        broker.SimulateReset("memory0", Drill::kNone, absl::Minutes(5), [](const ResetReport&) {})
            .ok());
  });
  rig.Restart();
  client.ComeBack({});
  rig.Until([](Broker& broker) {
    return broker.devices().front()->state() == DeviceState::kReady &&
           broker.ledger().sessions.size() == 1;
  });
  EXPECT_EQ(client.Await(HLBUF_WIRE_DEVICE).text(), "memory0");
}

TEST(SessionRestart, TellsWhoComesTooLateWhatIsLost) {
  RestartRigOptions options;
  options.reattach_grace = absl::Seconds(1);
  RestartRig rig(options);
  Client client(rig);
  std::vector<std::uint64_t> leases;
  for (std::uint64_t cookie = 10; cookie < 13; ++cookie)
    leases.push_back(client.Allocate(cookie).lease_id);
  rig.Restart();
  rig.Until([](Broker& broker) { return broker.ledger().registry.size() == 0; });
  client.ComeBack(leases);
  const Packet lost = client.Await(HLBUF_WIRE_REVOKE);
  EXPECT_EQ(lost.As<hlbuf_wire_revoke>().reason, std::uint32_t{HLBUF_WIRE_REVOKE_LOST});
  EXPECT_EQ(lost.As<hlbuf_wire_revoke>().deadline_boottime_ns, 0U);
  EXPECT_EQ(lost.As<hlbuf_wire_revoke>().lease_count, leases.size());
  client.Allocate(20);  // the session goes on
}

// A domain that has all the sessions that it may have gets each of them back.
TEST(SessionRestart, FitsIntoTheLimits) {
  RestartRigOptions options;
  options.limits.domain[static_cast<std::size_t>(Resource::kSessions)] = 2;
  RestartRig rig(options);
  Client one(rig);
  Client other(rig);
  rig.Restart();
  one.ComeBack({});
  other.ComeBack({});
  EXPECT_EQ(RawClient::Connect(rig.path()).DrainToEnd(), HLBUF_WIRE_GOODBYE);
}

}  // namespace
}  // namespace hlbuf
