// SPDX-License-Identifier: Apache-2.0
// A kernel that does not take what is sent, though the connection is sound.
#include <sys/socket.h>

#include <atomic>
#include <cerrno>
#include <future>

#include "client/src/restart_fixture.h"

namespace {

std::atomic<int> send_errno{0};
std::atomic<int> refusals_left{0};
std::atomic<int> refused{0};

}  // namespace

// In the place of libc's. Only the library's requests go this way.
extern "C" ssize_t send(int socket, const void* bytes, size_t count, int flags) {
  if (refusals_left.load() <= 0) return ::sendto(socket, bytes, count, flags, nullptr, 0);
  --refusals_left;
  ++refused;
  errno = send_errno;
  return -1;
}

namespace hlbuf::testing {
namespace {

constexpr int kForEver = 1 << 30;

class SendErrors : public RestartTest {
 protected:
  void TearDown() override {
    refusals_left = 0;
    RestartTest::TearDown();
  }
  static void Refuse(int number, int times) {
    send_errno = number;
    refused = 0;
    refusals_left = times;
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
  hlbuf_client_set_timeout(client, 100);
  Refuse(ENOBUFS, kForEver);
  EXPECT_EQ(Devices(client), HLBUF_E_TIMED_OUT);
  EXPECT_NE(std::string_view(error_.text).find("could not be sent"), std::string_view::npos)
      << error_.text;
  EXPECT_LE(refused, 15);  // every 10 ms
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
