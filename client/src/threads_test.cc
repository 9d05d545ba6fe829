// SPDX-License-Identifier: Apache-2.0
// Many threads, one session.
#include <linux/sockios.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <atomic>
#include <chrono>
#include <future>
#include <thread>

#include "client/src/fake_daemon.h"

namespace hlbuf::testing {
namespace {

class Threads : public ClientTest {};

// Answers requests in an order that is not theirs, until the client leaves: it collects what is
// there, answers the newest first, and slips in notices.
void AnswerBackwards(Conversation& talk) {
  std::vector<Request> waiting;
  std::uint64_t next_lease = 1;
  std::size_t released = 0;
  for (Request request = talk.Receive(); request; request = talk.Receive()) {
    if (request.opcode() == HLBUF_WIRE_RELEASE) released += request.leases().size();
    if (request.opcode() == HLBUF_WIRE_OPEN) waiting.push_back(std::move(request));
    char peeked;
    if (::recv(talk.socket(), &peeked, 1, MSG_PEEK | MSG_DONTWAIT) > 0) continue;
    for (; !waiting.empty(); waiting.pop_back()) {
      talk.Ping(next_lease);
      talk.Grant(waiting.back(), next_lease++);
    }
  }
  EXPECT_EQ(released, next_lease - 1);
}

void OpenAndRelease(hlbuf_client* client, int rounds) {
  for (int i = 0; i < rounds; ++i) {
    hlbuf_error error = {};
    hlbuf_buffer* buffer = nullptr;
    ASSERT_EQ(hlbuf_open_id(client, 1, &buffer, &error), HLBUF_OK) << error.text;
    ASSERT_GE(hlbuf_buffer_fd(buffer), 0);
    ASSERT_EQ(hlbuf_buffer_id(buffer), 1000 + hlbuf_buffer_lease_id(buffer));
    hlbuf_buffer_release(buffer);
  }
}

constexpr std::size_t kThreads = 8;
constexpr int kRounds = 200;

TEST_F(Threads, EachGetsItsOwnAnswer) {
  FakeDaemon daemon([](Conversation& talk) {
    talk.Greet();
    AnswerBackwards(talk);
  });
  hlbuf_client* client = Connect(daemon);
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < kThreads; ++i)
    threads.emplace_back([client] { OpenAndRelease(client, kRounds); });
  for (std::thread& thread : threads) thread.join();
  hlbuf_client_close(client);
}

TEST_F(Threads, DoNotDisturbTheOneThatDispatches) {
  FakeDaemon daemon([](Conversation& talk) {
    talk.Greet();
    AnswerBackwards(talk);
  });
  hlbuf_client* client = Connect(daemon);
  ASSERT_EQ(hlbuf_client_start_thread(client, &error_), HLBUF_OK) << error_.text;
  ASSERT_EQ(hlbuf_client_start_thread(client, &error_), HLBUF_OK) << error_.text;
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < kThreads; ++i)
    threads.emplace_back([client] { OpenAndRelease(client, kRounds); });
  for (std::thread& thread : threads) thread.join();
  hlbuf_client_close(client);
}

// Dispatchers that never wait take turns at the socket with the threads that wait for answers.
TEST_F(Threads, ImpatientDispatchersLeaveNobodyBehind) {
  FakeDaemon daemon([](Conversation& talk) {
    talk.Greet();
    AnswerBackwards(talk);
  });
  hlbuf_client* client = Connect(daemon);
  std::atomic<bool> done = false;
  std::vector<std::thread> dispatchers, threads;
  for (int i = 0; i < 2; ++i)
    dispatchers.emplace_back([&] {
      while (!done) EXPECT_EQ(hlbuf_dispatch(client, 0, nullptr), HLBUF_OK);
    });
  for (int i = 0; i < 2; ++i) threads.emplace_back([&] { OpenAndRelease(client, kRounds); });
  for (std::thread& thread : threads) thread.join();
  done = true;
  for (std::thread& thread : dispatchers) thread.join();
  hlbuf_client_close(client);
}

