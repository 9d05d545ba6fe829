// SPDX-License-Identifier: Apache-2.0
// Grants that wait, because their client does not read.
#include <grp.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/forked.h"
#include "tests/support/session_steps.h"

namespace hlbuf {
namespace {

using Reports = std::vector<RevocationReport>;

void Revoke(SessionRig& rig, std::uint64_t buffer, Reports& reports) {
  rig.OnLoop([&](Broker& broker) {
    const BufferId id{buffer};
    const auto begun = broker.RevokeBuffers({&id, 1}, absl::Minutes(10),
                                            [&](const auto& r) { reports.push_back(r); });
    EXPECT_TRUE(begun.ok()) << begun.status();
  });
}

std::uint64_t InFlight(SessionRig& rig) {
  std::uint64_t fds = 0;
  rig.OnLoop([&](Broker& b) { fds = b.ledger().accounts.service().used(Resource::kInFlight); });
  return fds;
}

hlbuf_wire_opened_item ItemOf(const std::optional<Packet>& opened, std::size_t index) {
  EXPECT_TRUE(opened.has_value());
  EXPECT_EQ(opened->opcode(), HLBUF_WIRE_OPENED) << opened->text();
  return opened->ItemAt<hlbuf_wire_opened_item>(index);
}

TEST(SessionGrants, AreNotSentWhenTheyWereRevokedWhileTheyWaited) {
  SessionRig rig;
  RawClient owner = RawClient::Greeted(rig.path());
  const auto revoked = Allocated(owner);
  const auto kept = Allocated(owner);
  RawClient client = RawClient::Greeted(rig.path());
  const std::size_t count = FillQueue(rig, client);
  ASSERT_EQ(client.Send(OpenFrame(3, {revoked.buffer_id, kept.buffer_id})), 0);
  rig.Until([](Broker& broker) { return NewestSession(broker).leases.size() == 2; });
  rig.OnLoop([](Broker& broker) { EXPECT_EQ(NewestSession(broker).in_flight.amount(), 0U); });

  Reports reports;
  Revoke(rig, revoked.buffer_id, reports);
  TakeFilled(client, count);
  const std::optional<Packet> opened = client.ReceiveAnswer();
  EXPECT_EQ(ItemOf(opened, 0).status, std::uint32_t{HLBUF_WIRE_REVOKED});
  EXPECT_EQ(ItemOf(opened, 0).lease_id, 0U);
  EXPECT_EQ(ItemOf(opened, 1).status, std::uint32_t{HLBUF_WIRE_OK});
  EXPECT_EQ(ItemOf(opened, 1).buffer_id, kept.buffer_id);
  EXPECT_EQ(opened->fds.size(), 1U);

  // The client never heard of that lease: only the owner's is waited for.
  ASSERT_EQ(owner.Send(ReleaseFrame({revoked.lease_id})), 0);
  rig.Until([&](Broker&) { return reports.size() == 1; });
  EXPECT_EQ(reports[0].verdicts[0].verdict.kind, Verdict::Kind::kAcknowledged);
}

TEST(SessionGrants, AnAllocationThatWasRevokedWhileItWaitedIsTakenBack) {
  SessionRig rig;
  RawClient client = RawClient::Greeted(rig.path());
  const std::size_t count = FillQueue(rig, client);
  ASSERT_EQ(client.Send(AllocateFrame(3, 4096)), 0);
  std::uint64_t buffer = 0;
  rig.Until([&](Broker& broker) {
    const SessionRecord& session = NewestSession(broker);
    if (!session.leases.empty()) buffer = session.leases[0]->buffer->id.value;
    return buffer != 0;
  });
  EXPECT_EQ(InFlight(rig), 0U);

  Reports reports;
  Revoke(rig, buffer, reports);
  TakeFilled(client, count);
  const std::optional<Packet> answer = client.ReceiveAnswer();
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->opcode(), HLBUF_WIRE_ERROR);
  EXPECT_EQ(answer->cookie(), 3U);
  EXPECT_EQ(answer->As<hlbuf_wire_error>().status, std::uint32_t{HLBUF_WIRE_REVOKED});
  EXPECT_TRUE(answer->fds.empty());
  rig.Until(
      [&](Broker& broker) { return reports.size() == 1 && broker.ledger().registry.size() == 0; });
}

TEST(SessionGrants, ThatWaitedAreSentWhenThePeerReads) {
  SessionRig rig;
  RawClient client = RawClient::Greeted(rig.path());
  const auto buffer = Allocated(client);
  const std::size_t count = FillQueue(rig, client);
  ASSERT_EQ(client.Send(AllocateFrame(3, 4096)), 0);
  rig.Until([](Broker& broker) { return NewestSession(broker).leases.size() == 2; });
  ASSERT_EQ(client.Send(OpenFrame(4, {buffer.buffer_id, buffer.buffer_id})), 0);
  TakeFilled(client, count);
  const std::optional<Packet> allocated = client.Receive();
  ASSERT_TRUE(allocated.has_value());
  EXPECT_EQ(allocated->cookie(), 3U);
  EXPECT_EQ(allocated->fds.size(), 1U);
  const std::optional<Packet> opened = client.Receive();
  ASSERT_TRUE(opened.has_value());
  EXPECT_EQ(opened->cookie(), 4U);
  EXPECT_EQ(opened->fds.size(), 2U);
}

TEST(SessionGrants, ThatWaitedAreBusyWhenOthersHaveFilledTheLimitMeanwhile) {
  SessionRigOptions options;
  options.limits.service[static_cast<std::size_t>(Resource::kInFlight)] = 2;
  SessionRig rig(options);
  RawClient greedy = RawClient::Greeted(rig.path());
  const auto buffer = Allocated(greedy);
  RawClient client = RawClient::Greeted(rig.path());
  const std::size_t count = FillQueue(rig, client);
  ASSERT_EQ(client.Send(OpenFrame(3, {buffer.buffer_id})), 0);
  rig.Until([](Broker& broker) { return NewestSession(broker).leases.size() == 1; });
  ASSERT_EQ(greedy.Send(OpenFrame(4, {buffer.buffer_id, buffer.buffer_id})), 0);
  ASSERT_TRUE(greedy.Readable(RawClient::kDeadlineMs));

  TakeFilled(client, count);
  const std::optional<Packet> opened = client.ReceiveAnswer();
  EXPECT_EQ(ItemOf(opened, 0).status, std::uint32_t{HLBUF_WIRE_BUSY});
  EXPECT_TRUE(opened->fds.empty());
  rig.OnLoop([](Broker& broker) { EXPECT_TRUE(NewestSession(broker).leases.empty()); });
  EXPECT_EQ(greedy.Receive()->fds.size(), 2U);
  EXPECT_EQ(client.Ask(OpenFrame(5, {buffer.buffer_id}))->fds.size(), 1U);
}

TEST(SessionGrants, GiveTheirChargeBackHoweverTheyEnd) {
  SessionRig rig;
  RawClient client = RawClient::Greeted(rig.path());
  const auto buffer = Allocated(client);
  const std::uint64_t id = buffer.buffer_id;
  EXPECT_EQ(client.Ask(OpenFrame(2, {id, 404, id, 405}))->fds.size(), 2U);
  EXPECT_EQ(client.Ask(OpenFrame(3, {404}))->fds.size(), 0U);
  LeaveUnread(client, id);
  EXPECT_EQ(InFlight(rig), 1U);
  EXPECT_EQ(client.Receive()->fds.size(), 1U);
  EXPECT_TRUE(client.Ask(DevicesFrame(4)).has_value());  // it is asked only now
  EXPECT_EQ(InFlight(rig), 0U);
}

TEST(SessionGrants, GetNoLaterThanTheLimitOfTheKernelAllows) {
  Forked process([] {
    if (::geteuid() == 0) {
      // CAP_SYS_RESOURCE and CAP_SYS_ADMIN would lift the limit.
      ASSERT_EQ(::setgroups(0, nullptr), 0);
      ASSERT_EQ(::setresgid(34'567, 34'567, 34'567), 0);
      ASSERT_EQ(::setresuid(34'567, 34'567, 34'567), 0);
    }
    SessionRig rig;
    RawClient mute = RawClient::Greeted(rig.path());
    RawClient honest = RawClient::Greeted(rig.path());
    const auto buffer = Allocated(honest);
    const rlimit low = {.rlim_cur = 100, .rlim_max = 100};
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &low), 0);
    ASSERT_EQ(mute.Send(OpenFrame(2, std::vector<std::uint64_t>(150, buffer.buffer_id))), 0);
    ASSERT_TRUE(mute.Readable(RawClient::kDeadlineMs));

    const std::optional<Packet> busy = honest.Ask(OpenFrame(3, {buffer.buffer_id}));
    ASSERT_TRUE(busy.has_value());
    EXPECT_EQ(busy->As<hlbuf_wire_error>().status, std::uint32_t{HLBUF_WIRE_BUSY}) << busy->text();
    const std::optional<Packet> no_buffer = honest.Ask(AllocateFrame(4, 4096));
    ASSERT_TRUE(no_buffer.has_value());
    EXPECT_EQ(no_buffer->As<hlbuf_wire_error>().status, std::uint32_t{HLBUF_WIRE_BUSY});
    EXPECT_EQ(InFlight(rig), 150U);
    rig.OnLoop([](Broker& broker) {
      EXPECT_EQ(NewestSession(broker).leases.size(), 1U) << "what was not sent is leased";
    });
    mute.Close();
    rig.Until([](Broker& broker) { return broker.ledger().sessions.size() == 1; });
    EXPECT_EQ(honest.Ask(OpenFrame(5, {buffer.buffer_id}))->fds.size(), 1U);
  });
  process.ExpectToSucceed();
}

TEST(SessionGrants, EachOfManyPipelinedRequestsIsAnsweredOnce) {
  SessionRig rig;
  RawClient client = RawClient::Greeted(rig.path());
  const auto buffer = Allocated(client);
  std::set<std::uint64_t> owed;
  for (std::uint64_t cookie = 100; cookie < 160; ++cookie) {
    owed.insert(cookie);
    const auto frame = cookie % 3 == 0   ? AllocateFrame(cookie, 4096)
                       : cookie % 3 == 1 ? OpenFrame(cookie, {buffer.buffer_id, 404})
                                         : DevicesFrame(cookie);
    ASSERT_EQ(client.Send(frame), 0);
  }
  while (!owed.empty()) {
    const std::optional<Packet> answer = client.Receive();
    ASSERT_TRUE(answer.has_value());
    EXPECT_EQ(owed.erase(answer->cookie()), 1U) << answer->cookie();
    EXPECT_EQ(answer->fds.size(), answer->cookie() % 3 == 2 ? 0U : 1U);
  }
}

// One thread reads while another asks: the daemon finds its grant taken at any moment, also while
// the kernel still tidies up behind the reader.
TEST(SessionGrants, AreNeverWaitedForInVain) {
  SessionRig rig;
  RawClient client = RawClient::Greeted(rig.path());
  const auto buffer = Allocated(client);
  constexpr std::uint64_t kOpens = 2'000;
  std::uint64_t answered = 0;
  std::thread reader([&] {
    for (; answered < kOpens; ++answered) {
      const std::optional<Packet> answer = client.Receive();
      if (!answer.has_value() || answer->fds.size() != 1) break;
    }
    if (answered < kOpens) ::shutdown(client.fd(), SHUT_RDWR);  // nobody waits for us
  });
  for (std::uint64_t i = 0; i < kOpens; ++i) client.Send(OpenFrame(100 + i, {buffer.buffer_id}));
  reader.join();
  EXPECT_EQ(answered, kOpens);
}

TEST(SessionGrants, CostNoRoundOfTheLoopWhileTheyAreUnread) {
  SessionRig rig;
  RawClient client = RawClient::Greeted(rig.path());
  const auto buffer = Allocated(client);
  LeaveUnread(client, buffer.buffer_id);
  for (std::uint64_t cookie = 1; cookie <= 20; ++cookie)
    ASSERT_EQ(client.Send(DevicesFrame(cookie)), 0);
  EXPECT_LT(rig.RoundsIn(300), 20U);
  RawClient full = RawClient::Greeted(rig.path());
  FillQueue(rig, full);
  ASSERT_EQ(full.Send(AllocateFrame(3, 4096)), 0);
  ASSERT_EQ(full.Send(DevicesFrame(4)), 0);
  rig.Until([](Broker& broker) { return NewestSession(broker).leases.size() == 1; });
  EXPECT_LT(rig.RoundsIn(300), 20U);
}

}  // namespace
}  // namespace hlbuf
