// SPDX-License-Identifier: Apache-2.0
// A client that never reads: descriptors in its queue are charged to the daemon's uid and cannot be
// taken back. The daemon has so few descriptors here that it could not afford one such user, and no
// capability that would lift the kernel's limit.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <regex>
#include <vector>

#include "tests/hostile/as_user.h"
#include "tests/support/control_client.h"
#include "tests/support/daemon_process.h"

namespace hlbuf {
namespace {

using Duration = std::chrono::steady_clock::duration;

// Of most rounds, and of each: a busy machine may stop everybody for a while.
constexpr std::chrono::milliseconds kServedWithin(100);
constexpr std::chrono::seconds kServedAtLast(2);
constexpr std::uint64_t kPage = 4096;

class UnreadGrants : public DaemonTest {
 protected:
  UnreadGrants() {
    Start({.nofile = 64, .uid = DaemonProcess::kServiceUid});
    const AsUser bob(Bob());
    honest_ = Greeted();
  }
  // Another user's whole round: allocate, open, release.
  void ExpectHonestIsServed() {
    const auto asked = std::chrono::steady_clock::now();
    const std::optional<Packet> made = honest_.Ask(AllocateFrame(++cookie_, kPage));
    ASSERT_TRUE(made.has_value());
    ASSERT_EQ(made->opcode(), HLBUF_WIRE_ALLOCATED) << made->text();
    const auto buffer = made->As<hlbuf_wire_allocated>();
    const std::optional<Packet> opened = honest_.Ask(OpenFrame(++cookie_, {buffer.buffer_id}));
    ASSERT_TRUE(opened.has_value());
    ASSERT_EQ(opened->fds.size(), 1U) << opened->text();
    rounds_.push_back(std::chrono::steady_clock::now() - asked);
    EXPECT_LT(rounds_.back(), kServedAtLast);
    const auto lease = opened->ItemAt<hlbuf_wire_opened_item>(0).lease_id;
    ASSERT_EQ(honest_.Send(ReleaseFrame({buffer.lease_id, lease})), 0);
  }
  // As the daemon derived it and said.
  std::size_t SessionsOfOneDomain() {
    const std::string log = daemon().Log();
    std::smatch found;
    const bool said = std::regex_search(log, found, std::regex("one domain: .*?([0-9]+) sessions"));
    EXPECT_TRUE(said) << log;
    return said ? std::stoul(found[1]) : 0;
  }
  // Also ends what it has, so that nothing of it is among the descriptors at the end.
  void TearDown() override {
    std::sort(rounds_.begin(), rounds_.end());
    if (!rounds_.empty()) {
      EXPECT_LT(rounds_[rounds_.size() / 2], kServedWithin);
    }
    honest_.Close();
    DaemonTest::TearDown();
  }

  RawClient honest_;
  std::uint64_t cookie_ = 1;
  std::vector<Duration> rounds_;
};

// Asks for grants and reads nothing, not even what it is told when the daemon has enough of it.
RawClient Silent(const std::string& path) {
  const AsUser alice(Alice());
  RawClient client = RawClient::Connect(path);
  EXPECT_TRUE(client);
  for (const auto& frame :
       {HelloFrame(), AllocateFrame(2, kPage), AllocateFrame(3, kPage), AllocateFrame(4, kPage)})
    static_cast<void>(client.Send(frame));
  return client;
}

TEST_F(UnreadGrants, OfOneUserTwoHundredTimesLeaveAnotherServed) {
  std::vector<RawClient> silent;
  for (int i = 0; i < 200; ++i) {
    silent.push_back(Silent(daemon().client_socket()));
    ExpectHonestIsServed();
  }
  const auto sessions = ControlClient(daemon().control_socket()).SessionsOf(*Alice().uid);
  EXPECT_GE(sessions.size(), 1U) << "the first ones were taken";
  EXPECT_LE(sessions.size(), SessionsOfOneDomain()) << "and not all that there was";
}

// Parents that die and leave an unread grant to a child that sleeps: the session is over, its
// descriptors are not.
TEST_F(UnreadGrants, ThatOthersInheritedAreChargedToTheirUser) {
  ClientProcess mallory(Alice());
  std::vector<std::unique_ptr<ClientProcess>> sleepers;
  for (int i = 0; i < 40; ++i) {
    const std::unique_ptr<ClientProcess> parent = mallory.Fork();
    const SessionThere session = SessionThere::Connect(*parent, daemon().client_socket());
    for (const auto& frame : {HelloFrame(), AllocateFrame(2, kPage)})
      static_cast<void>(parent->Do("send " + std::to_string(session.socket()),
                                   {reinterpret_cast<const char*>(frame.data()), frame.size()}));
    sleepers.push_back(parent->Fork());
    parent->Kill();
    ExpectHonestIsServed();
  }
  ControlClient control(daemon().control_socket());
  const auto sessions = control.SessionsOf(*Alice().uid);
  EXPECT_LE(sessions.size(), SessionsOfOneDomain());
  sleepers.clear();
  EXPECT_TRUE(Eventually([&] { return control.SessionsOf(*Alice().uid).empty(); }));
  EXPECT_EQ(Silent(daemon().client_socket()).ReceiveAnswer()->opcode(), HLBUF_WIRE_WELCOME)
      << "what is gone does not count";
}

TEST_F(UnreadGrants, AreTakenBackWhenTheirReceiverIsGone) {
  for (int round = 0; round < 50; ++round) {
    RawClient client = Silent(daemon().client_socket());
    ASSERT_EQ(client.ReceiveAnswer()->opcode(), HLBUF_WIRE_WELCOME)
        << "round " << round << ": what is gone still counts";
    ASSERT_TRUE(client.Readable(RawClient::kDeadlineMs));
    client.Close();
    daemon().ExpectNothingInUse();
  }
}

}  // namespace
}  // namespace hlbuf
