// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_CONTROL_RPC_STATUS_H_
#define HLBUF_DAEMON_CONTROL_RPC_STATUS_H_

#include <grpcpp/support/status.h>

#include "absl/status/status.h"
#include "google/rpc/status.pb.h"

namespace hlbuf {

// A status of core/error.h as errors.proto publishes it: one ErrorInfo, and a RetryInfo where the
// trouble passes.
google::rpc::Status ToRpcStatus(const absl::Status& status);
grpc::Status ToGrpcStatus(const absl::Status& status);

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_CONTROL_RPC_STATUS_H_
