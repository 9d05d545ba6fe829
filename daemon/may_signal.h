// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_MAY_SIGNAL_H_
#define HLBUF_DAEMON_MAY_SIGNAL_H_

namespace hlbuf {

// Whether this process may signal those of other users (CAP_KILL). A sandbox may forbid it still.
bool MaySignalOthers();

// Whether the kernel itself says whose process is at the other end of a socket, since Linux 6.5.
// Without that nobody is signalled.
bool KernelVouchesForPeers();

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_MAY_SIGNAL_H_
