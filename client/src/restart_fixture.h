// SPDX-License-Identifier: Apache-2.0
// For tests of what a client does while its service dies and comes back.
#ifndef HLBUF_CLIENT_SRC_RESTART_FIXTURE_H_
#define HLBUF_CLIENT_SRC_RESTART_FIXTURE_H_

#include "client/src/listener_fixture.h"

namespace hlbuf::testing {

class RestartTest : public ListenerTest {
 protected:
  static hlbuf_buffer* OpenOne(hlbuf_client* client) { return Open(client, 1).front(); }
  int Devices(hlbuf_client* client) {
    std::size_t count = 0;
    return hlbuf_devices(client, nullptr, 0, &count, &error_);
  }
  // Answers it without a device.
  static void AnswerDevices(Conversation& talk) {
    talk.Send(MakeFrame(HLBUF_WIRE_DEVICE_LIST, talk.Expect(HLBUF_WIRE_DEVICES).cookie(),
                        hlbuf_wire_device_list{.item_bytes = sizeof(hlbuf_wire_device_item)}));
  }
  static void AnswerAllocate(Conversation& talk, const Request& allocate, std::uint64_t lease) {
    talk.Send(
        MakeFrame(
            HLBUF_WIRE_ALLOCATED, allocate.cookie(),
            hlbuf_wire_allocated{
                .buffer_id = 1000 + lease, .lease_id = lease, .size_bytes = 4096, .epoch = 1}),
        {SomeMemory().get()});
  }
  static int Allocate(hlbuf_client* client, hlbuf_buffer** buffer, hlbuf_error* error) {
    hlbuf_allocate_options options = {};
    options.struct_bytes = sizeof(options);
    options.size_bytes = 4096;
    options.name = "weights";
    return hlbuf_allocate(client, &options, buffer, error);
  }
};

}  // namespace hlbuf::testing

#endif  // HLBUF_CLIENT_SRC_RESTART_FIXTURE_H_
