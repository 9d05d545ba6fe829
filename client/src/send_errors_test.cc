// SPDX-License-Identifier: Apache-2.0
// A kernel that does not take what is sent, though the connection is sound.
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <future>

#include "client/src/restart_fixture.h"

namespace {

std::atomic<int> send_errno{0};
std::atomic<int> first_errno{0};  // unless it is 0
std::atomic<int> refusals_left{0};
std::atomic<int> refused{0};

bool Refuses() {
  if (refusals_left.load() <= 0) return false;
  --refusals_left;
  ++refused;
  const int first = first_errno.exchange(0);
  errno = first != 0 ? first : send_errno.load();
  return true;
}

}  // namespace

// In the place of libc's. Only the library's requests go this way.
extern "C" ssize_t send(int socket, const void* bytes, size_t count, int flags) {
  return Refuses() ? -1 : ::sendto(socket, bytes, count, flags, nullptr, 0);
}

// What it sends in parts; the fake daemon can wait for room.
extern "C" ssize_t sendmsg(int socket, const msghdr* message, int flags) {
  if ((flags & MSG_DONTWAIT) != 0 && Refuses()) return -1;
  return ::syscall(SYS_sendmsg, socket, message, flags);
}

namespace hlbuf::testing {
namespace {

constexpr int kForEver = 1 << 30;
constexpr int kTimeMs = 100;
constexpr int kTriesAtMost = 15;  // in that time: every 10 ms

class SendErrors : public RestartTest {
 protected:
  void TearDown() override {
    refusals_left = 0;
    RestartTest::TearDown();
  }
  static void Refuse(int number, int times, int first = 0) {
    send_errno = number;
    first_errno = first;
    refused = 0;
    refusals_left = times;
  }
  // Waits for kTimeMs, without a notice.
  using Wait = std::function<void(hlbuf_client*)>;
  static void Dispatch(hlbuf_client* client) {
    EXPECT_EQ(hlbuf_dispatch(client, kTimeMs, nullptr), HLBUF_OK);
  }
  static void Poll(hlbuf_client* client) {
    using std::chrono::steady_clock;
    const auto end = steady_clock::now() + std::chrono::milliseconds(kTimeMs);
    pollfd p = {.fd = hlbuf_client_fd(client, nullptr), .events = POLLIN, .revents = 0};
    int looks = 0;
    for (; steady_clock::now() < end; ++looks) {
      ::poll(&p, 1, kTimeMs);
      EXPECT_EQ(hlbuf_dispatch(client, 0, nullptr), HLBUF_OK);
    }
    EXPECT_LE(looks, kTriesAtMost + 5);  // some have another reason
  }
  // Waits while nothing is taken, then lets everything pass.
  static void ExpectFewTries(hlbuf_client* client, const Wait& wait) {
    refused = 0;
    wait(client);
    EXPECT_GE(refused, 2);
    EXPECT_LE(refused, kTriesAtMost);
    refusals_left = 0;
  }
};

TEST_F(SendErrors, ThatPassAreWaitedFor) {
  for (const int number : {ENOBUFS, ENOMEM}) {
    FakeDaemon daemon([](Conversation& talk) {
      talk.Greet();
      AnswerDevices(talk);
      talk.ExpectEnd();
    });
    hlbuf_client* client = Connect(daemon);
    Refuse(number, 3);
    EXPECT_EQ(Devices(client), HLBUF_OK) << error_.text;
    EXPECT_EQ(refused, 3);
    hlbuf_client_close(client);
  }
}

TEST_F(SendErrors, ThatDoNotPassInTimeAreTriedNowAndThen) {
  FakeDaemon daemon([](Conversation& talk) {
    talk.Greet();
    talk.ExpectEnd();
  });
  hlbuf_client* client = Connect(daemon);
  hlbuf_client_set_timeout(client, kTimeMs);
  Refuse(ENOBUFS, kForEver);
  EXPECT_EQ(Devices(client), HLBUF_E_TIMED_OUT);
  EXPECT_NE(std::string_view(error_.text).find("could not be sent"), std::string_view::npos)
      << error_.text;
  EXPECT_LE(refused, kTriesAtMost);
  hlbuf_client_close(client);
}

// The thread that reads is another one.
TEST_F(SendErrors, KeepNobodyFromReading) {
  std::promise<void> asked;
  FakeDaemon daemon([&](Conversation& talk) {
    talk.Greet();
    const Request open = talk.Expect(HLBUF_WIRE_OPEN);
    asked.set_value();
    AnswerDevices(talk);
    talk.Grant(open, 5);
    EXPECT_EQ(talk.Expect(HLBUF_WIRE_RELEASE).leases(), Leases{5});
    talk.ExpectEnd();
  });
  hlbuf_client* client = Connect(daemon);
  std::future<hlbuf_buffer*> opened = std::async(std::launch::async, OpenOne, client);
  asked.get_future().wait();
  Refuse(ENOMEM, 3);
  EXPECT_EQ(Devices(client), HLBUF_OK) << error_.text;
  hlbuf_buffer_release(opened.get());
  hlbuf_client_close(client);
}

TEST_F(SendErrors, LetAReleaseWait) {
  for (const Wait& wait : {Wait(Dispatch), Wait(Poll)}) {
    FakeDaemon daemon([](Conversation& talk) {
      talk.Greet();
      talk.Grant(talk.Expect(HLBUF_WIRE_OPEN), 5);
      EXPECT_EQ(talk.Expect(HLBUF_WIRE_RELEASE).leases(), Leases{5});
      talk.Goodbye(HLBUF_WIRE_GOODBYE_SHUTDOWN, "");
    });
    hlbuf_client* client = Connect(daemon);
    hlbuf_buffer* buffer = OpenOne(client);
    Refuse(ENOBUFS, kForEver);
    hlbuf_buffer_release(buffer);
    ExpectFewTries(client, wait);
    EXPECT_EQ(DispatchUntil(client, [] { return false; }), HLBUF_E_SERVICE_GONE);
    hlbuf_client_close(client);
  }
}

// It sleeps, and would hear of the next packet only.
TEST_F(SendErrors, WakeTheLibrarysThread) {
  std::promise<void> released;
  FakeDaemon daemon([&](Conversation& talk) {
    talk.Greet();
    talk.Grant(talk.Expect(HLBUF_WIRE_OPEN), 5);
    SendDevice(talk, "hl0", HLBUF_WIRE_DEVICE_READY, 1);
    EXPECT_EQ(talk.Expect(HLBUF_WIRE_RELEASE).leases(), Leases{5});
    released.set_value();
    talk.ExpectEnd();
  });
  std::promise<void> told;
  hlbuf_connect_options options = {};
  options.callbacks.context = &told;
  options.callbacks.on_device = [](void* promise, const hlbuf_device_event*) {
    static_cast<std::promise<void>*>(promise)->set_value();
  };
  hlbuf_client* client = Connect(daemon, options);
  hlbuf_buffer* buffer = OpenOne(client);
  ASSERT_EQ(hlbuf_client_start_thread(client, &error_), HLBUF_OK) << error_.text;
  told.get_future().wait();
  Refuse(ENOBUFS, 3);
  hlbuf_buffer_release(buffer);
  released.get_future().wait();
  EXPECT_EQ(refused, 3);
  hlbuf_client_close(client);
}

// A client answers at once, whatever else it is doing.
TEST_F(SendErrors, LetNoPONGWaitForAnAnswer) {
  FakeDaemon daemon([](Conversation& talk) {
    talk.Greet();
    const Request devices = talk.Expect(HLBUF_WIRE_DEVICES);
    Refuse(ENOBUFS, 3);
    talk.Ping(7);
    EXPECT_EQ(talk.Expect(HLBUF_WIRE_PONG).As<hlbuf_wire_ping>().nonce, 7U);
    talk.Refuse(devices, HLBUF_WIRE_SHUTTING_DOWN, "");
    talk.ExpectEnd();
  });
  hlbuf_client* client = Connect(daemon);
  EXPECT_EQ(Devices(client), HLBUF_E_SHUTTING_DOWN) << error_.text;
  EXPECT_EQ(refused, 3);
  hlbuf_client_close(client);
}

TEST_F(SendErrors, LetREATTACHWait) {
  const Wait call = [](hlbuf_client* client) {
    std::size_t count = 0;
    hlbuf_client_set_timeout(client, kTimeMs);
    EXPECT_EQ(hlbuf_devices(client, nullptr, 0, &count, nullptr), HLBUF_E_TIMED_OUT);
    hlbuf_client_set_timeout(client, 0);
  };
  for (const Wait& wait : {Wait(Dispatch), Wait(Poll), call}) {
    FakeDaemon daemon([](Conversation& talk) {
      talk.GreetForGood();
      talk.Expect(HLBUF_WIRE_DEVICES);
      Refuse(ENOMEM, kForEver);
      talk.HangUp();
      Conversation next = talk.Next();
      next.TakeBack();
      AnswerDevices(next);
      next.ExpectEnd();
    });
    refused = 0;
    hlbuf_client* client = Connect(daemon, listener_.Options());
    hlbuf_client_set_timeout(client, 1);
    EXPECT_EQ(Devices(client), HLBUF_E_TIMED_OUT);
    hlbuf_client_set_timeout(client, 0);
    while (refused == 0) hlbuf_dispatch(client, 1, nullptr);  // until it is back
    ExpectFewTries(client, wait);
    EXPECT_EQ(Devices(client), HLBUF_OK) << error_.text;
    hlbuf_client_close(client);
  }
}

// The service died, and REATTACH promised that the allocation comes again.
class SendErrorsOfAPromise : public SendErrors {
 protected:
  void Allocate(int number, int times, int expected) {
    FakeDaemon daemon([&](Conversation& talk) {
      talk.GreetForGood();
      const Request allocate = talk.Expect(HLBUF_WIRE_ALLOCATE);
      talk.HangUp();
      Conversation next = talk.Next();
      const Reattach asked = next.ExpectReattach();
      EXPECT_EQ(asked.cookies, std::vector<std::uint64_t>{allocate.cookie()});
      Refuse(number, times);
      next.Answer(asked, Conversation::WelcomeOf(2));
      after_(next, allocate);
      next.ExpectEnd();
    });
    hlbuf_client* client = Connect(daemon);
    hlbuf_buffer* buffer = nullptr;
    EXPECT_EQ(RestartTest::Allocate(client, &buffer, &error_), expected) << error_.text;
    EXPECT_EQ(Devices(client), HLBUF_OK) << error_.text;
    EXPECT_EQ(refused, times);
    hlbuf_client_close(client);
    hlbuf_buffer_release(buffer);
  }

