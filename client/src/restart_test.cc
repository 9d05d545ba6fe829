// SPDX-License-Identifier: Apache-2.0
// The service dies, or restarts, at every point of an exchange: the program sees nothing of it.
// A scenario that a model check found has its number.
#include <poll.h>

#include <future>

#include "client/src/restart_fixture.h"

namespace hlbuf::testing {
namespace {

class Restart : public RestartTest {};

TEST_F(Restart, LeavesBuffersAsTheyAre) {
  FakeDaemon daemon([](Conversation& talk) {
    talk.GreetForGood();
    talk.Grant(talk.Expect(HLBUF_WIRE_OPEN), 5);
    talk.HangUp();
    Conversation next = talk.Next();
    const Reattach asked = next.TakeBack();
    EXPECT_EQ(asked.leases, Leases{5});
    EXPECT_TRUE(asked.cookies.empty());
    EXPECT_EQ(asked.name, "program");
    EXPECT_EQ(asked.fixed.version, std::uint32_t{HLBUF_WIRE_VERSION});
    AnswerDevices(next);
    EXPECT_EQ(next.Expect(HLBUF_WIRE_RELEASE).leases(), Leases{5});
    next.ExpectEnd();
  });
  hlbuf_connect_options options = listener_.Options();
  options.client_name = "program";
  hlbuf_client* client = Connect(daemon, options);
  hlbuf_buffer* buffer = OpenOne(client);
  const int fd = hlbuf_buffer_fd(buffer);
  EXPECT_EQ(Devices(client), HLBUF_OK) << error_.text;
  EXPECT_FALSE(hlbuf_buffer_is_revoked(buffer));
  EXPECT_EQ(hlbuf_buffer_fd(buffer), fd);
  EXPECT_EQ(hlbuf_client_session_id(client), 42U);
  hlbuf_buffer_release(buffer);
  EXPECT_TRUE(listener_.goodbyes.empty());
  hlbuf_client_close(client);
}

TEST_F(Restart, IsWhatAGoodbyeThatKeepsLeasesMeans) {
  FakeDaemon daemon([](Conversation& talk) {
    talk.GreetForGood();
    talk.Grant(talk.Expect(HLBUF_WIRE_OPEN), 5);
    talk.Goodbye(HLBUF_WIRE_GOODBYE_SHUTDOWN, "reconnect", true);
    // It need not hang up: nothing comes behind a GOODBYE.
    Conversation next = talk.Next();
    EXPECT_EQ(next.TakeBack().leases, Leases{5});
    AnswerDevices(next);
    next.ExpectEnd();
  });
  hlbuf_client* client = Connect(daemon, listener_.Options());
  hlbuf_buffer* buffer = OpenOne(client);
  EXPECT_EQ(Devices(client), HLBUF_OK) << error_.text;
  EXPECT_FALSE(hlbuf_buffer_is_revoked(buffer));
  EXPECT_EQ(hlbuf_dispatch(client, 0, &error_), HLBUF_OK);
  EXPECT_TRUE(listener_.goodbyes.empty());
  hlbuf_client_close(client);
  hlbuf_buffer_release(buffer);
}

TEST_F(Restart, RepeatsARequestThatWasNotAnswered) {
  FakeDaemon daemon([](Conversation& talk) {
    talk.GreetForGood();
    const Request open = talk.Expect(HLBUF_WIRE_OPEN);
    talk.HangUp();
    Conversation next = talk.Next();
    EXPECT_TRUE(next.TakeBack().cookies.empty());  // to open again makes another lease
    const Request again = next.Expect(HLBUF_WIRE_OPEN);
    EXPECT_EQ(again.bytes, open.bytes);
    next.Grant(again, 5);
    next.ExpectEnd();
  });
  hlbuf_client* client = Connect(daemon);
  hlbuf_buffer* buffer = OpenOne(client);
  EXPECT_EQ(hlbuf_buffer_lease_id(buffer), 5U);
  hlbuf_client_close(client);
  hlbuf_buffer_release(buffer);
}

TEST_F(Restart, NamesAnAllocationThatWasNotAnswered) {
  FakeDaemon daemon([](Conversation& talk) {
    talk.GreetForGood();
    const Request allocate = talk.Expect(HLBUF_WIRE_ALLOCATE);
    talk.HangUp();
    Conversation next = talk.Next();
    EXPECT_EQ(next.TakeBack().cookies, std::vector<std::uint64_t>{allocate.cookie()});
    const Request again = next.Expect(HLBUF_WIRE_ALLOCATE);
    EXPECT_EQ(again.bytes, allocate.bytes);
    AnswerAllocate(next, again, 9);
    next.ExpectEnd();
  });
  hlbuf_client* client = Connect(daemon);
  hlbuf_buffer* buffer = nullptr;
  EXPECT_EQ(Allocate(client, &buffer, &error_), HLBUF_OK) << error_.text;
  EXPECT_EQ(hlbuf_buffer_lease_id(buffer), 9U);
  hlbuf_client_close(client);
  hlbuf_buffer_release(buffer);
}

// The grant waits behind an ECONNRESET, which the unread RELEASE made; the lease of that is over.
TEST_F(Restart, Scenario03_TakesAGrantThatTheOldConnectionStillHas) {
  std::promise<void> released;
  FakeDaemon daemon([&](Conversation& talk) {
    talk.GreetForGood();
    const Request open = talk.Expect(HLBUF_WIRE_OPEN);
    talk.Grant(open, 5);
    released.get_future().wait();
    const hlbuf_wire_open one = {.item_count = 1};
    talk.Grant({.bytes = MakeFrame(HLBUF_WIRE_OPEN, open.cookie() + 1, one)}, 6);
    talk.HangUp();
    Conversation next = talk.Next();
    EXPECT_EQ(next.TakeBack().leases, Leases{6});
    AnswerDevices(next);
    next.ExpectEnd();
  });
  hlbuf_client* client = Connect(daemon);
  hlbuf_buffer_release(OpenOne(client));
  std::future<hlbuf_buffer*> second = std::async(std::launch::async, OpenOne, client);
  released.set_value();
  hlbuf_buffer* buffer = second.get();
  EXPECT_EQ(hlbuf_buffer_lease_id(buffer), 6U);
  EXPECT_EQ(Devices(client), HLBUF_OK) << error_.text;
  hlbuf_client_close(client);
  hlbuf_buffer_release(buffer);
}

TEST_F(Restart, MayComeAgainDuringTheReattachment) {
  FakeDaemon daemon([](Conversation& talk) {
    talk.GreetForGood();
    talk.Grant(talk.Expect(HLBUF_WIRE_OPEN), 5);
    talk.HangUp();
    talk.Next();  // dies before it reads
    talk.Next().ExpectReattach();
    talk.Next().Goodbye(HLBUF_WIRE_GOODBYE_SHUTDOWN, "", true);
    {
      Conversation late = talk.Next();
      late.ExpectReattach();
      late.Goodbye(HLBUF_WIRE_GOODBYE_HELLO, "too late");
    }
    {
      Conversation busy = talk.Next();
      const Reattach asked = busy.ExpectReattach();
      busy.Send(MakeFrame(HLBUF_WIRE_ERROR, asked.fixed.header.cookie,
                          hlbuf_wire_error{.status = HLBUF_WIRE_BUSY}));
    }
    Conversation last = talk.Next();
    EXPECT_EQ(last.TakeBack().leases, Leases{5});
    AnswerDevices(last);
    last.HangUp();
    Conversation after = talk.Next();
    EXPECT_EQ(after.TakeBack(2).leases, Leases{5});  // by the secret that the last one gave
    AnswerDevices(after);
    after.ExpectEnd();
  });
  hlbuf_client* client = Connect(daemon);
  hlbuf_buffer* buffer = OpenOne(client);
  EXPECT_EQ(Devices(client), HLBUF_OK) << error_.text;
  EXPECT_EQ(Devices(client), HLBUF_OK) << error_.text;
  EXPECT_FALSE(hlbuf_buffer_is_revoked(buffer));
  hlbuf_client_close(client);
  hlbuf_buffer_release(buffer);
}

// Died when REATTACH was executed and its answer was on its way: the new secret is in the old
// connection.
TEST_F(Restart, ReadsTheAnswerOfADaemonThatDiedBehindIt) {
  FakeDaemon daemon([](Conversation& talk) {
    talk.GreetForGood();
    talk.HangUp();
    {
      Conversation next = talk.Next();
      next.TakeBack();
    }
    Conversation last = talk.Next();
    last.TakeBack(2);
    AnswerDevices(last);
    last.ExpectEnd();
  });
  hlbuf_client* client = Connect(daemon);
  EXPECT_EQ(Devices(client), HLBUF_OK) << error_.text;
  hlbuf_client_close(client);
}

TEST_F(Restart, NamesMoreLeasesThanAFrameHasRoomFor) {
  constexpr std::size_t kBatch = 250;
  constexpr std::size_t kBatches = 12;
  FakeDaemon daemon([](Conversation& talk) {
    talk.GreetForGood();
    for (std::size_t i = 0; i < kBatches; ++i)
      talk.Grant(talk.Expect(HLBUF_WIRE_OPEN), 1 + i * kBatch);
    talk.HangUp();
    Conversation next = talk.Next();
    const Reattach asked = next.TakeBack();
    EXPECT_EQ(asked.parts, 3U);
    EXPECT_EQ(asked.leases.size(), kBatch * kBatches);
    for (std::size_t i = 0; i < asked.leases.size(); ++i) EXPECT_EQ(asked.leases[i], i + 1);
    AnswerDevices(next);
    next.ExpectEnd();
  });
  hlbuf_client* client = Connect(daemon);
  const std::vector<hlbuf_open_item> items(
      kBatch, {.buffer_id = 1, .name = nullptr, .owner_uid = 0, .reserved = 0});
  std::vector<hlbuf_open_result> results(kBatch * kBatches);
  for (std::size_t i = 0; i < kBatches; ++i)
    ASSERT_EQ(hlbuf_open_many(client, items.data(), kBatch, &results[i * kBatch], &error_),
              HLBUF_OK);
  EXPECT_EQ(Devices(client), HLBUF_OK) << error_.text;
  hlbuf_client_close(client);
  for (const hlbuf_open_result& result : results) hlbuf_buffer_release(result.buffer);
}

// It was named and is not any more: that is what RELEASE is for.
TEST_F(Restart, SendsWhatIsReleasedMeanwhileBehindTheAnswer) {
  std::promise<void> asked, released, told;
  FakeDaemon daemon([&](Conversation& talk) {
    talk.GreetForGood();
    talk.Grant(talk.Expect(HLBUF_WIRE_OPEN), 5);
    talk.Grant(talk.Expect(HLBUF_WIRE_OPEN), 6);
    talk.HangUp();
    Conversation next = talk.Next();
    const Reattach reattach = next.ExpectReattach();
    EXPECT_EQ(reattach.leases, (Leases{5, 6}));
    asked.set_value();
    released.get_future().wait();
    next.Answer(reattach, Conversation::WelcomeOf(2));
    EXPECT_EQ(next.Expect(HLBUF_WIRE_RELEASE).leases(), Leases{5});
    told.set_value();
    next.ExpectEnd();
  });
  hlbuf_client* client = Connect(daemon);
  const std::vector<hlbuf_buffer*> buffers = Open(client, 2);
  ASSERT_EQ(hlbuf_client_start_thread(client, &error_), HLBUF_OK);
  asked.get_future().wait();
  hlbuf_buffer_release(buffers[0]);
  released.set_value();
  told.get_future().wait();
  hlbuf_client_close(client);
  hlbuf_buffer_release(buffers[1]);
}

TEST_F(Restart, TellsWhatEndedMeanwhileAndWhatIsAskedBack) {
  FakeDaemon daemon([](Conversation& talk) {
    talk.GreetForGood();
    for (std::uint64_t lease = 5; lease < 8; ++lease)
      talk.Grant(talk.Expect(HLBUF_WIRE_OPEN), lease);
    talk.HangUp();
    Conversation next = talk.Next();
    next.TakeBack();
    next.Revoke({5}, HLBUF_WIRE_REVOKE_LOST, 0);
    next.Revoke({6}, HLBUF_WIRE_REVOKE_OPERATOR, 99);
    next.ExpectEnd();
  });
  listener_.answer = HLBUF_REVOKE_KEEP;
  hlbuf_client* client = Connect(daemon, listener_.Options());
  const std::vector<hlbuf_buffer*> buffers = Open(client, 3);
  EXPECT_EQ(DispatchUntil(client, [&] { return listener_.revocations.size() == 2; }), HLBUF_OK);
  EXPECT_EQ(listener_.revocations[0].lease, 5U);
  EXPECT_EQ(listener_.revocations[0].reason, static_cast<std::uint32_t>(HLBUF_REVOKE_LOST));
  EXPECT_EQ(listener_.revocations[1].deadline, 99U);
  EXPECT_FALSE(hlbuf_buffer_is_revoked(buffers[2]));
  hlbuf_client_close(client);
  hlbuf_buffers_release(buffers.data(), buffers.size());
}

// A program that only polls is brought back by what hlbuf_client_fd() tells.
TEST_F(Restart, IsDrivenByTheDescriptorThatAProgramPolls) {
  FakeDaemon daemon([&](Conversation& talk) {
    talk.GreetForGood();
    talk.Grant(talk.Expect(HLBUF_WIRE_OPEN), 5);
    talk.HangUp();
    for (int i = 0; i < 3; ++i) talk.Next();
    Conversation last = talk.Next();
    last.TakeBack();
    last.Revoke({5});
    last.ExpectEnd();
  });
  listener_.answer = HLBUF_REVOKE_KEEP;
  hlbuf_client* client = Connect(daemon, listener_.Options());
  hlbuf_buffer* buffer = OpenOne(client);
  const int fd = hlbuf_client_fd(client, &error_);
  std::size_t rounds = 0;
  for (; listener_.revocations.empty() && rounds < 1000; ++rounds) {
    pollfd p = {.fd = fd, .events = POLLIN, .revents = 0};
    ASSERT_EQ(::poll(&p, 1, 20000), 1);
    ASSERT_EQ(hlbuf_dispatch(client, 0, &error_), HLBUF_OK) << error_.text;
  }
  EXPECT_EQ(listener_.revocations.size(), 1U);
  EXPECT_LT(rounds, 100U);  // it sleeps between two tries
  EXPECT_EQ(hlbuf_client_fd(client, &error_), fd);
  EXPECT_EQ(listener_.services,
            (std::vector<std::uint32_t>{HLBUF_SERVICE_AWAY, HLBUF_SERVICE_BACK}));
  hlbuf_client_close(client);
  hlbuf_buffer_release(buffer);
}

// The next service has limits of its own.
TEST_F(Restart, ChangesHowManyBuffersARequestOpens) {
  FakeDaemon daemon([](Conversation& talk) {
    talk.GreetForGood();
    for (const std::uint32_t most : {2U, HLBUF_WIRE_BATCH_MAX + 1U}) {
      talk.HangUp();
      talk = talk.Next();
      hlbuf_wire_welcome welcome = Conversation::WelcomeOf(2);
      welcome.batch_max = most;
      talk.Answer(talk.ExpectReattach(), welcome);
      AnswerDevices(talk);
      talk.Grant(talk.Expect(HLBUF_WIRE_OPEN), most);
    }
    while (talk.Receive()) {
    }
  });
  hlbuf_client* client = Connect(daemon);
  const std::vector<hlbuf_open_item> items(HLBUF_OPEN_MAX + 1, {.buffer_id = 1});
  std::vector<hlbuf_open_result> results(items.size());
  for (const std::size_t most : {std::size_t{2}, std::size_t{HLBUF_OPEN_MAX}}) {
    EXPECT_EQ(Devices(client), HLBUF_OK) << error_.text;
    EXPECT_EQ(hlbuf_open_many(client, items.data(), most + 1, results.data(), &error_),
              HLBUF_E_INVALID_ARGUMENT);
    EXPECT_EQ(hlbuf_open_many(client, items.data(), most, results.data(), &error_), HLBUF_OK)
        << error_.text;
    for (std::size_t i = 0; i < most; ++i) hlbuf_buffer_release(results[i].buffer);
  }
  hlbuf_client_close(client);
}

TEST_F(Restart, IsSurvivedWhileTheClientConnects) {
  FakeDaemon daemon([](Conversation& talk) {
    talk.Expect(HLBUF_WIRE_HELLO);
    talk.HangUp();
    {
      Conversation stopping = talk.Next();
      stopping.Expect(HLBUF_WIRE_HELLO);
      stopping.Goodbye(HLBUF_WIRE_GOODBYE_SHUTDOWN, "", true);
    }
    Conversation next = talk.Next();
    next.GreetForGood();
    next.ExpectEnd();
  });
  hlbuf_client_close(Connect(daemon));
}

}  // namespace
}  // namespace hlbuf::testing
