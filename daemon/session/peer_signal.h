// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_SESSION_PEER_SIGNAL_H_
#define HLBUF_DAEMON_SESSION_PEER_SIGNAL_H_

#include "absl/status/status.h"
#include "daemon/core/observer.h"

namespace hlbuf {

// Sends it to the process that `pidfd` refers to, and to no other, whatever became of its number.
// For a stopped process SIGTERM waits until it goes on; SIGKILL ends it as it is.
//
// Errors: NOT_FOUND          it has exited, and was reaped
//         PERMISSION_DENIED  another user's, and this process has no CAP_KILL; says what to do
absl::Status SignalProcess(int pidfd, Force force);

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_SESSION_PEER_SIGNAL_H_
