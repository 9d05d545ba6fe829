// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_CONTROL_CONTROL_CONNECTIONS_H_
#define HLBUF_DAEMON_CONTROL_CONTROL_CONNECTIONS_H_

#include <sys/types.h>

#include <memory>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "daemon/base/event_loop.h"
#include "daemon/control/caller_quota.h"
#include "proto/wire/unique_fd.h"

namespace hlbuf {

// Descriptor numbers that are given to gRPC: `begin` <= number < `end`.
struct FdWindow {
  int begin = 0;
  int end = 0;
  // The upper half of what RLIMIT_NOFILE allows now, at most 65536 numbers from 65536 on: the
  // kernel's table of descriptors grows with the highest number.
  static FdWindow UpperHalf();
};

// Whose connection is descriptor N: gRPC knows the peer of a call only as "fd:N". Broker thread.
//
// gRPC closes N when and as it likes, so two things keep an old identity from a new connection.
// gRPC closes N only when no call of that connection is left, so a number that can be given out
// again cannot be asked for by an old call. And each entry is replaced at the latest when its
// number is given out again, before gRPC gets it. Walking a window of numbers keeps even that rare.
//
// A second descriptor of each socket, which only this table has, shows when the connection has
// ended, whoever ended it. Its identity is forgotten at once; its place in the quota is free when
// gRPC has closed N as well.
class ControlConnections {
 public:
  ControlConnections(EventLoop& loop, FdWindow window, CallerQuota::Limits limits)
      : loop_(loop), window_(window), quota_("control connections", limits), next_(window.begin) {}

  // The descriptor for gRPC. Errors: QUOTA_EXCEEDED; BUSY when no descriptor is left.
  absl::StatusOr<UniqueFd> Admit(UniqueFd socket, Caller caller);

  // Of those that there are.
  void SetRoles(absl::FunctionRef<Role(const Peer&)> role_of);

  // `grpc_peer` is ServerContext::peer() of a call that is not over. Null: nobody that we know.
  const Caller* Find(absl::string_view grpc_peer) const;

  // Those whose other end is there.
  std::size_t size() const { return connections_.size(); }
  // Those that count in the quota.
  std::size_t counted() const { return quota_.used(); }

 private:
  struct Connection {
    Caller caller;
    CallerQuota::Slot slot;
    UniqueFd hold;  // the socket once more
    std::unique_ptr<EventLoop::Watch> watch;
  };
  // A connection that has ended, but that gRPC has not closed yet as far as we know.
  struct Ended {
    int number;
    ino_t inode;
    CallerQuota::Slot slot;
  };
  absl::StatusOr<UniqueFd> Number(int socket);
  void OnHangUp(int number, const Connection* which);
  void DropClosed();

  EventLoop& loop_;
  FdWindow window_;
  CallerQuota quota_;
  int next_;
  absl::flat_hash_map<int, std::unique_ptr<Connection>> connections_;
  std::vector<Ended> ended_;
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_CONTROL_CONTROL_CONNECTIONS_H_
