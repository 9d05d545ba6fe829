// SPDX-License-Identifier: Apache-2.0
// REATTACH as it comes in, and what is said when the service stops and its state is kept.
#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <set>
#include <string>

#include "daemon/session/random_secret.h"
#include "tests/support/raw_client.h"
#include "tests/support/session_rig.h"
#include "tests/support/session_steps.h"

namespace hlbuf {
namespace {

hlbuf_wire_welcome Greet(RawClient& client, const std::vector<std::byte>& hello) {
  const std::optional<Packet> answer = client.Ask(hello);
  EXPECT_TRUE(answer.has_value() && answer->opcode() == HLBUF_WIRE_WELCOME);
  return answer->As<hlbuf_wire_welcome>();
}

SessionSecret SecretOf(const hlbuf_wire_welcome& welcome) {
  SessionSecret secret;
  std::copy(std::begin(welcome.secret), std::end(welcome.secret), secret.bytes.begin());
  return secret;
}

// The answer, then GOODBYE with the same words, then the end.
void ExpectRefusal(RawClient& client, hlbuf_wire_status status, const std::string& text) {
  const std::optional<Packet> answer = client.Receive();
  ASSERT_TRUE(answer.has_value());
  ASSERT_EQ(answer->opcode(), HLBUF_WIRE_ERROR);
  EXPECT_EQ(answer->cookie(), 9U);
  EXPECT_EQ(answer->As<hlbuf_wire_error>().status, static_cast<std::uint32_t>(status));
  EXPECT_NE(answer->text().find(text), std::string::npos) << answer->text();
  const std::optional<Packet> goodbye = client.Receive();
  ASSERT_TRUE(goodbye.has_value());
  EXPECT_EQ(goodbye->As<hlbuf_wire_goodbye>().reason, std::uint32_t{HLBUF_WIRE_GOODBYE_REATTACH});
  EXPECT_EQ(goodbye->As<hlbuf_wire_goodbye>().leases_kept, 0U);
  EXPECT_FALSE(client.Receive().has_value());
}

void ExpectBrokenOff(RawClient& client, const std::string& text) {
  const std::optional<Packet> answer = client.Receive();
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->As<hlbuf_wire_error>().status, std::uint32_t{HLBUF_WIRE_PROTOCOL_ERROR});
  EXPECT_NE(answer->text().find(text), std::string::npos) << answer->text();
  EXPECT_EQ(client.DrainToEnd(), HLBUF_WIRE_GOODBYE);
}

TEST(RandomSecret, IsNeverTheSame) {
  std::set<std::array<std::uint8_t, 16>> seen;
  for (int i = 0; i < 1000; ++i) seen.insert(RandomSecret().bytes);
  EXPECT_EQ(seen.size(), 1000U);
}

TEST(SessionReattach, GivesASecretToWhoCanComeBack) {
  SessionRig rig;
  RawClient one = RawClient::Connect(rig.path());
  RawClient other = RawClient::Connect(rig.path());
  const hlbuf_wire_welcome first = Greet(one, HelloAgainFrame());
  const hlbuf_wire_welcome second = Greet(other, HelloAgainFrame());
  EXPECT_EQ(first.features, std::uint64_t{HLBUF_WIRE_FEATURE_REATTACH});
  EXPECT_FALSE(SecretOf(first).empty());
  EXPECT_FALSE(SecretOf(first).Matches(SecretOf(second)));
  rig.OnLoop(
      [&](Broker& broker) { EXPECT_TRUE(NewestSession(broker).secret.Matches(SecretOf(second))); });
}

TEST(SessionReattach, GivesNoneToWhoCannot) {
  SessionRig rig;
  RawClient client = RawClient::Connect(rig.path());
  const hlbuf_wire_welcome welcome = Greet(client, HelloFrame());
  EXPECT_EQ(welcome.features, 0U);
  EXPECT_TRUE(SecretOf(welcome).empty());
  rig.OnLoop([](Broker& broker) { EXPECT_TRUE(NewestSession(broker).secret.empty()); });
}

TEST(SessionReattach, RefusesASessionThatIsNotThere) {
  SessionRig rig;
  RawClient client = RawClient::Connect(rig.path());
  ASSERT_EQ(client.Send(ReattachFrame(9, {.session = 4711, .secret = {1}})), 0);
  ExpectRefusal(client, HLBUF_WIRE_NOT_FOUND, "there is no session");
  rig.Until(IsForgotten);
}

// A session whose client is connected is not for the taking, whoever knows its secret.
TEST(SessionReattach, RefusesASessionThatIsServed) {
  SessionRig rig;
  RawClient served = RawClient::Connect(rig.path());
  const hlbuf_wire_welcome welcome = Greet(served, HelloAgainFrame());
  RawClient thief = RawClient::Connect(rig.path());
  ReattachAsk ask = {.session = welcome.session_id};
  std::memcpy(ask.secret, welcome.secret, sizeof(ask.secret));
  ASSERT_EQ(thief.Send(ReattachFrame(9, ask)), 0);
  ExpectRefusal(thief, HLBUF_WIRE_NOT_FOUND, "");
  EXPECT_TRUE(served.Ask(DevicesFrame(2)).has_value());
}

TEST(SessionReattach, AnswersTheLastPartOnly) {
  SessionRig rig;
  RawClient client = RawClient::Connect(rig.path());
  const std::vector<std::uint64_t> leases(HLBUF_WIRE_LEASES_MAX, 7);
  for (int part = 0; part < 20; ++part)
    ASSERT_EQ(client.Send(ReattachFrame(9, {.session = 1, .leases = leases, .more = true})), 0);
  rig.Until([&](Broker&) { return PeerTookEverything(client.fd()); });
  EXPECT_FALSE(client.Readable(0));
  ASSERT_EQ(client.Send(ReattachFrame(9, {.session = 1, .cookies = {5}})), 0);
  ExpectRefusal(client, HLBUF_WIRE_NOT_FOUND, "there is no session");
}

TEST(SessionReattach, ServesNothingBeforeTheLastPart) {
  SessionRig rig;
  for (const std::vector<std::byte>& frame : {HelloFrame(9), DevicesFrame(9), ReleaseFrame({1})}) {
    RawClient client = RawClient::Connect(rig.path());
    ASSERT_EQ(client.Send(ReattachFrame(9, {.session = 1, .more = true})), 0);
    ASSERT_EQ(client.Send(frame), 0);
    EXPECT_EQ(client.DrainToEnd(), HLBUF_WIRE_GOODBYE);
  }
}

TEST(SessionReattach, BreaksOffPartsThatDoNotBelongTogether) {
  SessionRig rig;
  const ReattachAsk first = {.session = 1, .secret = {1}, .more = true};
  const std::vector<std::vector<std::byte>> others = {
      ReattachFrame(10, {.session = 1, .secret = {1}}),
      ReattachFrame(9, {.session = 2, .secret = {1}}),
      ReattachFrame(9, {.session = 1, .secret = {2}})};
  for (const std::vector<std::byte>& other : others) {
    RawClient client = RawClient::Connect(rig.path());
    ASSERT_EQ(client.Send(ReattachFrame(9, first)), 0);
    ASSERT_EQ(client.Send(other), 0);
    ExpectBrokenOff(client, "another cookie, session or secret");
  }
}

TEST(SessionReattach, RemembersNoMoreLeasesThanThePeerCanHave) {
  SessionRigOptions options;
  options.limits.domain[static_cast<std::size_t>(Resource::kLeases)] = 1500;
  SessionRig rig(options);
  RawClient client = RawClient::Connect(rig.path());
  const std::vector<std::uint64_t> leases(HLBUF_WIRE_LEASES_MAX, 7);
  ASSERT_EQ(client.Send(ReattachFrame(9, {.session = 1, .leases = leases, .more = true})), 0);
  ASSERT_EQ(client.Send(ReattachFrame(9, {.session = 1, .leases = leases, .more = true})), 0);
  ExpectRefusal(client, HLBUF_WIRE_QUOTA_EXCEEDED, "more leases than this peer can have, 1500");
  rig.Until(IsForgotten);
}

TEST(SessionReattach, RemembersNoMoreCookiesThanTheProtocolHas) {
  SessionRig rig;
  RawClient client = RawClient::Connect(rig.path());
  const std::vector<std::uint64_t> cookies(HLBUF_WIRE_COOKIES_MAX, 7);
  ASSERT_EQ(client.Send(ReattachFrame(9, {.session = 1, .cookies = cookies, .more = true})), 0);
  ASSERT_EQ(client.Send(ReattachFrame(9, {.session = 1, .cookies = {8}})), 0);
  ExpectBrokenOff(client, "more than 1024 cookies");
}

TEST(SessionReattach, ComesFirstOrNotAtAll) {
  SessionRig rig;
  RawClient client = RawClient::Greeted(rig.path());
  ASSERT_EQ(client.Send(ReattachFrame(9, {.session = 1})), 0);
  ExpectBrokenOff(client, "came after another request");
}

TEST(SessionReattach, OfAnotherVersionLeavesTheSessionNew) {
  SessionRig rig;
  RawClient client = RawClient::Connect(rig.path());
  const std::optional<Packet> answer =
      client.Ask(ReattachFrame(9, {.session = 1, .version = HLBUF_WIRE_VERSION + 1}));
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->As<hlbuf_wire_error>().status, std::uint32_t{HLBUF_WIRE_UNIMPLEMENTED});
  Greet(client, HelloAgainFrame());
}

