// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_KEEPER_KEEPER_REQUEST_H_
#define HLBUF_DAEMON_KEEPER_KEEPER_REQUEST_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "daemon/keeper/keeper_wire.h"

namespace hlbuf {

struct KeeperRequest {
  hlbuf_keeper_message message = {};
  std::string path;                // OPEN
  std::vector<std::uint64_t> ids;  // DROP
};

// One packet with `descriptors` descriptors. nullopt: malformed, which ends the connection.
//
// A version or a verb that this keeper does not know is not malformed, whatever comes with it: the
// caller refuses it.
std::optional<KeeperRequest> ParseKeeperRequest(std::span<const std::byte> packet,
                                                std::size_t descriptors);

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_KEEPER_KEEPER_REQUEST_H_
