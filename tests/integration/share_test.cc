// SPDX-License-Identifier: Apache-2.0
// The main job: processes of several users share memory, as far as they may.
#include <gtest/gtest.h>

#include <set>

#include "tests/support/control_client.h"
#include "tests/support/daemon_process.h"
#include "tests/support/library_client.h"
#include "tests/support/texts.h"

namespace hlbuf {
namespace {

constexpr std::uint64_t kBytes = 64 << 10;
constexpr gid_t kProject = 64'300;

class Share : public DaemonTest {
 protected:
  Share() { Use(); }
  LibraryClient Client(const User& user) { return {user, daemon().client_socket()}; }
};

TEST_F(Share, ShowsTheSameBytesToTwoProcesses) {
  LibraryClient producer = Client(Alice());
  LibraryClient consumer = Client(Alice());
  const HeldBuffer made = producer.Allocate(kBytes, "weights");
  EXPECT_EQ(made.size_bytes, kBytes);
  producer.Write(made, "forty-two");
  const HeldBuffer opened = consumer.OpenNamed("weights", *Alice().uid);
  EXPECT_EQ(opened.id, made.id);
  EXPECT_EQ(opened.epoch, made.epoch);
  EXPECT_NE(opened.lease, made.lease);
  EXPECT_EQ(consumer.Read(opened, 9), "forty-two");
  consumer.Write(opened, "forty-three");
  EXPECT_EQ(producer.Read(made, 11), "forty-three");
}

TEST_F(Share, RefusesAnotherUserByNameOfTheRuleUntilTheOwnerShares) {
  LibraryClient alice = Client(Alice());
  LibraryClient bob = Client(Bob());
  const HeldBuffer made = alice.Allocate(kBytes, "weights");
  alice.Write(made, "hers");
  const std::string refusal = bob.RefusalToOpen(made.id);
  EXPECT_TRUE(StartsWith(refusal, "PERMISSION_DENIED"));
  EXPECT_TRUE(Contains(refusal, "rule 'nothing-matched'"));

  alice.Share(made.id, "uid", *Bob().uid);
  EXPECT_EQ(bob.Read(bob.Open(made.id), 4), "hers");
  EXPECT_EQ(bob.Read(bob.OpenNamed("weights", *Alice().uid), 4), "hers");
}

TEST_F(Share, EndsWithUnshareWhichAsksBackWhatItAllowed) {
  LibraryClient alice = Client(Alice());
  LibraryClient bob = Client(Bob());
  const HeldBuffer made = alice.Allocate(kBytes);
  alice.Share(made.id, "uid", *Bob().uid);
  bob.Open(made.id);
  alice.Unshare(made.id, "uid", *Bob().uid);
  EXPECT_TRUE(Contains(bob.AwaitNotice("revoke "), " UNSHARED"));
  EXPECT_TRUE(StartsWith(bob.RefusalToOpen(made.id), "PERMISSION_DENIED"));
  // The owner's own lease is nobody's SHARE.
  EXPECT_EQ(alice.RefusalToOpen(made.id), "");
}

TEST_F(Share, ReachesTheMembersOfAGroup) {
  LibraryClient alice = Client(Alice());
  LibraryClient member = Client({.uid = Bob().uid, .gids = {DaemonProcess::kClientsGid, kProject}});
  LibraryClient other = Client({.uid = 64'004, .gids = {DaemonProcess::kClientsGid}});
  const HeldBuffer made = alice.Allocate(kBytes);
  alice.Write(made, "ours");
  alice.Share(made.id, "gid", kProject);
  EXPECT_EQ(member.Read(member.Open(made.id), 4), "ours");
  EXPECT_TRUE(StartsWith(other.RefusalToOpen(made.id), "PERMISSION_DENIED"));
}

TEST_F(Share, IsTheOwnersToGiveAlone) {
  LibraryClient alice = Client(Alice());
  LibraryClient bob = Client(Bob());
  const HeldBuffer made = alice.Allocate(kBytes);
  alice.Share(made.id, "uid", *Bob().uid);
  bob.Open(made.id);
  const Reply reply = bob.process().Do("library-share " + std::to_string(made.id) + " uid 64003");
  EXPECT_FALSE(reply.ok);
  EXPECT_TRUE(StartsWith(reply.Text(), "PERMISSION_DENIED"));
}

TEST_F(Share, KeepsStrangersOutsideOfTheSocket) {
  ClientProcess stranger(Stranger());
  const Reply reply = stranger.Do("library-connect " + daemon().client_socket());
  EXPECT_FALSE(reply.ok);
  EXPECT_TRUE(StartsWith(reply.Text(), "CANNOT_CONNECT"));
}

class OpenSocket : public DaemonTest {
 protected:
  OpenSocket() { Start({.socket_keys = "client_mode = \"0666\""}); }
};

TEST_F(OpenSocket, StillLetsNobodyAllocateWhoIsNoClient) {
  LibraryClient stranger(Stranger(), daemon().client_socket());
  const std::string refusal = stranger.RefusalToAllocate(kBytes);
  EXPECT_TRUE(StartsWith(refusal, "PERMISSION_DENIED"));
  EXPECT_TRUE(Contains(refusal, "rule 'nothing-matched'"));
}

TEST_F(Share, GivesEachOwnerNamesOfItsOwn) {
  LibraryClient alice = Client(Alice());
  LibraryClient bob = Client(Bob());
  const HeldBuffer hers = alice.Allocate(kBytes, "weights");
  const HeldBuffer his = bob.Allocate(kBytes, "weights");
  EXPECT_NE(hers.id, his.id);
  EXPECT_TRUE(StartsWith(alice.RefusalToAllocate(kBytes, "weights"), "ALREADY_EXISTS"));
  alice.Release(hers);
  const HeldBuffer again = alice.Allocate(kBytes, "weights");
  EXPECT_NE(again.id, hers.id);
  EXPECT_TRUE(StartsWith(alice.RefusalToOpen(hers.id), "GONE"));
}

TEST_F(Share, OpensABatchAsLargeAsAMessageTakes) {
  constexpr std::size_t kItems = HLBUF_WIRE_BATCH_MAX;
  LibraryClient alice = Client(Alice());
  LibraryClient other = Client(Alice());
  std::vector<std::uint64_t> ids;
  for (int i = 0; i < 8; ++i) ids.push_back(alice.Allocate(4096).id);
  for (std::size_t i = ids.size(); i < kItems; ++i) ids.push_back(ids[i % 8]);
  const std::uint64_t before = other.process().Must("count").Number();
  const std::vector<std::string> places = other.OpenMany(ids);
  EXPECT_EQ(std::set<std::string>(places.begin(), places.end()).size(), kItems);
  EXPECT_EQ(other.process().Must("count").Number(), before + kItems);
  for (const std::string& place : places) other.process().Must("library-release " + place);
  EXPECT_EQ(other.process().Must("count").Number(), before);
}

TEST_F(Share, AnswersEachItemOfABatchByItself) {
  LibraryClient alice = Client(Alice());
  LibraryClient bob = Client(Bob());
  const HeldBuffer shared = alice.Allocate(kBytes);
  const HeldBuffer hers = alice.Allocate(kBytes);
  alice.Share(shared.id, "uid", *Bob().uid);
  const std::vector<std::string> places = bob.OpenMany({shared.id, hers.id, 12345});
  ASSERT_EQ(places.size(), 3U);
  EXPECT_EQ(places[0], "0");
  EXPECT_EQ(places[1], "PERMISSION_DENIED");
  EXPECT_EQ(places[2], "NOT_FOUND");
}

TEST_F(Share, ShowsOperatorsNamesAndLabels) {
  LibraryClient alice = Client(Alice());
  const HeldBuffer made = alice.Allocate(kBytes, "run-7/weights", {"layer=12", "job=train"});
  ControlClient control(daemon().control_socket());
  const std::optional<BufferSeen> seen = control.Find(made.id);
  ASSERT_TRUE(seen.has_value());
  EXPECT_EQ(seen->name, "run-7/weights");
  EXPECT_EQ(seen->labels, "job=train layer=12");
  EXPECT_EQ(seen->owner_uid, *Alice().uid);
  EXPECT_EQ(seen->lease_count, 1U);
  EXPECT_EQ(seen->state, "LIVE");
}

// Scenario 7 of the protocol's rules: a lease for each session and buffer would end for both.
TEST_F(Share, Scenario07_ReleaseThatCrossesAnOpenEndsItsOwnLeaseOnly) {
  RawClient client = Greeted();
  const auto first = client.Ask(AllocateFrame(2, kBytes));
  ASSERT_TRUE(first.has_value());
  const auto made = first->As<hlbuf_wire_allocated>();
  ASSERT_EQ(client.Send(OpenFrame(3, {made.buffer_id})), 0);
  ASSERT_EQ(client.Send(ReleaseFrame({made.lease_id})), 0);
  const auto opened = client.ReceiveAnswer();
  ASSERT_TRUE(opened.has_value());
  const auto item = opened->ItemAt<hlbuf_wire_opened_item>(0);
  ASSERT_EQ(item.status, std::uint32_t{HLBUF_WIRE_OK});
  EXPECT_EQ(opened->fds.size(), 1U);
  // The buffer lives on by the second lease, and ends with it.
  const auto again = client.Ask(OpenFrame(4, {made.buffer_id}));
  const auto third = again->ItemAt<hlbuf_wire_opened_item>(0);
  EXPECT_EQ(third.status, std::uint32_t{HLBUF_WIRE_OK});
  ASSERT_EQ(client.Send(ReleaseFrame({item.lease_id, third.lease_id})), 0);
  const auto gone = client.Ask(OpenFrame(5, {made.buffer_id}));
  EXPECT_EQ(gone->ItemAt<hlbuf_wire_opened_item>(0).status, std::uint32_t{HLBUF_WIRE_GONE});
}

}  // namespace
}  // namespace hlbuf