TEST(SessionReattach, HasTheTimeOfAHello) {
  SessionRigOptions options;
  options.timing.hello_timeout = absl::Milliseconds(200);
  SessionRig rig(options);
  RawClient client = RawClient::Connect(rig.path());
  ASSERT_EQ(client.Send(ReattachFrame(9, {.session = 1, .more = true})), 0);
  const std::optional<Packet> goodbye = client.Receive();
  ASSERT_TRUE(goodbye.has_value());
  EXPECT_EQ(goodbye->As<hlbuf_wire_goodbye>().reason, std::uint32_t{HLBUF_WIRE_GOODBYE_HELLO});
  EXPECT_FALSE(client.Receive().has_value());
}

class KeptState : public ::testing::Test {
 protected:
  void Shutdown(absl::Duration patience) {
    rig_.OnLoop([&](Broker&) {
      rig_.listener().Shutdown("come back", Listener::Leases::kKept, patience,
                               [this] { out_ = true; });
    });
  }
  void AwaitOut() {
    rig_.Until([this](Broker&) {
      rig_.listener().RunDeadlines();
      return out_.load();
    });
  }
  void ExpectLeases(std::size_t count) {
    rig_.OnLoop([&](Broker& broker) {
      EXPECT_EQ(NewestSession(broker).state, SessionState::kReady);
      EXPECT_EQ(NewestSession(broker).leases.size(), count);
    });
  }

