// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_CORE_SESSION_SECRET_H_
#define HLBUF_DAEMON_CORE_SESSION_SECRET_H_

#include <array>
#include <cstdint>

namespace hlbuf {

// What a client shows to get its session back after a restart of the service. Nobody else sees it:
// it is in no log, no event and no answer of the control API.
struct SessionSecret {
  std::array<std::uint8_t, 16> bytes = {};  // all 0: there is none, and it matches nothing

  bool empty() const {
    std::uint8_t any = 0;
    for (const std::uint8_t byte : bytes) any |= byte;
    return any == 0;
  }
  // Takes as long whatever the bytes are: a peer can measure the answer.
  bool Matches(const SessionSecret& shown) const {
    std::uint8_t differ = 0;
    for (std::size_t i = 0; i < bytes.size(); ++i)
      differ = static_cast<std::uint8_t>(differ | (bytes[i] ^ shown.bytes[i]));
    return !empty() && differ == 0;
  }
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_CORE_SESSION_SECRET_H_
