// SPDX-License-Identifier: Apache-2.0
#include "tests/card/device_watch.h"

#include <algorithm>

namespace hlbuf {

DeviceWatch::DeviceWatch(const std::string& client_socket)
    : client_(RawClient::Greeted(client_socket)) {}

bool DeviceWatch::BecomesReady(std::uint64_t epoch, std::chrono::milliseconds patience) {
  using std::chrono::steady_clock;
  const steady_clock::time_point until = steady_clock::now() + patience;
  for (;;) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(until - steady_clock::now());
    if (!client_.Readable(std::max(0, static_cast<int>(left.count())))) return false;
    const std::optional<Packet> notice = client_.Receive();
    if (!notice.has_value()) return false;
    if (notice->opcode() == HLBUF_WIRE_PING)
      client_.Send(PongFrame(notice->As<hlbuf_wire_ping>().nonce));
    if (notice->opcode() != HLBUF_WIRE_DEVICE) continue;
    const auto device = notice->As<hlbuf_wire_device>();
    if (device.state == HLBUF_WIRE_DEVICE_READY && device.epoch == epoch) return true;
  }
}

}  // namespace hlbuf
