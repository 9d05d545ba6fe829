// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_LISTEN_TCP_H_
#define HLBUF_DAEMON_LISTEN_TCP_H_

#include "absl/status/statusor.h"
#include "daemon/base/inet_address.h"
#include "proto/wire/unique_fd.h"

namespace hlbuf {

// A socket that listens there. Errors say what to change; as the unit comes, it allows no network
// at all.
absl::StatusOr<UniqueFd> ListenTcp(const InetAddress& address);

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_LISTEN_TCP_H_