  std::function<void(Conversation&, const Request&)> after_;
};

TEST_F(SendErrorsOfAPromise, AreNotTheProgramsAffairWhenTheyPass) {
  after_ = [](Conversation& talk, const Request& allocate) {
    const Request again = talk.Expect(HLBUF_WIRE_ALLOCATE);
    EXPECT_EQ(again.bytes, allocate.bytes);
    AnswerAllocate(talk, again, 9);
    AnswerDevices(talk);
  };
  Allocate(ENOBUFS, 3, HLBUF_OK);
  Allocate(ENOMEM, 3, HLBUF_OK);
}

// Else the lease that is kept for it would be nobody's.
TEST_F(SendErrorsOfAPromise, EndTheCallAndNotThePromise) {
  after_ = [](Conversation& talk, const Request& allocate) {
    const Request again = talk.Expect(HLBUF_WIRE_ALLOCATE);
    EXPECT_EQ(again.bytes, allocate.bytes);
    AnswerAllocate(talk, again, 9);
    AnswerDevices(talk);
    EXPECT_EQ(talk.Expect(HLBUF_WIRE_RELEASE).leases(), Leases{9});
  };
  Allocate(EACCES, 1, HLBUF_E_SYSTEM);
}

// The caller is told of another error, and leaves.
TEST_F(SendErrorsOfAPromise, LetItWaitWithoutItsCaller) {
  for (const Wait& wait : {Wait(Dispatch), Wait(Poll)}) {
    FakeDaemon daemon([](Conversation& talk) {
      talk.GreetForGood();
      talk.Expect(HLBUF_WIRE_ALLOCATE);
      talk.HangUp();
      Conversation next = talk.Next();
      const Reattach asked = next.ExpectReattach();
      Refuse(ENOBUFS, kForEver, EACCES);
      next.Answer(asked, Conversation::WelcomeOf(2));
      AnswerAllocate(next, next.Expect(HLBUF_WIRE_ALLOCATE), 9);
      EXPECT_EQ(next.Expect(HLBUF_WIRE_RELEASE).leases(), Leases{9});
      next.Goodbye(HLBUF_WIRE_GOODBYE_SHUTDOWN, "");
    });
    hlbuf_client* client = Connect(daemon);
    hlbuf_buffer* buffer = nullptr;
    EXPECT_EQ(RestartTest::Allocate(client, &buffer, &error_), HLBUF_E_SYSTEM) << error_.text;
    hlbuf_dispatch(client, 0, nullptr);  // that the service is back
    ExpectFewTries(client, wait);
    EXPECT_EQ(DispatchUntil(client, [] { return false; }), HLBUF_E_SERVICE_GONE);
    hlbuf_client_close(client);
  }
}

// Polls until nothing is left to be done, which is soon.
void Settle(hlbuf_client* client, pollfd* p) {
  int looks = 0;
  while (::poll(p, 1, 0) == 1 && ++looks < kTriesAtMost) hlbuf_dispatch(client, 0, nullptr);
  EXPECT_LT(looks, kTriesAtMost);
}

// The program has nothing else to call.
TEST_F(SendErrorsOfAPromise, ReadyTheDescriptorThatIsPolled) {
  std::promise<void> came, settled;
  FakeDaemon daemon([&](Conversation& talk) {
    talk.GreetForGood();
    talk.Expect(HLBUF_WIRE_ALLOCATE);
    talk.HangUp();
    Conversation next = talk.Next();
    const Reattach asked = next.ExpectReattach();
    Refuse(ENOBUFS, kForEver);
    next.Answer(asked, Conversation::WelcomeOf(2));
    const Request again = next.Expect(HLBUF_WIRE_ALLOCATE);
    came.set_value();
    settled.get_future().wait();
    AnswerAllocate(next, again, 9);
    EXPECT_EQ(next.Expect(HLBUF_WIRE_RELEASE).leases(), Leases{9});
    next.Goodbye(HLBUF_WIRE_GOODBYE_SHUTDOWN, "");
  });
  refused = 0;
  hlbuf_client* client = Connect(daemon, listener_.Options());
  pollfd p = {.fd = hlbuf_client_fd(client, &error_), .events = POLLIN, .revents = 0};
  hlbuf_buffer* buffer = nullptr;
  std::future<int> allocated = std::async(
      std::launch::async, [&] { return RestartTest::Allocate(client, &buffer, nullptr); });
  while (refused == 0) hlbuf_dispatch(client, 1, nullptr);  // until the service is back
  Settle(client, &p);
  send_errno = EACCES;  // that ends the call
  EXPECT_EQ(allocated.get(), HLBUF_E_SYSTEM);
  refusals_left = 0;
  EXPECT_EQ(::poll(&p, 1, 20000), 1);
  Settle(client, &p);
  came.get_future().wait();
  Settle(client, &p);
  settled.set_value();
  while (listener_.goodbyes.empty() && ::poll(&p, 1, 20000) == 1)
    hlbuf_dispatch(client, 0, nullptr);
  EXPECT_EQ(listener_.goodbyes.size(), 1U);
  hlbuf_client_close(client);
}

TEST_F(SendErrorsOfAPromise, TakeItBackWithTheConnectionWhenTheyStay) {
  after_ = [](Conversation& talk, const Request&) {
    talk.ExpectEnd();
    Conversation next = talk.Next();
    EXPECT_TRUE(next.TakeBack(2).cookies.empty());
    AnswerDevices(next);
    next.ExpectEnd();
  };
  Allocate(EACCES, 2, HLBUF_E_SYSTEM);
}

}  // namespace
}  // namespace hlbuf::testing
