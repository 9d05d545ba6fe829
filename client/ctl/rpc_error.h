// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_CLIENT_CTL_RPC_ERROR_H_
#define HLBUF_CLIENT_CTL_RPC_ERROR_H_

#include <grpcpp/support/status.h>

#include <string>

#include "client/ctl/exit_code.h"
#include "google/rpc/status.pb.h"

namespace hlbuf::ctl {

// "TEXT (REASON)", with the reason of errors.proto. An error without one was made by gRPC itself:
// its code's name stands for it.
std::string ErrorText(const grpc::Status& status);
std::string ErrorText(const google::rpc::Status& status);

// kUnreachable when it was gRPC that gave up, kFailed when the daemon said no.
ExitCode ExitCodeOf(const grpc::Status& status);

// Prints what went wrong, if anything did.
ExitCode Conclude(const grpc::Status& status);

}  // namespace hlbuf::ctl

#endif  // HLBUF_CLIENT_CTL_RPC_ERROR_H_
