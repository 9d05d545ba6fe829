// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_CONTROL_GRPC_LOG_H_
#define HLBUF_DAEMON_CONTROL_GRPC_LOG_H_

namespace hlbuf {

// What gRPC says of itself is from now on logged as the service's own messages are, and not as
// often as strangers like: it has a line for each handshake that fails. For the whole process.
void TakeGrpcLog();

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_CONTROL_GRPC_LOG_H_
