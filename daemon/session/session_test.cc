// SPDX-License-Identifier: Apache-2.0
// Sessions over real sockets, against a real broker with a software device.
#include "daemon/session/session.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/raw_client.h"
#include "tests/support/session_rig.h"

namespace hlbuf {
namespace {

hlbuf_wire_allocated Allocated(RawClient& client, const std::string& name = "") {
  const std::optional<Packet> answer = client.Ask(AllocateFrame(7, 4096, name));
  EXPECT_TRUE(answer.has_value());
  EXPECT_EQ(answer->opcode(), HLBUF_WIRE_ALLOCATED) << answer->text();
  EXPECT_EQ(answer->fds.size(), 1U);
  return answer->As<hlbuf_wire_allocated>();
}

std::size_t SessionCount(SessionRig& rig) {
  std::size_t count = 0;
  rig.OnLoop([&](Broker& broker) { count = broker.ledger().sessions.size(); });
  return count;
}

TEST(Session, IsWelcomedWithItsLimits) {
  SessionRig rig;
  RawClient client = RawClient::Connect(rig.path());
  const std::optional<Packet> answer = client.Ask(HelloFrame(42));
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->cookie(), 42U);
  const auto welcome = answer->As<hlbuf_wire_welcome>();
  EXPECT_EQ(welcome.version, std::uint32_t{HLBUF_WIRE_VERSION});
  EXPECT_EQ(welcome.batch_max, std::uint32_t{HLBUF_WIRE_BATCH_MAX});
  EXPECT_EQ(welcome.requests_max, Session::kRequestsMax);
}

TEST(Session, AllocatesAndOpensTheSameBytes) {
  SessionRig rig;
  RawClient producer = RawClient::Greeted(rig.path());
  RawClient consumer = RawClient::Greeted(rig.path());
  const std::optional<Packet> made = producer.Ask(AllocateFrame(2, 10'000, "weights"));
  ASSERT_TRUE(made.has_value() && made->fds.size() == 1);
  const auto allocated = made->As<hlbuf_wire_allocated>();
  EXPECT_EQ(allocated.size_bytes, 12'288U);
  ASSERT_EQ(::pwrite(made->fds[0].get(), "hello", 5, 0), 5);

  const std::optional<Packet> opened = consumer.Ask(OpenNameFrame(3, "weights"));
  ASSERT_TRUE(opened.has_value() && opened->fds.size() == 1);
  const auto item = opened->ItemAt<hlbuf_wire_opened_item>(0);
  EXPECT_EQ(item.status, std::uint32_t{HLBUF_WIRE_OK});
  EXPECT_EQ(item.buffer_id, allocated.buffer_id);
  EXPECT_NE(item.lease_id, allocated.lease_id);
  char text[6] = {};
  ASSERT_EQ(::pread(opened->fds[0].get(), text, 5, 0), 5);
  EXPECT_STREQ(text, "hello");
}

TEST(Session, AnswersABatchItemByItem) {
  SessionRig rig;
  RawClient client = RawClient::Greeted(rig.path());
  const auto buffer = Allocated(client);
  const std::optional<Packet> opened =
      client.Ask(OpenFrame(3, {buffer.buffer_id, 12345, buffer.buffer_id}));
  ASSERT_TRUE(opened.has_value());
  EXPECT_EQ(opened->fds.size(), 2U);
  EXPECT_EQ(opened->ItemAt<hlbuf_wire_opened_item>(0).status, std::uint32_t{HLBUF_WIRE_OK});
  EXPECT_EQ(opened->ItemAt<hlbuf_wire_opened_item>(1).status, std::uint32_t{HLBUF_WIRE_NOT_FOUND});
  EXPECT_EQ(opened->ItemAt<hlbuf_wire_opened_item>(2).status, std::uint32_t{HLBUF_WIRE_OK});
}

TEST(Session, SaysWhatBecameOfAStaleId) {
  SessionRig rig;
  RawClient client = RawClient::Greeted(rig.path());
  const auto buffer = Allocated(client);
  ASSERT_EQ(client.Send(ReleaseFrame({buffer.lease_id})), 0);
  rig.Until([](Broker& broker) { return broker.ledger().registry.size() == 0; });
  const std::optional<Packet> opened = client.Ask(OpenFrame(3, {buffer.buffer_id}));
  ASSERT_TRUE(opened.has_value());
  EXPECT_EQ(opened->ItemAt<hlbuf_wire_opened_item>(0).status, std::uint32_t{HLBUF_WIRE_GONE});
  EXPECT_NE(opened->text().find("freed at the end of its last lease"), std::string::npos);
}

TEST(Session, EndsWithItsLeasesWhenTheConnectionEnds) {
  SessionRig rig;
  RawClient client = RawClient::Greeted(rig.path());
  Allocated(client);
  client.Close();
  rig.Until([](Broker& broker) {
    return broker.ledger().sessions.empty() && broker.ledger().registry.size() == 0;
  });
  rig.OnLoop([](Broker& broker) { EXPECT_EQ(broker.ledger().accounts.size(), 0U); });
}

TEST(Session, EndsWhenItsProcessExitsThoughAWorkerKeepsTheSocket) {
  SessionRig rig;
  int ready[2];
  int hold[2];
  ASSERT_EQ(::pipe2(ready, O_CLOEXEC), 0);
  ASSERT_EQ(::pipe2(hold, O_CLOEXEC), 0);
  const pid_t parent = ::fork();
  if (parent == 0) {
    RawClient client = RawClient::Greeted(rig.path());
    Allocated(client);
    if (::fork() == 0) {
      ::close(hold[1]);
      char c = 0;
      static_cast<void>(::read(hold[0], &c, 1));  // keeps the socket until the test ends
      ::_exit(0);
    }
    static_cast<void>(::write(ready[1], "x", 1));
    ::_exit(0);
  }
  char c = 0;
  ASSERT_EQ(::read(ready[0], &c, 1), 1);
  ASSERT_EQ(::waitpid(parent, nullptr, 0), parent);
  rig.Until([](Broker& broker) {
    return broker.ledger().sessions.empty() && broker.ledger().registry.size() == 0;
  });
  for (const int fd : {ready[0], ready[1], hold[0], hold[1]}) ::close(fd);
}

TEST(Session, SendsNothingMoreUntilAGrantIsReceived) {
  SessionRig rig;
  RawClient client = RawClient::Greeted(rig.path());
  const auto buffer = Allocated(client);
  ASSERT_EQ(client.Send(OpenFrame(10, {buffer.buffer_id})), 0);
  ASSERT_EQ(client.Send(OpenFrame(11, {buffer.buffer_id})), 0);
  ASSERT_EQ(client.Send(OpenFrame(12, {buffer.buffer_id})), 0);
  ASSERT_TRUE(client.Readable(RawClient::kDeadlineMs));
  rig.OnLoop([](Broker& broker) {
    const SessionRecord& session = *broker.ledger().sessions.begin()->second;
    EXPECT_EQ(session.in_flight.amount(), 1U);
    EXPECT_EQ(session.leases.size(), 2U);  // the allocation's, and one OPEN's
  });
  for (std::uint64_t cookie = 10; cookie <= 12; ++cookie) {
    const std::optional<Packet> answer = client.Receive();
    ASSERT_TRUE(answer.has_value());
    EXPECT_EQ(answer->cookie(), cookie);
    EXPECT_EQ(answer->fds.size(), 1U);
  }
}

TEST(Session, AnswersEachOfManyPipelinedAllocations) {
  SessionRig rig;
  RawClient client = RawClient::Greeted(rig.path());
  for (std::uint64_t cookie = 1; cookie <= 40; ++cookie) {
    ASSERT_EQ(client.Send(AllocateFrame(cookie, 4096)), 0);
    if (cookie <= 8) continue;  // some ahead, so that the answers wait for each other
    const std::optional<Packet> answer = client.Receive();
    ASSERT_TRUE(answer.has_value());
    EXPECT_EQ(answer->opcode(), HLBUF_WIRE_ALLOCATED) << answer->text();
    EXPECT_EQ(answer->cookie(), cookie - 8);
  }
}

TEST(Session, StaysParkedAndChargedWhileItsGrantIsUnread) {
  SessionRig rig;
  RawClient client = RawClient::Greeted(rig.path());
  const auto buffer = Allocated(client);
  ASSERT_EQ(client.Send(OpenFrame(10, {buffer.buffer_id})), 0);
  ASSERT_TRUE(client.Readable(RawClient::kDeadlineMs));
  ASSERT_EQ(client.Send(DevicesFrame(11)), 0);
  rig.OnLoop([](Broker&) {});
  // Its process is said to have gone; the descriptor is in its queue all the same.
  RawClient other = RawClient::Greeted(rig.path());
  rig.OnLoop([&](Broker& broker) { EXPECT_EQ(broker.ledger().sessions.size(), 2U); });
  client.Close();  // empties the queue
  rig.Until([](Broker& broker) { return broker.ledger().sessions.size() == 1; });
}

TEST(Session, IsAskedBackItsLeasesAndAcknowledgesByReleasing) {
  SessionRig rig;
  RawClient client = RawClient::Greeted(rig.path());
  const auto buffer = Allocated(client);
  std::optional<RevocationReport> report;
  rig.OnLoop([&](Broker& broker) {
    const BufferId id{buffer.buffer_id};
    ASSERT_TRUE(broker
                    .RevokeBuffers({&id, 1}, absl::Seconds(30),
                                   [&](const RevocationReport& r) { report = r; })
                    .ok());
  });
  const std::optional<Packet> revoke = client.Receive();
  ASSERT_TRUE(revoke.has_value());
  ASSERT_EQ(revoke->opcode(), HLBUF_WIRE_REVOKE);
  EXPECT_EQ(revoke->As<hlbuf_wire_revoke>().reason, std::uint32_t{HLBUF_WIRE_REVOKE_OPERATOR});
  EXPECT_EQ(revoke->ItemAt<hlbuf_wire_revoked_lease>(0).lease_id, buffer.lease_id);
  const std::optional<Packet> refused = client.Ask(OpenFrame(3, {buffer.buffer_id}));
  EXPECT_EQ(refused->ItemAt<hlbuf_wire_opened_item>(0).status, std::uint32_t{HLBUF_WIRE_REVOKED});
  ASSERT_EQ(client.Send(ReleaseFrame({buffer.lease_id})), 0);
  rig.Until([&](Broker&) { return report.has_value(); });
  ASSERT_EQ(report->verdicts.size(), 1U);
  EXPECT_EQ(report->verdicts[0].verdict.kind, Verdict::Kind::kAcknowledged);
}

TEST(Session, LearnsOfEachStepOfAReset) {
  SessionRig rig;
  RawClient client = RawClient::Greeted(rig.path());
  rig.OnLoop([](Broker& broker) {
    EXPECT_TRUE(
        broker.SimulateReset("software0", Drill::kNone, absl::Seconds(5), [](const ResetReport&) {})
            .ok());
  });
  std::vector<std::uint32_t> states;
  while (states.empty() || states.back() != HLBUF_WIRE_DEVICE_READY) {
    const std::optional<Packet> notice = client.Receive();
    ASSERT_TRUE(notice.has_value());
    ASSERT_EQ(notice->opcode(), HLBUF_WIRE_DEVICE);
    states.push_back(notice->As<hlbuf_wire_device>().state);
  }
  EXPECT_EQ(states.front(), std::uint32_t{HLBUF_WIRE_DEVICE_REVOKING});
}

TEST(Session, IsEndedWhenNoHelloComesInTime) {
  SessionRigOptions options;
  options.timing.hello_timeout = absl::Milliseconds(50);
  SessionRig rig(options);
  RawClient client = RawClient::Connect(rig.path());
  EXPECT_EQ(client.DrainToEnd(), HLBUF_WIRE_GOODBYE);
  EXPECT_EQ(SessionCount(rig), 0U);
}

TEST(Session, AnUnansweredPingIsToldOnceAndCostsNothing) {
  SessionRigOptions options;
  options.timing.ping_interval = absl::Milliseconds(20);
  SessionRig rig(options);
  RawClient client = RawClient::Greeted(rig.path());
  const auto told = [&] {
    int count = 0;
    for (const Event& event : rig.Events())
      count += event.kind == EventKind::kPingUnanswered ? 1 : 0;
    return count;
  };
  rig.Until([](Broker& broker) {
    return broker.ledger().sessions.begin()->second->unanswered_ping_since.has_value();
  });
  EXPECT_EQ(told(), 1);
  const std::optional<Packet> ping = client.Receive();
  ASSERT_TRUE(ping.has_value());
  ASSERT_EQ(ping->opcode(), HLBUF_WIRE_PING);
  ASSERT_EQ(client.Send(PongFrame(ping->As<hlbuf_wire_ping>().nonce)), 0);
  rig.Until([](Broker& broker) {
    return !broker.ledger().sessions.begin()->second->unanswered_ping_since.has_value();
  });
}

TEST(Session, BeyondItsDomainsLimitIsToldWhyAndEnded) {
  SessionRigOptions options;
  options.limits.domain[static_cast<std::size_t>(Resource::kSessions)] = 1;
  SessionRig rig(options);
  RawClient first = RawClient::Greeted(rig.path());
  RawClient second = RawClient::Connect(rig.path());
  const std::optional<Packet> goodbye = second.Receive();
  ASSERT_TRUE(goodbye.has_value());
  EXPECT_EQ(goodbye->opcode(), HLBUF_WIRE_GOODBYE);
  EXPECT_NE(goodbye->text().find("1 of 1 sessions"), std::string::npos) << goodbye->text();
}

TEST(Session, GetsBusyWhenTooMuchIsInFlight) {
  SessionRigOptions options;
  options.limits.domain[static_cast<std::size_t>(Resource::kInFlight)] = 2;
  SessionRig rig(options);
  RawClient mute = RawClient::Greeted(rig.path());
  const auto buffer = Allocated(mute);
  ASSERT_EQ(mute.Send(OpenFrame(2, {buffer.buffer_id})), 0);
  ASSERT_TRUE(mute.Readable(RawClient::kDeadlineMs));
  RawClient client = RawClient::Greeted(rig.path());
  const std::optional<Packet> answer =
      client.Ask(OpenFrame(3, {buffer.buffer_id, buffer.buffer_id}));
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->opcode(), HLBUF_WIRE_ERROR);
  EXPECT_EQ(answer->As<hlbuf_wire_error>().status, std::uint32_t{HLBUF_WIRE_BUSY});
  EXPECT_EQ(mute.Receive()->fds.size(), 1U);
  EXPECT_EQ(client.Ask(OpenFrame(4, {buffer.buffer_id, buffer.buffer_id}))->fds.size(), 2U);
}

TEST(Session, IsToldTheLargestBatchThatCanEverFit) {
  for (Amounts QuotaLimits::*const of :
       {&QuotaLimits::domain, &QuotaLimits::uid, &QuotaLimits::service}) {
    SessionRigOptions options;
    (options.limits.*of)[static_cast<std::size_t>(Resource::kInFlight)] = 2;
    SessionRig rig(options);
    RawClient client = RawClient::Connect(rig.path());
    EXPECT_EQ(client.Ask(HelloFrame())->As<hlbuf_wire_welcome>().batch_max, 2U);
    const auto buffer = Allocated(client);
    const std::optional<Packet> answer =
        client.Ask(OpenFrame(3, {buffer.buffer_id, buffer.buffer_id, buffer.buffer_id}));
    ASSERT_TRUE(answer.has_value());
    EXPECT_EQ(answer->As<hlbuf_wire_error>().status, std::uint32_t{HLBUF_WIRE_QUOTA_EXCEEDED});
    EXPECT_NE(answer->text().find("in_flight_fds"), std::string::npos) << answer->text();
    EXPECT_EQ(client.Ask(OpenFrame(4, {buffer.buffer_id, buffer.buffer_id}))->fds.size(), 2U);
  }
}

}  // namespace
}  // namespace hlbuf
