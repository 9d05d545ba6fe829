// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_DAEMON_H_
#define HLBUF_DAEMON_DAEMON_H_

#include "absl/status/status.h"
#include "daemon/config.h"
#include "daemon/reload.h"

namespace hlbuf {

// Runs the service until SIGTERM or SIGINT; the one place that knows all parts. At SIGHUP it takes
// what can change from `source`. Call it before any thread was started. Not OK: it could not start,
// and why.
absl::Status RunDaemon(const Config& config, ConfigSource source);

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_DAEMON_H_
