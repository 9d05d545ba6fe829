// SPDX-License-Identifier: Apache-2.0
#include "daemon/session/random_secret.h"

#include <sys/random.h>
#include <sys/types.h>

namespace hlbuf {

SessionSecret RandomSecret() {
  SessionSecret secret;
  const auto bytes = static_cast<ssize_t>(secret.bytes.size());
  // Nothing waits on the loop. So few bytes come whole, or not at all.
  if (::getrandom(secret.bytes.data(), secret.bytes.size(), GRND_NONBLOCK) != bytes)
    return SessionSecret();
  return secret;
}

}  // namespace hlbuf
