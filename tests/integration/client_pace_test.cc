// SPDX-License-Identifier: Apache-2.0
// Clients that are slow, stopped, or somewhere else.
#include <gtest/gtest.h>

#include <csignal>

#include "tests/support/control_client.h"
#include "tests/support/daemon_process.h"
#include "tests/support/library_client.h"

namespace hlbuf {
namespace {

constexpr std::uint64_t kBytes = 64 << 10;

class SlowReader : public DaemonTest {
 protected:
  SlowReader() { Use(); }
};

TEST_F(SlowReader, GetsEveryAnswerInOrderAndDelaysNobody) {
  constexpr std::uint64_t kRequests = 100;
  RawClient slow = Greeted();
  RawClient other = Greeted();
  const auto made = slow.Ask(AllocateFrame(2, kBytes, "shared"));
  ASSERT_TRUE(made.has_value());
  const std::uint64_t id = made->As<hlbuf_wire_allocated>().buffer_id;
  for (std::uint64_t cookie = 10; cookie < 10 + kRequests; ++cookie)
    ASSERT_EQ(slow.Send(OpenFrame(cookie, {id})), 0);
  for (std::uint64_t cookie = 10; cookie < 10 + kRequests; ++cookie) {
    const auto meanwhile = other.Ask(OpenNameFrame(cookie, "shared"));
    ASSERT_TRUE(meanwhile.has_value());
    EXPECT_EQ(meanwhile->fds.size(), 1U);
    const auto answer = slow.Receive();
    ASSERT_TRUE(answer.has_value());
    EXPECT_EQ(answer->cookie(), cookie);
    EXPECT_EQ(answer->fds.size(), 1U);
  }
}

TEST_F(SlowReader, HasAtMostOneUnreadGrant) {
  ClientProcess process(Alice());
  SessionThere slow = SessionThere::Greeted(process, daemon().client_socket());
  const auto made = slow.Ask(AllocateFrame(2, kBytes));
  ASSERT_TRUE(made.has_value());
  const std::uint64_t id = made->As<hlbuf_wire_allocated>().buffer_id;
  for (std::uint64_t cookie = 3; cookie < 30; ++cookie) slow.Send(OpenFrame(cookie, {id, id}));
  ControlClient control(daemon().control_socket());
  const auto in_flight = [&] { return control.SessionsOf(*Alice().uid).at(0).in_flight_fds; };
  EXPECT_TRUE(Eventually([&] { return in_flight() == 2; }));
  ASSERT_TRUE(slow.Receive().has_value());
  EXPECT_TRUE(Eventually([&] { return in_flight() == 2; }));
  for (std::uint64_t cookie = 4; cookie < 30; ++cookie) {
    EXPECT_LE(in_flight(), 2U);
    ASSERT_TRUE(slow.Receive().has_value());
  }
  // The kernel does not tell of the last receipt; the daemon asks when it hears from the session.
  ASSERT_TRUE(slow.Ask(DevicesFrame(30)).has_value());
  EXPECT_EQ(in_flight(), 0U);
}

TEST_F(SlowReader, ThatIsStoppedIsServedWhenItGoesOn) {
  ClientProcess process(Alice());
  SessionThere session = SessionThere::Greeted(process, daemon().client_socket());
  session.Send(AllocateFrame(2, kBytes));
  process.Signal(SIGSTOP);
  daemon().ExpectAnswersTheBystander();
  process.Signal(SIGCONT);
  const auto grant = session.Receive();
  ASSERT_TRUE(grant.has_value());
  EXPECT_EQ(grant->opcode(), HLBUF_WIRE_ALLOCATED);
}

class Container : public DaemonTest {
 protected:
  Container() { Use(); }
};

// User, mount, pid and network namespaces of its own, and only the clients' directory in them.
TEST_F(Container, NeedsNothingButTheClientsDirectory) {
  LibraryClient outside(Alice(), daemon().client_socket());
  const HeldBuffer made = outside.Allocate(kBytes, "weights");
  outside.Write(made, "forty-two");

  ClientProcess inside(Alice());
  inside.EnterNamespaces(daemon().client_directory());
  EXPECT_FALSE(inside.Do("connect " + daemon().client_socket()).ok)
      << "it sees more than it should";
  SessionThere session = SessionThere::Greeted(inside, "/client/buf.sock");
  const auto opened = session.Ask(OpenNameFrame(2, "weights"));
  ASSERT_TRUE(opened.has_value() && opened->numbers.size() == 1);
  EXPECT_EQ(inside.Read(opened->numbers[0], 9), "forty-two");
  EXPECT_EQ(session.Ask(AllocateFrame(3, kBytes))->opcode(), HLBUF_WIRE_ALLOCATED);

  // The daemon knows it by what it is outside: there it is one process of that user.
  ControlClient control(daemon().control_socket());
  std::vector<pid_t> pids;
  for (const SessionSeen& seen : control.SessionsOf(*Alice().uid)) pids.push_back(seen.pid);
  EXPECT_EQ(pids, (std::vector<pid_t>{outside.process().pid(), inside.pid()}));
}

TEST_F(Container, EndsItsSessionWithItsFirstProcess) {
  ClientProcess inside(Alice());
  inside.EnterNamespaces(daemon().client_directory());
  SessionThere session = SessionThere::Greeted(inside, "/client/buf.sock");
  EXPECT_EQ(session.Ask(AllocateFrame(2, kBytes))->numbers.size(), 1U);
  inside.Kill();
  daemon().ExpectNothingInUse();
}

TEST_F(Container, UsesTheLibraryAsElsewhere) {
  ClientProcess inside(Alice());
  inside.EnterNamespaces(daemon().client_directory());
  inside.Must("library-connect /client/buf.sock");
  const Reply made = inside.Must("library-allocate 65536 mine");
  inside.Write(made.Int(1), "here");
  EXPECT_EQ(inside.Read(made.Int(1), 4), "here");
}

}  // namespace
}  // namespace hlbuf
