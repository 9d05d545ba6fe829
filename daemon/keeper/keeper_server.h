// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_KEEPER_KEEPER_SERVER_H_
#define HLBUF_DAEMON_KEEPER_KEEPER_SERVER_H_

#include <cstdint>
#include <unordered_map>

#include "daemon/keeper/keeper_request.h"
#include "daemon/keeper/open_device.h"
#include "proto/wire/packet.h"
#include "proto/wire/unique_fd.h"

namespace hlbuf {

// Does what keeper_wire.h says, on one connection, until that ends. It decides nothing: what it is
// given it keeps, what it is told to drop it drops.
class KeeperServer {
 public:
  // `socket` is borrowed: SOCK_SEQPACKET, connected.
  KeeperServer(int socket, Opens opens) : socket_(socket), opens_(opens) {}
  // Returns what the process ends with.
  hlbuf_keeper_exit Run();

 private:
  // False: the connection has ended.
  bool Serve(const KeeperRequest& request);
  bool Open(const KeeperRequest& request);
  bool Refuse(const KeeperRequest& request, int error);
  bool Answer(const KeeperRequest& request, hlbuf_keeper_verb verb);
  absl::Status Send(const KeeperRequest& request, hlbuf_keeper_verb verb, int error, int fd = -1);
  std::uint32_t Room() const;

  const int socket_;
  const Opens opens_;
  PacketBuffer packet_;
  std::unordered_multimap<std::uint64_t, UniqueFd> copies_;
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_KEEPER_KEEPER_SERVER_H_