TEST_F(Threads, AllLearnThatTheServiceIsGone) {
  FakeDaemon daemon([](Conversation& talk) {
    talk.Greet();
    for (std::size_t i = 0; i < kThreads; ++i) talk.Expect(HLBUF_WIRE_OPEN);
    talk.Goodbye(HLBUF_WIRE_GOODBYE_SHUTDOWN, "");
    talk.ExpectEnd();
  });
  hlbuf_client* client = Connect(daemon);
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < kThreads; ++i)
    threads.emplace_back([client] {
      hlbuf_buffer* buffer = nullptr;
      EXPECT_EQ(hlbuf_open_id(client, 1, &buffer, nullptr), HLBUF_E_SERVICE_GONE);
    });
  for (std::thread& thread : threads) thread.join();
  hlbuf_client_close(client);
}

// One call gives up while another waits on: the role of the reader is passed on.
TEST_F(Threads, AReaderThatGivesUpLeavesNobodyBehind) {
  std::promise<void> hasty_asked, hasty_left;
  FakeDaemon daemon([&](Conversation& talk) {
    talk.Greet();
    talk.Expect(HLBUF_WIRE_OPEN);
    hasty_asked.set_value();
    const Request patient = talk.Expect(HLBUF_WIRE_OPEN);
    hasty_left.get_future().wait();
    talk.Grant(patient, 1);
    talk.Expect(HLBUF_WIRE_RELEASE);
    talk.ExpectEnd();
  });
  hlbuf_client* client = Connect(daemon);
  hlbuf_client_set_timeout(client, 200);
  std::thread hasty([&] {
    hlbuf_buffer* none = nullptr;
    EXPECT_EQ(hlbuf_open_id(client, 1, &none, nullptr), HLBUF_E_TIMED_OUT);
    hasty_left.set_value();
  });
  hasty_asked.get_future().wait();
  hlbuf_client_set_timeout(client, 20000);  // of later calls
  hlbuf_buffer* buffer = nullptr;
  EXPECT_EQ(hlbuf_open_id(client, 1, &buffer, &error_), HLBUF_OK) << error_.text;
  hasty.join();
  hlbuf_buffer_release(buffer);
  hlbuf_client_close(client);
}

// Returns once the client has taken everything that was sent.
void AwaitTaken(const Conversation& talk) {
  int unread = 1;
  while (unread > 0) {
    ::sched_yield();
    ASSERT_EQ(::ioctl(talk.socket(), SIOCOUTQ, &unread), 0);
  }
}

// One thread reads, another one waits for room in a full socket. When the reader leaves, the other
// one has to read: a daemon takes no request while its own packet is unread.
TEST_F(Threads, WhoeverWaitsForRoomReadsWhenTheReaderHasLeft) {
  constexpr std::uint64_t kPatientBuffer = 77;
  std::promise<void> full, reader_reads, reader_left;
  FakeDaemon daemon([&](Conversation& talk) {
    talk.Greet();
    full.get_future().wait();
    talk.Ping(1);  // only a reader takes it
    AwaitTaken(talk);
    reader_reads.set_value();
    reader_left.get_future().wait();
    talk.Ping(2);
    AwaitTaken(talk);
    for (Request request = talk.Receive(); request; request = talk.Receive()) {
      if (request.opcode() != HLBUF_WIRE_OPEN) continue;
      hlbuf_wire_open_item item;
      std::memcpy(&item, request.trailing().data(), sizeof(item));
      if (item.buffer_id == kPatientBuffer) talk.Grant(request, 1);
    }
  });
  hlbuf_client* client = Connect(daemon);
  hlbuf_client_set_timeout(client, 1);
  hlbuf_buffer *none = nullptr, *buffer = nullptr;
  for (int i = 0; i < 400; ++i)  // more than a socket takes
    EXPECT_EQ(hlbuf_open_id(client, 1, &none, nullptr), HLBUF_E_TIMED_OUT);
  hlbuf_client_set_timeout(client, 500);
  std::thread reader([&] {
    hlbuf_buffer* nothing = nullptr;
    EXPECT_EQ(hlbuf_open_id(client, 1, &nothing, nullptr), HLBUF_E_TIMED_OUT);
    reader_left.set_value();
  });
  full.set_value();
  reader_reads.get_future().wait();
  hlbuf_client_set_timeout(client, 20000);
  EXPECT_EQ(hlbuf_open_id(client, kPatientBuffer, &buffer, &error_), HLBUF_OK) << error_.text;
  reader.join();
  hlbuf_buffer_release(buffer);
  hlbuf_client_close(client);
}

