// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_SESSION_RANDOM_SECRET_H_
#define HLBUF_DAEMON_SESSION_RANDOM_SECRET_H_

#include "daemon/core/session_secret.h"

namespace hlbuf {

// Random bits of the kernel, which nobody can guess. Empty where it has none yet, early in a boot:
// then the session has no secret and cannot be had back, which is better than one to be guessed.
SessionSecret RandomSecret();

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_SESSION_RANDOM_SECRET_H_