  std::atomic<bool> out_ = false;
  SessionRig rig_;
};

TEST_F(KeptState, EndsNoLease) {
  RawClient client = RawClient::Greeted(rig_.path());
  Allocated(client);
  Shutdown(absl::Minutes(10));
  AwaitOut();
  const std::optional<Packet> goodbye = client.Receive();
  ASSERT_TRUE(goodbye.has_value());
  EXPECT_EQ(goodbye->As<hlbuf_wire_goodbye>().reason, std::uint32_t{HLBUF_WIRE_GOODBYE_SHUTDOWN});
  EXPECT_EQ(goodbye->As<hlbuf_wire_goodbye>().leases_kept, 1U);
  EXPECT_EQ(goodbye->text(), "come back");
  EXPECT_FALSE(client.Receive().has_value());
  client.Close();
  EXPECT_LT(rig_.RoundsIn(100), 20U);
  ExpectLeases(1);
}

TEST_F(KeptState, EndsNoLeaseOfAClientThatReadsNothing) {
  RawClient client = RawClient::Greeted(rig_.path());
  LeaveUnread(client, Allocated(client).buffer_id);
  Shutdown(absl::Milliseconds(20));
  AwaitOut();
  ExpectLeases(2);
  EXPECT_EQ(client.DrainToEnd(), HLBUF_WIRE_OPENED);
}

// It has gone before it was told anything: that is the end that it always was.
TEST_F(KeptState, IsNotForAClientThatLeaves) {
  RawClient client = RawClient::Greeted(rig_.path());
  LeaveUnread(client, Allocated(client).buffer_id);
  Shutdown(absl::Minutes(10));
  client.Close();
  AwaitOut();
  rig_.Until(IsForgotten);
}

}  // namespace
}  // namespace hlbuf