struct Revocations {
  std::atomic<int> count = 0;
  std::promise<void> in_callback;
  std::promise<void> may_return;

  static hlbuf_revoke_answer OnRevoke(void* self, const hlbuf_revocation* revocation) {
    auto& revocations = *static_cast<Revocations*>(self);
    ++revocations.count;
    revocations.in_callback.set_value();
    revocations.may_return.get_future().wait();
    // Released by another thread meanwhile; the handle is still good.
    EXPECT_EQ(hlbuf_buffer_fd(revocation->buffer), -1);
    EXPECT_EQ(hlbuf_buffer_lease_id(revocation->buffer), 1U);
    return HLBUF_REVOKE_RELEASE;
  }
};

TEST_F(Threads, ABufferMayBeReleasedWhileItsCallbackRuns) {
  FakeDaemon daemon([](Conversation& talk) {
    talk.Greet();
    talk.Grant(talk.Expect(HLBUF_WIRE_OPEN), 1);
    talk.Revoke({1});
    EXPECT_EQ(talk.Expect(HLBUF_WIRE_RELEASE).leases(), std::vector<std::uint64_t>{1});
    talk.ExpectEnd();  // no second RELEASE
  });
  Revocations revocations;
  hlbuf_connect_options options = {};
  options.callbacks.on_revoke = Revocations::OnRevoke;
  options.callbacks.context = &revocations;
  hlbuf_client* client = Connect(daemon, options);
  hlbuf_buffer* buffer = nullptr;
  ASSERT_EQ(hlbuf_open_id(client, 1, &buffer, &error_), HLBUF_OK);
  ASSERT_EQ(hlbuf_client_start_thread(client, &error_), HLBUF_OK);
  revocations.in_callback.get_future().wait();
  hlbuf_buffer_release(buffer);
  revocations.may_return.set_value();
  hlbuf_client_close(client);
  EXPECT_EQ(revocations.count, 1);
}

TEST_F(Threads, TheEventThreadHearsWhatAnotherThreadRead) {
  std::promise<void> heard;
  FakeDaemon daemon([&](Conversation& talk) {
    talk.Greet();
    const Request open = talk.Expect(HLBUF_WIRE_OPEN);
    talk.Send(MakeFrame(HLBUF_WIRE_DEVICE, 0,
                        hlbuf_wire_device{.state = HLBUF_WIRE_DEVICE_READY, .name_bytes = 1}, "d"));
    // The open is still unanswered: its thread reads, the event thread delivers.
    EXPECT_EQ(heard.get_future().wait_for(std::chrono::seconds(20)), std::future_status::ready);
    talk.Refuse(open, HLBUF_WIRE_GONE, "");
    talk.ExpectEnd();
  });
  hlbuf_connect_options options = {};
  options.callbacks.on_device = [](void* context, const hlbuf_device_event*) {
    static_cast<std::promise<void>*>(context)->set_value();
  };
  options.callbacks.context = &heard;
  hlbuf_client* client = Connect(daemon, options);
  ASSERT_EQ(hlbuf_client_start_thread(client, &error_), HLBUF_OK);
  hlbuf_buffer* buffer = nullptr;
  EXPECT_EQ(hlbuf_open_id(client, 1, &buffer, &error_), HLBUF_E_GONE);
  hlbuf_client_close(client);
}

TEST_F(Threads, TheEventThreadAnswersPingByItself) {
  FakeDaemon daemon([](Conversation& talk) {
    talk.Greet();
    for (std::uint64_t nonce = 1; nonce <= 3; ++nonce) {
      talk.Ping(nonce);
      EXPECT_EQ(talk.Expect(HLBUF_WIRE_PONG).As<hlbuf_wire_ping>().nonce, nonce);
    }
    talk.HangUp();
  });
  std::promise<void> gone;
  hlbuf_connect_options options = {};
  options.callbacks.on_goodbye = [](void* context, const hlbuf_goodbye*) {
    static_cast<std::promise<void>*>(context)->set_value();
  };
  options.callbacks.context = &gone;
  hlbuf_client* client = Connect(daemon, options);
  ASSERT_EQ(hlbuf_client_start_thread(client, &error_), HLBUF_OK);
  gone.get_future().wait();
  hlbuf_client_close(client);
}

}  // namespace
}  // namespace hlbuf::testing
