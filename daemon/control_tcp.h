// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_CONTROL_TCP_H_
#define HLBUF_DAEMON_CONTROL_TCP_H_

#include <string>

#include "absl/status/status.h"
#include "daemon/config.h"
#include "daemon/control/control_server.h"

namespace hlbuf {

// Reads the files that [control_tcp] names, if it is on. May block.
//
// Errors: FAILED_PRECONDITION, with the key, the file and what is wrong with it.
absl::Status ReadTls(ControlTcpConfig& tcp);

// Makes of `server` what `tcp` says, and whose files were read: who has which role, what TLS shows,
// and that it listens. What it says to the log is where.
//
// Errors, in words: it does not listen; everything else works.
absl::Status ServeTcp(const ControlTcpConfig& tcp, ControlServer& server);

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_CONTROL_TCP_H_
