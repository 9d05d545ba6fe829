// SPDX-License-Identifier: Apache-2.0
// For tests of what hlbuf_dispatch() delivers.
#ifndef HLBUF_CLIENT_SRC_LISTENER_FIXTURE_H_
#define HLBUF_CLIENT_SRC_LISTENER_FIXTURE_H_

#include "client/src/fake_daemon.h"

namespace hlbuf::testing {

using Leases = std::vector<std::uint64_t>;

// Writes down what it is told.
struct Listener {
  struct Told {
    std::uint64_t lease;
    std::uint32_t reason;
    std::uint64_t deadline;
    int fd;
  };
  std::vector<Told> revocations;
  std::vector<std::string> events;
  std::vector<std::string> goodbyes;
  std::vector<std::uint32_t> services;
  hlbuf_revoke_answer answer = HLBUF_REVOKE_RELEASE;
  std::function<void(const hlbuf_revocation&)> on_revoke = [](const hlbuf_revocation&) {};

  hlbuf_connect_options Options() {
    hlbuf_connect_options options = {};
    options.callbacks = {
        .on_revoke =
            [](void* self, const hlbuf_revocation* r) {
              auto& listener = *static_cast<Listener*>(self);
              listener.revocations.push_back(
                  {r->lease_id, r->reason, r->deadline_boottime_ns, hlbuf_buffer_fd(r->buffer)});
              EXPECT_TRUE(hlbuf_buffer_is_revoked(r->buffer));
              listener.on_revoke(*r);
              return listener.answer;
            },
        .on_device =
            [](void* self, const hlbuf_device_event* e) {
              static_cast<Listener*>(self)->events.push_back(std::string(e->device) + " " +
                                                             hlbuf_device_state_name(e->state) +
                                                             " " + std::to_string(e->epoch));
            },
        .on_goodbye =
            [](void* self, const hlbuf_goodbye* g) {
              static_cast<Listener*>(self)->goodbyes.push_back(
                  std::string(hlbuf_goodbye_reason_name(g->reason)) + ": " + g->text);
            },
        .context = this,
        .on_service =
            [](void* self, std::uint32_t state) {
              static_cast<Listener*>(self)->services.push_back(state);
            }};
    return options;
  }
};

// Opens, dispatches, and keeps what the callbacks were told.
class ListenerTest : public ClientTest {
 protected:
  // Opens `count` buffers, whose leases the fake daemon chooses.
  static std::vector<hlbuf_buffer*> Open(hlbuf_client* client, std::size_t count) {
    std::vector<hlbuf_buffer*> buffers(count);
    hlbuf_error error = {};
    for (hlbuf_buffer*& buffer : buffers)
      EXPECT_EQ(hlbuf_open_id(client, 1, &buffer, &error), HLBUF_OK) << error.text;
    return buffers;
  }
  static void SendDevice(Conversation& talk, std::string_view name, hlbuf_wire_device_state state,
                         std::uint64_t epoch) {
    talk.Send(MakeFrame(HLBUF_WIRE_DEVICE, 0,
                        hlbuf_wire_device{.epoch = epoch,
                                          .state = static_cast<std::uint32_t>(state),
                                          .name_bytes = static_cast<std::uint16_t>(name.size())},
                        name));
  }
  // Dispatches until `done` or the session's end.
  template <class Done>
  int DispatchUntil(hlbuf_client* client, Done done) {
    int code = HLBUF_OK;
    while (code == HLBUF_OK && !done()) code = hlbuf_dispatch(client, 20000, &error_);
    return code;
  }

  Listener listener_;
};

}  // namespace hlbuf::testing

#endif  // HLBUF_CLIENT_SRC_LISTENER_FIXTURE_H_
