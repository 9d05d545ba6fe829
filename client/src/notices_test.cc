// SPDX-License-Identifier: Apache-2.0
// Revocations, device states, PING and GOODBYE, delivered by hlbuf_dispatch().
#include <poll.h>
#include <sys/socket.h>

#include <chrono>
#include <future>

#include "client/src/listener_fixture.h"

namespace hlbuf::testing {
namespace {

class Notices : public ListenerTest {};

TEST_F(Notices, ARevokedBufferIsReleasedAfterTheCallback) {
  FakeDaemon daemon([](Conversation& talk) {
    talk.Greet();
    for (std::uint64_t lease = 1; lease <= 3; ++lease)
      talk.Grant(talk.Expect(HLBUF_WIRE_OPEN), lease);
    talk.Revoke({3, 99, 1}, HLBUF_WIRE_REVOKE_RESET);  // 99: nobody's
    EXPECT_EQ(talk.Expect(HLBUF_WIRE_RELEASE).leases(), (Leases{3, 1}));
    EXPECT_EQ(talk.Expect(HLBUF_WIRE_RELEASE).leases(), (Leases{2}));
    talk.ExpectEnd();
  });
  hlbuf_client* client = Connect(daemon, listener_.Options());
  const std::vector<hlbuf_buffer*> buffers = Open(client, 3);
  ASSERT_EQ(DispatchUntil(client, [&] { return listener_.revocations.size() == 2; }), HLBUF_OK);
  EXPECT_EQ(listener_.revocations[0].lease, 3U);
  EXPECT_EQ(listener_.revocations[0].reason, static_cast<std::uint32_t>(HLBUF_REVOKE_RESET));
  EXPECT_EQ(listener_.revocations[0].deadline, 77U);
  EXPECT_GE(listener_.revocations[0].fd, 0);
  EXPECT_EQ(hlbuf_buffer_fd(buffers[0]), -1);
  EXPECT_FALSE(hlbuf_buffer_is_revoked(buffers[1]));
  EXPECT_GE(hlbuf_buffer_fd(buffers[1]), 0);
  hlbuf_buffers_release(buffers.data(), buffers.size());  // only 2 is still leased
  hlbuf_client_close(client);
}

TEST_F(Notices, AKeptBufferIsReleasedByTheProgram) {
  FakeDaemon daemon([](Conversation& talk) {
    talk.Greet();
    talk.Grant(talk.Expect(HLBUF_WIRE_OPEN), 1);
    talk.Revoke({1});
    talk.Revoke({1});
    EXPECT_EQ(talk.Expect(HLBUF_WIRE_SHARE).opcode(), HLBUF_WIRE_SHARE);  // before any RELEASE
    talk.Goodbye(HLBUF_WIRE_GOODBYE_SHUTDOWN, "");
    talk.ExpectEnd();
  });
  listener_.answer = HLBUF_REVOKE_KEEP;
  hlbuf_client* client = Connect(daemon, listener_.Options());
  const std::vector<hlbuf_buffer*> buffers = Open(client, 1);
  ASSERT_EQ(DispatchUntil(client, [&] { return !listener_.revocations.empty(); }), HLBUF_OK);
  EXPECT_GE(hlbuf_buffer_fd(buffers[0]), 0);
  EXPECT_EQ(hlbuf_share(client, 1, HLBUF_GRANTEE_UID, 1, nullptr), HLBUF_E_SERVICE_GONE);
  EXPECT_EQ(DispatchUntil(client, [] { return false; }), HLBUF_E_SERVICE_GONE);
  ASSERT_EQ(listener_.revocations.size(), 2U);  // the same once more is nothing new
  EXPECT_EQ(listener_.revocations[1].reason, static_cast<std::uint32_t>(HLBUF_REVOKE_SERVICE_GONE));
  hlbuf_buffer_release(buffers[0]);
  hlbuf_client_close(client);
}

TEST_F(Notices, AKeptBufferIsAskedForAgainWhenItsDeadlineMovesForward) {
  constexpr std::uint64_t kHour = 3600, kSoon = 20, kSooner = 5;
  std::promise<void> kept;
  FakeDaemon daemon([&](Conversation& talk) {
    talk.Greet();
    talk.Grant(talk.Expect(HLBUF_WIRE_OPEN), 1);
    talk.Revoke({1}, HLBUF_WIRE_REVOKE_OPERATOR, kHour);
    kept.get_future().wait();
    talk.Revoke({1}, HLBUF_WIRE_REVOKE_UNSHARED, kHour);  // says nothing that is not known
    talk.Revoke({1}, HLBUF_WIRE_REVOKE_RESET, kSoon);
    talk.Revoke({1}, HLBUF_WIRE_REVOKE_RESET, kSooner);
    EXPECT_EQ(talk.Expect(HLBUF_WIRE_RELEASE).leases(), Leases{1});
    talk.ExpectEnd();
  });
  hlbuf_client* client = Connect(daemon, listener_.Options());
  listener_.answer = HLBUF_REVOKE_KEEP;
  const std::vector<hlbuf_buffer*> buffers = Open(client, 1);
  ASSERT_EQ(DispatchUntil(client, [&] { return listener_.revocations.size() == 1; }), HLBUF_OK);
  kept.set_value();
  ASSERT_EQ(DispatchUntil(client, [&] { return listener_.revocations.back().deadline == kSooner; }),
            HLBUF_OK);
  EXPECT_EQ(listener_.revocations[0].deadline, kHour);
  EXPECT_EQ(listener_.revocations[1].reason, static_cast<std::uint32_t>(HLBUF_REVOKE_RESET));
  hlbuf_buffer_release(buffers[0]);
  hlbuf_client_close(client);
}

TEST_F(Notices, ARevocationThatWaitsTakesTheEarliestDeadlineAndTheNewestReason) {
  FakeDaemon daemon([](Conversation& talk) {
    talk.Greet();
    talk.Grant(talk.Expect(HLBUF_WIRE_OPEN), 1);
    const Request open = talk.Expect(HLBUF_WIRE_OPEN);
    talk.Revoke({1}, HLBUF_WIRE_REVOKE_OPERATOR, 3600);
    talk.Revoke({1}, HLBUF_WIRE_REVOKE_RESET, 20);
    talk.Revoke({1}, HLBUF_WIRE_REVOKE_UNSHARED, 50);
    talk.Grant(open, 2);
    EXPECT_EQ(talk.Expect(HLBUF_WIRE_RELEASE).leases(), Leases{1});
    EXPECT_EQ(talk.Expect(HLBUF_WIRE_RELEASE).leases(), Leases{2});
    talk.ExpectEnd();
  });
  hlbuf_client* client = Connect(daemon, listener_.Options());
  const std::vector<hlbuf_buffer*> buffers = Open(client, 2);
  EXPECT_EQ(hlbuf_dispatch(client, 0, &error_), HLBUF_OK);
  ASSERT_EQ(listener_.revocations.size(), 1U);
  EXPECT_EQ(listener_.revocations[0].deadline, 20U);
  EXPECT_EQ(listener_.revocations[0].reason, static_cast<std::uint32_t>(HLBUF_REVOKE_UNSHARED));
  hlbuf_buffers_release(buffers.data(), buffers.size());
  hlbuf_client_close(client);
}

TEST_F(Notices, TheProgramMayReleaseInsideTheCallback) {
  FakeDaemon daemon([](Conversation& talk) {
    talk.Greet();
    talk.Grant(talk.Expect(HLBUF_WIRE_OPEN), 1);
    talk.Revoke({1});
    EXPECT_EQ(talk.Expect(HLBUF_WIRE_RELEASE).leases(), Leases{1});
    talk.ExpectEnd();
  });
  listener_.on_revoke = [](const hlbuf_revocation& r) { hlbuf_buffer_release(r.buffer); };
  hlbuf_client* client = Connect(daemon, listener_.Options());
  Open(client, 1);
  EXPECT_EQ(DispatchUntil(client, [&] { return !listener_.revocations.empty(); }), HLBUF_OK);
  hlbuf_client_close(client);
}

TEST_F(Notices, ABufferThatWasReleasedFirstIsNotAskedFor) {
  FakeDaemon daemon([](Conversation& talk) {
    talk.Greet();
    talk.Grant(talk.Expect(HLBUF_WIRE_OPEN), 1);
    const Request open = talk.Expect(HLBUF_WIRE_OPEN);
    talk.Revoke({1});
    talk.Grant(open, 2);
    EXPECT_EQ(talk.Expect(HLBUF_WIRE_RELEASE).leases(), Leases{1});
    talk.Goodbye(HLBUF_WIRE_GOODBYE_SHUTDOWN, "");
    talk.ExpectEnd();
  });
  hlbuf_client* client = Connect(daemon, listener_.Options());
  const std::vector<hlbuf_buffer*> buffers = Open(client, 2);
  EXPECT_TRUE(hlbuf_buffer_is_revoked(buffers[0]));
  hlbuf_buffer_release(buffers[0]);
  EXPECT_EQ(DispatchUntil(client, [] { return false; }), HLBUF_E_SERVICE_GONE);
  ASSERT_EQ(listener_.revocations.size(), 1U);
  EXPECT_EQ(listener_.revocations[0].lease, 2U);
  hlbuf_buffer_release(buffers[1]);
  hlbuf_client_close(client);
}

TEST_F(Notices, WhatWasNotDeliveredIsForgottenAtTheEnd) {
  FakeDaemon daemon([](Conversation& talk) {
    talk.Greet();
    talk.Grant(talk.Expect(HLBUF_WIRE_OPEN), 1);
    const Request open = talk.Expect(HLBUF_WIRE_OPEN);
    talk.Revoke({1});
    SendDevice(talk, "d", HLBUF_WIRE_DEVICE_READY, 1);
    talk.Grant(open, 2);
    talk.ExpectEnd();
  });
  hlbuf_client* client = Connect(daemon, listener_.Options());
  const std::vector<hlbuf_buffer*> buffers = Open(client, 2);
  hlbuf_client_close(client);
  EXPECT_TRUE(listener_.revocations.empty());
  EXPECT_TRUE(hlbuf_buffer_is_revoked(buffers[1]));
  hlbuf_buffers_release(buffers.data(), buffers.size());
}

TEST_F(Notices, WithoutACallbackNothingIsReleasedForTheProgram) {
  std::promise<void> answered;
  FakeDaemon daemon([&](Conversation& talk) {
    talk.Greet();
    talk.Grant(talk.Expect(HLBUF_WIRE_OPEN), 1);
    talk.Revoke({1});
    talk.Ping(5);
    talk.Expect(HLBUF_WIRE_PONG);  // had it released, that would have come first
    answered.set_value();
    EXPECT_EQ(talk.Expect(HLBUF_WIRE_RELEASE).leases(), Leases{1});
    talk.ExpectEnd();
  });
  hlbuf_client* client = Connect(daemon);
  const std::vector<hlbuf_buffer*> buffers = Open(client, 1);
  std::future<void> pong = answered.get_future();
  while (pong.wait_for(std::chrono::seconds(0)) != std::future_status::ready)
    ASSERT_EQ(hlbuf_dispatch(client, 10, &error_), HLBUF_OK);
  EXPECT_TRUE(hlbuf_buffer_is_revoked(buffers[0]));
  EXPECT_GE(hlbuf_buffer_fd(buffers[0]), 0);
  hlbuf_buffer_release(buffers[0]);
  hlbuf_client_close(client);
}

TEST_F(Notices, ThousandsOfLeasesAreFoundAndGivenBackTogether) {
  constexpr std::size_t kBatches = 16;
  FakeDaemon daemon([](Conversation& talk) {
    talk.Greet();
    Leases all;
    for (std::size_t batch = 0; batch < kBatches; ++batch) {
      const Request open = talk.Expect(HLBUF_WIRE_OPEN);
      talk.Grant(open, batch * 1000 + 1);
      for (std::uint64_t i = 0; i < 60; ++i) all.push_back(batch * 1000 + 1 + i);
    }
    talk.Revoke(all);
    std::size_t released = 0;
    while (released < all.size()) released += talk.Expect(HLBUF_WIRE_RELEASE).leases().size();
    EXPECT_EQ(released, all.size());
    talk.ExpectEnd();
  });
  hlbuf_client* client = Connect(daemon, listener_.Options());
  const std::vector<hlbuf_open_item> items(
      60, {.buffer_id = 1, .name = nullptr, .owner_uid = 0, .reserved = 0});
  std::vector<hlbuf_open_result> results(items.size());
  std::vector<hlbuf_buffer*> buffers;
  for (std::size_t batch = 0; batch < kBatches; ++batch) {
    ASSERT_EQ(hlbuf_open_many(client, items.data(), 60, results.data(), &error_), HLBUF_OK);
    for (const hlbuf_open_result& result : results) buffers.push_back(result.buffer);
  }
  EXPECT_EQ(DispatchUntil(client, [&] { return listener_.revocations.size() == kBatches * 60; }),
            HLBUF_OK);
  hlbuf_buffers_release(buffers.data(), buffers.size());
  hlbuf_client_close(client);
}

TEST_F(Notices, WhatComesBetweenRequestAndAnswerWaitsForDispatch) {
  FakeDaemon daemon([](Conversation& talk) {
    talk.Greet();
    talk.Grant(talk.Expect(HLBUF_WIRE_OPEN), 1);
    const Request open = talk.Expect(HLBUF_WIRE_OPEN);
    talk.Revoke({1});
    talk.Ping(0x1234);
    SendDevice(talk, "accel0", HLBUF_WIRE_DEVICE_REVOKING, 1);
    EXPECT_EQ(talk.Expect(HLBUF_WIRE_PONG).As<hlbuf_wire_ping>().nonce, 0x1234U);  // at once
    talk.Grant(open, 2);
    EXPECT_EQ(talk.Expect(HLBUF_WIRE_RELEASE).leases(), Leases{1});
    EXPECT_EQ(talk.Expect(HLBUF_WIRE_RELEASE).leases(), Leases{2});
    talk.ExpectEnd();
  });
  hlbuf_client* client = Connect(daemon, listener_.Options());
  const std::vector<hlbuf_buffer*> buffers = Open(client, 2);
  EXPECT_TRUE(listener_.revocations.empty());
  EXPECT_TRUE(hlbuf_buffer_is_revoked(buffers[0]));
  pollfd p = {.fd = hlbuf_client_fd(client, &error_), .events = POLLIN, .revents = 0};
  EXPECT_EQ(::poll(&p, 1, 20000), 1);
  EXPECT_EQ(hlbuf_dispatch(client, 0, &error_), HLBUF_OK);
  EXPECT_EQ(listener_.revocations.size(), 1U);
  EXPECT_EQ(listener_.events, std::vector<std::string>{"accel0 REVOKING 1"});
  EXPECT_EQ(::poll(&p, 1, 0), 0);
  hlbuf_buffers_release(buffers.data(), buffers.size());
  hlbuf_client_close(client);
}

TEST_F(Notices, OnlyTheNewestStateOfEachDeviceIsDelivered) {
  FakeDaemon daemon([](Conversation& talk) {
    talk.Greet();
    const Request open = talk.Expect(HLBUF_WIRE_OPEN);
    SendDevice(talk, "a", HLBUF_WIRE_DEVICE_REVOKING, 1);
    SendDevice(talk, "b", HLBUF_WIRE_DEVICE_FAILED, 7);
    SendDevice(talk, "a", HLBUF_WIRE_DEVICE_READY, 2);
    for (int i = 0; i < 63; ++i)
      SendDevice(talk, "c" + std::to_string(i), HLBUF_WIRE_DEVICE_READY, 1);  // one too many
    talk.Grant(open, 1);
    talk.ExpectEnd();
  });
  hlbuf_client* client = Connect(daemon, listener_.Options());
  const std::vector<hlbuf_buffer*> buffers = Open(client, 1);
  EXPECT_EQ(hlbuf_dispatch(client, 0, &error_), HLBUF_OK);
  ASSERT_EQ(listener_.events.size(), 64U);
  EXPECT_EQ(listener_.events[0], "b FAILED 7");  // the oldest, "a", made room
  EXPECT_EQ(listener_.events[63], "c62 READY 1");
  hlbuf_client_close(client);
  hlbuf_buffer_release(buffers[0]);
}

TEST_F(Notices, TheEndOfTheSessionRevokesEveryBufferOnce) {
  FakeDaemon daemon([](Conversation& talk) {
    talk.Greet();
    for (std::uint64_t lease = 1; lease <= 2; ++lease)
      talk.Grant(talk.Expect(HLBUF_WIRE_OPEN), lease);
    talk.Revoke({2});
    talk.Goodbye(HLBUF_WIRE_GOODBYE_SHUTDOWN, "upgrade");
    talk.HangUp();
  });
  hlbuf_client* client = Connect(daemon, listener_.Options());
  const std::vector<hlbuf_buffer*> buffers = Open(client, 2);
  EXPECT_EQ(DispatchUntil(client, [] { return false; }), HLBUF_E_SERVICE_GONE);
  EXPECT_EQ(listener_.goodbyes, std::vector<std::string>{"SHUTDOWN: upgrade"});
  ASSERT_EQ(listener_.revocations.size(), 2U);
  for (const Listener::Told& told : listener_.revocations)
    EXPECT_EQ(told.deadline, told.reason == HLBUF_REVOKE_OPERATOR ? 77U : 0U);
  EXPECT_EQ(listener_.revocations[1].reason, static_cast<std::uint32_t>(HLBUF_REVOKE_SERVICE_GONE));
  EXPECT_EQ(hlbuf_buffer_fd(buffers[0]), -1);
  pollfd p = {.fd = hlbuf_client_fd(client, &error_), .events = POLLIN, .revents = 0};
  EXPECT_EQ(::poll(&p, 1, 0), 1);  // so that a poller learns of it
  hlbuf_buffers_release(buffers.data(), buffers.size());
  hlbuf_client_close(client);
}

// A broken frame without a cookie is answered by GOODBYE alone.
TEST_F(Notices, AGoodbyeSaysWhatWasWrongWithAFrameThatHasNoAnswer) {
  FakeDaemon daemon([](Conversation& talk) {
    talk.Greet();
    talk.Expect(HLBUF_WIRE_OPEN);
    talk.Goodbye(HLBUF_WIRE_GOODBYE_PROTOCOL, "a frame of 1 bytes has no header");
    talk.HangUp();
  });
  hlbuf_client* client = Connect(daemon, listener_.Options());
  hlbuf_buffer* buffer = nullptr;
  EXPECT_EQ(hlbuf_open_id(client, 1, &buffer, &error_), HLBUF_E_SERVICE_GONE);
  EXPECT_NE(std::string(error_.text).find("a frame of 1 bytes has no header"), std::string::npos);
  EXPECT_EQ(DispatchUntil(client, [] { return false; }), HLBUF_E_SERVICE_GONE);
  EXPECT_EQ(listener_.goodbyes,
            std::vector<std::string>{"PROTOCOL: a frame of 1 bytes has no header"});
  hlbuf_client_close(client);
}

TEST_F(Notices, ALostConnectionIsAGoodbyeToo) {
  FakeDaemon daemon([](Conversation& talk) { talk.Greet(); });
  hlbuf_client* client = Connect(daemon, listener_.Options());
  EXPECT_EQ(DispatchUntil(client, [] { return false; }), HLBUF_E_SERVICE_GONE);
  ASSERT_EQ(listener_.goodbyes.size(), 1U);
  EXPECT_EQ(listener_.goodbyes[0].substr(0, 16), "CONNECTION_LOST:");
  hlbuf_client_close(client);
}

// The daemon leaves with a packet unread: recvmsg() reports ECONNRESET in front of the GOODBYE.
TEST_F(Notices, AGoodbyeBehindAConnectionResetIsFound) {
  std::promise<void> left;
  FakeDaemon daemon([&](Conversation& talk) {
    talk.Greet();
    talk.Grant(talk.Expect(HLBUF_WIRE_OPEN), 1);
    talk.Goodbye(HLBUF_WIRE_GOODBYE_SHUTDOWN, "in time for lunch");
    char peeked;
    EXPECT_EQ(::recv(talk.socket(), &peeked, 1, MSG_PEEK), 1);  // the RELEASE
    talk.HangUp();
    left.set_value();
  });
  hlbuf_client* client = Connect(daemon, listener_.Options());
  hlbuf_buffer_release(Open(client, 1)[0]);
  left.get_future().wait();
  EXPECT_EQ(DispatchUntil(client, [] { return false; }), HLBUF_E_SERVICE_GONE);
  EXPECT_EQ(listener_.goodbyes, std::vector<std::string>{"SHUTDOWN: in time for lunch"});
  hlbuf_client_close(client);
}

TEST_F(Notices, AreHeardByAProgramWithoutAFreeDescriptor) {
  std::promise<void> has_none;
  FakeDaemon daemon([&](Conversation& talk) {
    talk.Greet();
    talk.Grant(talk.Expect(HLBUF_WIRE_OPEN), 1);
    has_none.get_future().wait();
    talk.Revoke({1});
    EXPECT_EQ(talk.Expect(HLBUF_WIRE_RELEASE).leases(), Leases{1});
    talk.ExpectEnd();
  });
  hlbuf_client* client = Connect(daemon, listener_.Options());
  const std::vector<hlbuf_buffer*> buffers = Open(client, 1);
  {
    const NoFreeDescriptors none;
    has_none.set_value();
    EXPECT_EQ(hlbuf_client_fd(client, &error_), -1);
    EXPECT_EQ(error_.code, HLBUF_E_NO_DESCRIPTORS);
    EXPECT_EQ(DispatchUntil(client, [&] { return !listener_.revocations.empty(); }), HLBUF_OK);
  }
  hlbuf_buffer_release(buffers[0]);
  hlbuf_client_close(client);
}

TEST_F(Notices, DispatchReturnsAtItsTimeout) {
  FakeDaemon daemon([](Conversation& talk) {
    talk.Greet();
    talk.ExpectEnd();
  });
  hlbuf_client* client = Connect(daemon);
  EXPECT_EQ(hlbuf_dispatch(client, 0, &error_), HLBUF_OK);
  EXPECT_EQ(hlbuf_dispatch(client, 20, &error_), HLBUF_OK);
  hlbuf_client_close(client);
}

}  // namespace
}  // namespace hlbuf::testing
