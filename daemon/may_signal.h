// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_MAY_SIGNAL_H_
#define HLBUF_DAEMON_MAY_SIGNAL_H_

namespace hlbuf {

// Whether this process may signal those of other users (CAP_KILL). A sandbox may forbid it still.
bool MaySignalOthers();

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_MAY_SIGNAL_H_
