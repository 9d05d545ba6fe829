// SPDX-License-Identifier: Apache-2.0
// The service does not come back, or not in time, or without this session.
#include <poll.h>

#include <chrono>
#include <future>

#include "client/src/restart_fixture.h"

namespace hlbuf::testing {
namespace {

using namespace std::chrono_literals;

class ServiceGone : public RestartTest {
 protected:
  // The session is over, and the buffer told to be.
  void ExpectGone(hlbuf_client* client, hlbuf_buffer* buffer, std::string_view text) {
    EXPECT_EQ(Devices(client), HLBUF_E_SERVICE_GONE);
    EXPECT_NE(std::string_view(error_.text).find(text), std::string_view::npos) << error_.text;
    EXPECT_TRUE(hlbuf_buffer_is_revoked(buffer));
    EXPECT_EQ(DispatchUntil(client, [] { return false; }), HLBUF_E_SERVICE_GONE);
    ASSERT_EQ(listener_.revocations.size(), 1U);
    EXPECT_EQ(listener_.revocations[0].reason,
              static_cast<std::uint32_t>(HLBUF_REVOKE_SERVICE_GONE));
    EXPECT_EQ(listener_.goodbyes.size(), 1U);
  }
};

void Refuse(Conversation& talk, std::uint32_t status, std::string_view text) {
  talk.Send(MakeFrame(
      HLBUF_WIRE_ERROR, talk.ExpectReattach().fixed.header.cookie,
      hlbuf_wire_error{.status = status, .text_bytes = static_cast<std::uint32_t>(text.size())},
      text));
}

TEST_F(ServiceGone, WhenItKnowsTheSessionNoMore) {
  const std::vector<std::pair<std::uint32_t, std::string>> refusals = {
      {HLBUF_WIRE_NOT_FOUND, "NOT_FOUND"},
      {HLBUF_WIRE_PERMISSION_DENIED, "PERMISSION_DENIED"},
      {HLBUF_WIRE_QUOTA_EXCEEDED, "QUOTA_EXCEEDED"},
      {HLBUF_WIRE_UNIMPLEMENTED, "UNIMPLEMENTED"},
      {HLBUF_WIRE_PROTOCOL_ERROR, "PROTOCOL_ERROR"}};  // what the first version says
  for (const auto& [status, name] : refusals) {
    listener_.revocations.clear();
    listener_.goodbyes.clear();
    FakeDaemon daemon([status = status](Conversation& talk) {
      talk.GreetForGood();
      talk.Grant(talk.Expect(HLBUF_WIRE_OPEN), 5);
      talk.HangUp();
      Conversation next = talk.Next();
      Refuse(next, status, "no such session");
      next.ExpectEnd();
    });
    hlbuf_client* client = Connect(daemon, listener_.Options());
    hlbuf_buffer* buffer = OpenOne(client);
    ExpectGone(client, buffer, name + ": no such session");
    EXPECT_TRUE(listener_.goodbyes[0].starts_with("REATTACH: ")) << listener_.goodbyes[0];
    hlbuf_client_close(client);
    hlbuf_buffer_release(buffer);
  }
}

TEST_F(ServiceGone, WhenItDoesNotComeBackInTime) {
  FakeDaemon daemon([&](Conversation& talk) {
    talk.GreetForGood();
    talk.Grant(talk.Expect(HLBUF_WIRE_OPEN), 5);
    talk.Expect(HLBUF_WIRE_OPEN);  // by then it is hidden
  });
  hlbuf_connect_options options = listener_.Options();
  options.reconnect_timeout_ms = 50;
  hlbuf_client* client = Connect(daemon, options);
  hlbuf_buffer* buffer = OpenOne(client);
  daemon.Hide();
  hlbuf_buffer* none = nullptr;
  EXPECT_EQ(hlbuf_open_id(client, 1, &none, &error_), HLBUF_E_SERVICE_GONE);
  ExpectGone(client, buffer, "did not come back within 50 ms: No such file or directory");
  daemon.Show();
  hlbuf_client_close(client);
  hlbuf_buffer_release(buffer);
}

// The tries are a second apart by then: at 1270 ms, and at 2270 ms.
TEST_F(ServiceGone, AtItsTimeAndNotAtTheNextTry) {
  for (const bool polls : {false, true}) {
    FakeDaemon daemon([&](Conversation& talk) {
      talk.GreetForGood();
      talk.Expect(HLBUF_WIRE_DEVICES);  // by then it is hidden
    });
    hlbuf_connect_options options = {};
    options.reconnect_timeout_ms = 1400;
    hlbuf_client* client = Connect(daemon, options);
    pollfd p = {.fd = hlbuf_client_fd(client, &error_), .events = POLLIN, .revents = 0};
    daemon.Hide();
    hlbuf_client_set_timeout(client, polls ? 1 : 20000);
    const auto before = std::chrono::steady_clock::now();
    int code = Devices(client);
    while (polls && code != HLBUF_E_SERVICE_GONE && ::poll(&p, 1, 20000) == 1)
      code = hlbuf_dispatch(client, 0, &error_);
    EXPECT_EQ(code, HLBUF_E_SERVICE_GONE) << error_.text;
    EXPECT_LT(std::chrono::steady_clock::now() - before, 2200ms);
    daemon.Show();
    hlbuf_client_close(client);
  }
}

TEST_F(ServiceGone, WhenItDoesNotAnswerInTime) {
  FakeDaemon daemon([&](Conversation& talk) {
    talk.GreetForGood();
    talk.Grant(talk.Expect(HLBUF_WIRE_OPEN), 5);
    talk.HangUp();
    Conversation next = talk.Next();
    next.ExpectReattach();
    next.ExpectEnd();
  });
  hlbuf_connect_options options = listener_.Options();
  options.reconnect_timeout_ms = 50;
  hlbuf_client* client = Connect(daemon, options);
  hlbuf_buffer* buffer = OpenOne(client);
  ExpectGone(client, buffer, "did not come back within 50 ms: it does not answer");
  hlbuf_client_close(client);
  hlbuf_buffer_release(buffer);
}

TEST_F(ServiceGone, AtOnceForAProgramThatWantsItSo) {
  FakeDaemon daemon([&](Conversation& talk) {
    const Request hello = talk.Expect(HLBUF_WIRE_HELLO);
    EXPECT_EQ(hello.As<hlbuf_wire_hello>().features & HLBUF_WIRE_FEATURE_REATTACH, 0U);
    talk.Send(MakeFrame(HLBUF_WIRE_WELCOME, hello.cookie(), Conversation::WelcomeOf(1)));
    talk.Grant(talk.Expect(HLBUF_WIRE_OPEN), 5);
  });
  hlbuf_connect_options options = listener_.Options();
  options.reconnect_timeout_ms = HLBUF_NO_RECONNECT;
  hlbuf_client* client = Connect(daemon, options);
  hlbuf_buffer* buffer = OpenOne(client);
  ExpectGone(client, buffer, "has died");
  hlbuf_client_close(client);
  hlbuf_buffer_release(buffer);
}

TEST_F(ServiceGone, AtOnceWhereThereIsNoSecret) {
  for (const bool kept : {false, true}) {
    listener_.revocations.clear();
    listener_.goodbyes.clear();
    FakeDaemon daemon([&](Conversation& talk) {
      talk.Greet();
      talk.Grant(talk.Expect(HLBUF_WIRE_OPEN), 5);
      if (kept) talk.Goodbye(HLBUF_WIRE_GOODBYE_SHUTDOWN, "reconnect", true);
    });
    hlbuf_client* client = Connect(daemon, listener_.Options());
    hlbuf_buffer* buffer = OpenOne(client);
    ExpectGone(client, buffer, kept ? "reconnect" : "has died");
    hlbuf_client_close(client);
    hlbuf_buffer_release(buffer);
  }
}

TEST_F(ServiceGone, AtOnceWhenItSaysThatNothingIsKept) {
  for (const std::uint32_t reason :
       {HLBUF_WIRE_GOODBYE_SHUTDOWN, HLBUF_WIRE_GOODBYE_PROTOCOL, HLBUF_WIRE_GOODBYE_QUOTA}) {
    listener_.revocations.clear();
    listener_.goodbyes.clear();
    FakeDaemon daemon([&](Conversation& talk) {
      talk.GreetForGood();
      talk.Grant(talk.Expect(HLBUF_WIRE_OPEN), 5);
      talk.Goodbye(reason, "that was it");
    });
    hlbuf_client* client = Connect(daemon, listener_.Options());
    hlbuf_buffer* buffer = OpenOne(client);
    ExpectGone(client, buffer, "that was it");
    hlbuf_client_close(client);
    hlbuf_buffer_release(buffer);
  }
}

TEST_F(ServiceGone, RefusesATimeoutThatIsNone) {
  hlbuf_connect_options options = {};
  options.struct_bytes = sizeof(options);
  options.reconnect_timeout_ms = -2;
  hlbuf_client* client = nullptr;
  EXPECT_EQ(hlbuf_connect(&options, &client, &error_), HLBUF_E_INVALID_ARGUMENT);
}

class ServiceAway : public RestartTest {};

// The next call goes on where the last one stopped.
TEST_F(ServiceAway, MakesNoCallWaitLongerThanItsTime) {
  std::promise<void> hidden;
  FakeDaemon daemon([&](Conversation& talk) {
    talk.GreetForGood();
    talk.Grant(talk.Expect(HLBUF_WIRE_OPEN), 5);
    hidden.get_future().wait();
    talk.HangUp();
    Conversation next = talk.Next();
    EXPECT_EQ(next.TakeBack().leases, Leases{5});
    AnswerDevices(next);
    next.ExpectEnd();
  });
  hlbuf_client* client = Connect(daemon, listener_.Options());
  hlbuf_buffer* buffer = OpenOne(client);
  daemon.Hide();
  hidden.set_value();
  hlbuf_client_set_timeout(client, 60);
  const auto before = std::chrono::steady_clock::now();
  EXPECT_EQ(Devices(client), HLBUF_E_TIMED_OUT);
  EXPECT_NE(std::string_view(error_.text).find("the service is away"), std::string_view::npos);
  EXPECT_EQ(hlbuf_dispatch(client, 20, &error_), HLBUF_OK);
  EXPECT_LT(std::chrono::steady_clock::now() - before, 5s);
  EXPECT_EQ(listener_.services, std::vector<std::uint32_t>{HLBUF_SERVICE_AWAY});
  EXPECT_FALSE(hlbuf_buffer_is_revoked(buffer));
  EXPECT_GE(hlbuf_buffer_fd(buffer), 0);
  daemon.Show();
  hlbuf_client_set_timeout(client, 20000);
  EXPECT_EQ(Devices(client), HLBUF_OK) << error_.text;
  EXPECT_EQ(hlbuf_dispatch(client, 0, &error_), HLBUF_OK);
  EXPECT_EQ(listener_.services.size(), 2U);
  hlbuf_client_close(client);
  hlbuf_buffer_release(buffer);
}

// Nothing is sent for it: REATTACH does not name it.
TEST_F(ServiceAway, IsNoReasonToKeepABuffer) {
  FakeDaemon daemon([&](Conversation& talk) {
    talk.GreetForGood();
    talk.Grant(talk.Expect(HLBUF_WIRE_OPEN), 5);
    talk.Grant(talk.Expect(HLBUF_WIRE_OPEN), 6);
    talk.HangUp();
    Conversation next = talk.Next();
    EXPECT_EQ(next.TakeBack().leases, Leases{6});
    AnswerDevices(next);
    next.ExpectEnd();
  });
  hlbuf_client* client = Connect(daemon);
  const std::vector<hlbuf_buffer*> buffers = Open(client, 2);
  daemon.Hide();
  hlbuf_client_set_timeout(client, 30);
  EXPECT_EQ(Devices(client), HLBUF_E_TIMED_OUT);
  hlbuf_buffer_release(buffers[0]);
  daemon.Show();
  hlbuf_client_set_timeout(client, 20000);
  EXPECT_EQ(Devices(client), HLBUF_OK) << error_.text;
  hlbuf_client_close(client);
  hlbuf_buffer_release(buffers[1]);
}

// What REATTACH said would come again comes, though nobody waits for it; else its lease would be
// nobody's.
TEST_F(ServiceAway, RepeatsAnAllocationWhoseCallerLeftMeanwhile) {
  std::promise<void> late;
  FakeDaemon daemon([&](Conversation& talk) {
    talk.GreetForGood();
    const Request allocate = talk.Expect(HLBUF_WIRE_ALLOCATE);
    talk.HangUp();
    Conversation next = talk.Next();
    const Reattach asked = next.ExpectReattach();
    EXPECT_EQ(asked.cookies, std::vector<std::uint64_t>{allocate.cookie()});
    late.get_future().wait();
    next.Answer(asked, Conversation::WelcomeOf(2));
    const Request again = next.Expect(HLBUF_WIRE_ALLOCATE);
    EXPECT_EQ(again.bytes, allocate.bytes);
    AnswerAllocate(next, again, 9);
    AnswerDevices(next);
    EXPECT_EQ(next.Expect(HLBUF_WIRE_RELEASE).leases(), Leases{9});
    next.ExpectEnd();
  });
  hlbuf_client* client = Connect(daemon);
  hlbuf_client_set_timeout(client, 60);
  hlbuf_buffer* buffer = nullptr;
  EXPECT_EQ(Allocate(client, &buffer, &error_), HLBUF_E_TIMED_OUT);
  late.set_value();
  hlbuf_client_set_timeout(client, 20000);
  EXPECT_EQ(Devices(client), HLBUF_OK) << error_.text;
  hlbuf_client_close(client);
}

TEST_F(ServiceAway, CanBeClosed) {
  for (const bool reattaching : {false, true}) {
    FakeDaemon daemon([&](Conversation& talk) {
      talk.GreetForGood();
      talk.Grant(talk.Expect(HLBUF_WIRE_OPEN), 5);
      talk.HangUp();
      if (!reattaching) return;
      Conversation next = talk.Next();
      next.ExpectReattach();
      next.ExpectEnd();
    });
    hlbuf_client* client = Connect(daemon, listener_.Options());
    hlbuf_buffer* buffer = OpenOne(client);
    if (!reattaching) daemon.Hide();
    ASSERT_EQ(hlbuf_client_start_thread(client, &error_), HLBUF_OK);
    hlbuf_client_set_timeout(client, 30);
    hlbuf_buffer* none = nullptr;
    EXPECT_EQ(Allocate(client, &none, &error_), HLBUF_E_TIMED_OUT);
    hlbuf_client_close(client);
    hlbuf_buffer_release(buffer);
    if (!reattaching) daemon.Show();
  }
}

// Without a free descriptor there is no new connection; it is tried again.
TEST_F(ServiceAway, WaitsForAFreeDescriptor) {
  FakeDaemon daemon([&](Conversation& talk) {
    talk.GreetForGood();
    talk.Grant(talk.Expect(HLBUF_WIRE_OPEN), 5);
    talk.HangUp();
    Conversation next = talk.Next();
    EXPECT_EQ(next.TakeBack().leases, Leases{5});
    AnswerDevices(next);
    next.ExpectEnd();
  });
  hlbuf_client* client = Connect(daemon);
  hlbuf_buffer* buffer = OpenOne(client);
  {
    daemon.Hide();
    const NoFreeDescriptors none_left;
    hlbuf_client_set_timeout(client, 30);
    EXPECT_EQ(Devices(client), HLBUF_E_TIMED_OUT);
  }
  daemon.Show();
  hlbuf_client_set_timeout(client, 20000);
  EXPECT_EQ(Devices(client), HLBUF_OK) << error_.text;
  hlbuf_client_close(client);
  hlbuf_buffer_release(buffer);
}

}  // namespace
}  // namespace hlbuf::testing
