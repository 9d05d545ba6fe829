// SPDX-License-Identifier: Apache-2.0
// Many threads, one session, and a service that dies again and again.
#include <poll.h>

#include <atomic>
#include <future>
#include <set>
#include <thread>

#include "client/src/restart_fixture.h"

namespace hlbuf::testing {
namespace {

constexpr std::size_t kThreads = 6;
constexpr int kRounds = 100;

// What the service knows, over its deaths.
struct Memory {
  std::set<std::uint64_t> leases;
  std::uint64_t next_lease = 1;
  std::uint8_t secret = 1;
  int deaths = 0;
};

// Serves until the client leaves (true), or dies at frame number `last`: before it is read, before
// it is answered, behind its answer.
bool Serve(Conversation& talk, Memory& memory, int last) {
  for (int n = 0;; ++n) {
    const bool dies = n == last;
    if (dies && last % 3 == 0) return false;
    const Request request = talk.Receive();
    if (!request) return true;
    if (request.opcode() == HLBUF_WIRE_RELEASE)
      for (const std::uint64_t lease : request.leases()) memory.leases.erase(lease);
    if (dies && last % 3 == 1) return false;
    if (request.opcode() == HLBUF_WIRE_OPEN) {
      memory.leases.insert(memory.next_lease);
      talk.Grant(request, memory.next_lease++);
    }
    if (dies) return false;
  }
}

// What is not named when the client comes back is over.
void TakeBack(Conversation& talk, Memory& memory) {
  const Reattach asked = talk.TakeBack(memory.secret++);
  const std::set<std::uint64_t> named(asked.leases.begin(), asked.leases.end());
  for (const std::uint64_t lease : named) EXPECT_TRUE(memory.leases.contains(lease)) << lease;
  memory.leases = named;
  ++memory.deaths;
}

void ServeAndDie(Conversation& talk, Memory& memory) {
  constexpr int kDeaths = 20;  // all of them before the client is done
  talk.GreetForGood();
  if (Serve(talk, memory, 20)) return;
  talk.HangUp();
  for (int i = 0;; ++i) {
    Conversation next = talk.Next();
    TakeBack(next, memory);
    if (Serve(next, memory, i < kDeaths ? 10 + i % 12 : -1)) return;
  }
}

void OpenAndRelease(hlbuf_client* client) {
  for (int i = 0; i < kRounds; ++i) {
    hlbuf_error error = {};
    hlbuf_open_result result = {};
    const hlbuf_open_item item = {.buffer_id = 1, .name = nullptr, .owner_uid = 0, .reserved = 0};
    // Unlike hlbuf_open_id() it asks for the limit of the service that there is.
    ASSERT_EQ(hlbuf_open_many(client, &item, 1, &result, &error), HLBUF_OK) << error.text;
    hlbuf_buffer* buffer = result.buffer;
    ASSERT_EQ(hlbuf_buffer_id(buffer), 1000 + hlbuf_buffer_lease_id(buffer));
    ASSERT_FALSE(hlbuf_buffer_is_revoked(buffer));
    hlbuf_buffer_release(buffer);
  }
}

void RunThreads(hlbuf_client* client) {
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < kThreads; ++i) threads.emplace_back(OpenAndRelease, client);
  for (std::thread& thread : threads) thread.join();
}

class RestartThreads : public RestartTest {
 protected:
  void SetUp() override {
    RestartTest::SetUp();
    daemon_.emplace([this](Conversation& talk) { ServeAndDie(talk, memory_); });
    client_ = Connect(*daemon_);
  }
  void TearDown() override {
    hlbuf_client_close(client_);
    daemon_.reset();
    EXPECT_GT(memory_.deaths, 10);
    EXPECT_TRUE(memory_.leases.empty());
    RestartTest::TearDown();
  }

  Memory memory_;
  std::optional<FakeDaemon> daemon_;
  hlbuf_client* client_ = nullptr;
};

TEST_F(RestartThreads, EachGetsItsAnswerOnce) { RunThreads(client_); }

TEST_F(RestartThreads, AndTheLibrarysThreadAgree) {
  ASSERT_EQ(hlbuf_client_start_thread(client_, &error_), HLBUF_OK) << error_.text;
  RunThreads(client_);
}

TEST_F(RestartThreads, AndAProgramThatPollsAgree) {
  std::atomic<bool> done = false;
  std::thread poller([&] {
    const int fd = hlbuf_client_fd(client_, nullptr);
    while (!done) {
      pollfd p = {.fd = fd, .events = POLLIN, .revents = 0};
      ::poll(&p, 1, 20);
      EXPECT_EQ(hlbuf_dispatch(client_, 0, nullptr), HLBUF_OK);
    }
  });
  RunThreads(client_);
  done = true;
  poller.join();
}

class RestartTurns : public RestartTest {};

// The one that drives the reattachment gives up; another takes over.
TEST_F(RestartTurns, OneThatGivesUpLeavesNobodyBehind) {
  std::promise<void> begun, left;
  FakeDaemon daemon([&](Conversation& talk) {
    talk.GreetForGood();
    talk.HangUp();
    Conversation next = talk.Next();
    const Reattach asked = next.ExpectReattach();
    begun.set_value();
    left.get_future().wait();
    next.Answer(asked, Conversation::WelcomeOf(2));
    next.Grant(next.Expect(HLBUF_WIRE_OPEN), 5);
    next.ExpectEnd();
  });
  hlbuf_client* client = Connect(daemon);
  hlbuf_client_set_timeout(client, 200);
  std::thread impatient([&] {
    EXPECT_EQ(Devices(client), HLBUF_E_TIMED_OUT);
    left.set_value();
  });
  begun.get_future().wait();
  hlbuf_client_set_timeout(client, 20000);
  hlbuf_buffer* buffer = nullptr;
  hlbuf_error error = {};
  EXPECT_EQ(hlbuf_open_id(client, 1, &buffer, &error), HLBUF_OK) << error.text;
  impatient.join();
  hlbuf_client_close(client);
  hlbuf_buffer_release(buffer);
}

}  // namespace
}  // namespace hlbuf::testing
