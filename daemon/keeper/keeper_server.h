// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_KEEPER_KEEPER_SERVER_H_
#define HLBUF_DAEMON_KEEPER_KEEPER_SERVER_H_

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "daemon/keeper/keeper_request.h"
#include "daemon/keeper/open_device.h"
#include "proto/wire/packet.h"
#include "proto/wire/unique_fd.h"

namespace hlbuf {

// Does what keeper_wire.h says, on one connection after the other. It decides nothing: what it is
// given it keeps, what it is told to drop it drops.
class KeeperServer {
 public:
  explicit KeeperServer(Opens opens) : opens_(opens) {}
  // On `socket`, which is borrowed (SOCK_SEQPACKET, connected), until that ends. Returns what the
  // process ends with, unless the next connection comes.
  hlbuf_keeper_exit Run(int socket);
  bool KeepsAnything() const { return !copies_.empty(); }

 private:
  // False: the connection has ended.
  bool Serve(const KeeperRequest& request);
  bool Open(const KeeperRequest& request);
  bool Drop(const KeeperRequest& request);
  bool Fetch(const KeeperRequest& request);
  bool Refuse(const KeeperRequest& request, int error);
  bool Answer(const KeeperRequest& request, hlbuf_keeper_verb verb);

  struct Load {
    std::vector<std::uint64_t> ids;
    std::vector<int> fds;  // borrowed
  };
  absl::Status Send(const KeeperRequest& request, hlbuf_keeper_verb verb, int error,
                    const Load& load = {});
  std::uint32_t Room() const;

  const Opens opens_;
  int socket_ = -1;
  PacketBuffer packet_;
  std::unordered_multimap<std::uint64_t, UniqueFd> copies_;
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_KEEPER_KEEPER_SERVER_H_
