// SPDX-License-Identifier: Apache-2.0
// A service that comes back and lies.
#include <functional>
#include <utility>

#include "client/src/restart_fixture.h"

namespace hlbuf::testing {
namespace {

class HostileRestart : public RestartTest {
 protected:
  using Lie = std::function<void(Conversation&, const Reattach&)>;

  // Whatever it says: the session ends, the buffer is revoked, no descriptor is left open, and the
  // client does not come a second time.
  void ExpectBreach(const Lie& lie) {
    FakeDaemon daemon([&](Conversation& talk) {
      talk.GreetForGood();
      talk.Grant(talk.Expect(HLBUF_WIRE_OPEN), 5);
      talk.HangUp();
      Conversation next = talk.Next();
      lie(next, next.ExpectReattach());
      next.ExpectEnd();
    });
    hlbuf_client* client = Connect(daemon);
    hlbuf_buffer* buffer = OpenOne(client);
    EXPECT_EQ(Devices(client), HLBUF_E_BAD_REPLY) << error_.text;
    EXPECT_TRUE(hlbuf_buffer_is_revoked(buffer));
    EXPECT_EQ(Devices(client), HLBUF_E_SERVICE_GONE);
    hlbuf_client_close(client);
    hlbuf_buffer_release(buffer);
  }
  static Bytes Reattached(const Reattach& asked, hlbuf_wire_welcome welcome) {
    return MakeFrame(HLBUF_WIRE_REATTACHED, asked.fixed.header.cookie, welcome);
  }
};

TEST_F(HostileRestart, WithAWelcomeThatIsNotThisSessions) {
  const std::vector<std::function<void(hlbuf_wire_welcome&)>> lies = {
      [](hlbuf_wire_welcome& w) { w.session_id = 43; },
      [](hlbuf_wire_welcome& w) { w.version = 2; }, [](hlbuf_wire_welcome& w) { w.batch_max = 0; }};
  for (const auto& spoil : lies) {
    hlbuf_wire_welcome welcome = Conversation::WelcomeOf(2);
    spoil(welcome);
    ExpectBreach(
        [&](Conversation& talk, const Reattach& asked) { talk.Send(Reattached(asked, welcome)); });
  }
}

TEST_F(HostileRestart, WithAnAnswerThatIsTooShort) {
  ExpectBreach([](Conversation& talk, const Reattach& asked) {
    talk.Send(MakeFrame(HLBUF_WIRE_REATTACHED, asked.fixed.header.cookie, hlbuf_wire_header{}));
  });
}

TEST_F(HostileRestart, WithDescriptors) {
  ExpectBreach([](Conversation& talk, const Reattach& asked) {
    const UniqueFd memory = SomeMemory();
    talk.Send(Reattached(asked, Conversation::WelcomeOf(2)), {memory.get(), memory.get()});
  });
}

TEST_F(HostileRestart, WithAnAnswerToSomethingElse) {
  const std::vector<Lie> lies = {
      [](Conversation& talk, const Reattach& asked) {
        talk.Send(MakeFrame(HLBUF_WIRE_REATTACHED, asked.fixed.header.cookie + 1,
                            Conversation::WelcomeOf(2)));
      },
      [](Conversation& talk, const Reattach& asked) {
        talk.Send(
            MakeFrame(HLBUF_WIRE_WELCOME, asked.fixed.header.cookie, Conversation::WelcomeOf(2)));
      },
      // Not before REATTACHED.
      [](Conversation& talk, const Reattach& asked) {
        talk.Send(MakeFrame(HLBUF_WIRE_DEVICE_LIST, asked.fixed.header.cookie - 1,
                            hlbuf_wire_device_list{.item_bytes = sizeof(hlbuf_wire_device_item)}));
      },
      [](Conversation& talk, const Reattach& asked) {
        const UniqueFd memory = SomeMemory();
        talk.Send(MakeFrame(HLBUF_WIRE_ALLOCATED, asked.fixed.header.cookie - 1,
                            hlbuf_wire_allocated{
                                .buffer_id = 1, .lease_id = 1, .size_bytes = 4096, .epoch = 1}),
                  {memory.get()});
      }};
  for (const Lie& lie : lies) ExpectBreach(lie);
}

TEST_F(HostileRestart, WithARefusalThatIsNone) {
  ExpectBreach([](Conversation& talk, const Reattach& asked) {
    talk.Send(MakeFrame(HLBUF_WIRE_ERROR, asked.fixed.header.cookie,
                        hlbuf_wire_error{.status = HLBUF_WIRE_OK}));
  });
  ExpectBreach([](Conversation& talk, const Reattach& asked) {
    talk.Send(MakeFrame(HLBUF_WIRE_ERROR, asked.fixed.header.cookie,
                        hlbuf_wire_error{.status = HLBUF_WIRE_NOT_FOUND, .text_bytes = 1000}));
  });
}

TEST_F(HostileRestart, WithASecondAnswer) {
  ExpectBreach([](Conversation& talk, const Reattach& asked) {
    talk.Send(Reattached(asked, Conversation::WelcomeOf(2)));
    const Request devices = talk.Expect(HLBUF_WIRE_DEVICES);
    talk.Send(MakeFrame(HLBUF_WIRE_REATTACHED, devices.cookie(), Conversation::WelcomeOf(3)));
  });
}

// Whoever takes connections and drops them costs the client little, and its program no error.
TEST_F(HostileRestart, ThatTakesConnectionsAndDropsThem) {
  FakeDaemon daemon([](Conversation& talk) {
    talk.GreetForGood();
    talk.HangUp();
    for (std::uint8_t secret = 1; secret < 6; ++secret) {
      Conversation next = talk.Next();
      next.TakeBack(secret);
    }
    Conversation last = talk.Next();
    last.TakeBack(6);
    AnswerDevices(last);
    last.ExpectEnd();
  });
  hlbuf_client* client = Connect(daemon);
  EXPECT_EQ(Devices(client), HLBUF_OK) << error_.text;
  hlbuf_client_close(client);
}

}  // namespace
}  // namespace hlbuf::testing
