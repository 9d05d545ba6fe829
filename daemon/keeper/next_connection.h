// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_KEEPER_NEXT_CONNECTION_H_
#define HLBUF_DAEMON_KEEPER_NEXT_CONNECTION_H_

#include "proto/wire/unique_fd.h"

namespace hlbuf {

// Waits at `listener`, which is borrowed, for a connection of this process's own user, `seconds` at
// most. Those of others are closed, and change nothing. No descriptor: none came.
UniqueFd AcceptNext(int listener, int seconds);

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_KEEPER_NEXT_CONNECTION_H_
