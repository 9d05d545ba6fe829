// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_SESSION_PEER_IDENTITY_H_
#define HLBUF_DAEMON_SESSION_PEER_IDENTITY_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "daemon/core/peer.h"
#include "proto/wire/unique_fd.h"

namespace hlbuf {

// The most that Active Directory gives a user, and twenty times what people have. A process that
// may make groups could have 65,536, each in the record that a restart finds, which nobody has to
// pay.
inline constexpr std::size_t kGroupsMax = 1024;

// Who connected, as the kernel recorded it at connect(): it does not change when the socket is
// passed on or inherited.
struct PeerIdentity {
  Peer peer;
  UniqueFd pidfd;  // readable when the process has exited; empty when the process is not visible
                   // from here
  // The kernel itself says that `pidfd` is the peer's. What it does not vouch for is not signalled.
  bool vouched = false;
};

// Asks the kernel about the other end of an accepted unix socket. The control group is read while
// the pidfd shows that the process lives, so that it is never another process's.
//
// Before Linux 6.5 there is no SO_PEERPIDFD, and pidfd_open() of the recorded pid is asked instead:
// a process that exited between connect() and here, and whose pid was given away at once, would be
// taken for its successor.
//
// A peer whose control group cannot be read is refused: it would pass for one outside of every
// container, whose uid 0 is the administrator.
//
// Errors: UNAVAILABLE   the peer has exited already
//         OUT_OF_RANGE  it is in more than kGroupsMax groups, or see CheckPlace()
//         others        of the system call
absl::StatusOr<PeerIdentity> IdentifyPeer(int socket);

// When the process began, in clock ticks since boot, by /proc/PID/stat. Its name, which it chose,
// may hold anything, parentheses and blanks too. 0: the text is none of the kernel's.
std::uint64_t ParseStartTicks(absl::string_view stat);

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_SESSION_PEER_IDENTITY_H_
