// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_CLIENT_CTL_CONNECTION_H_
#define HLBUF_CLIENT_CTL_CONNECTION_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/ctl/exit_code.h"
#include "client/ctl/invocation.h"
#include "hlbuf/v1/control.grpc.pb.h"

namespace hlbuf::ctl {

using Stub = v1::Control::Stub;

// How long the daemon may take for what it answers at once, and to take a connection.
inline constexpr absl::Duration kPatience = absl::Seconds(20);

// A connection to the daemon at `path`. It is made here, not by gRPC, whose errors do not say why a
// socket could not be reached; it is not made again when it breaks.
//
// Errors: UNAVAILABLE with a message for people.
absl::StatusOr<std::unique_ptr<Stub>> Connect(const std::string& path);

// A connection by TLS, which is made with the first call.
//
// Errors: FAILED_PRECONDITION with a message for people: a file cannot be read.
absl::StatusOr<std::unique_ptr<Stub>> ConnectTls(const TlsServer& server);

// To the one or the other, as the command line says.
absl::StatusOr<std::unique_ptr<Stub>> Connect(const Invocation& invocation);

// Whether the service of this machine is meant. If not, says that `what` looks at this machine.
bool IsHere(const Invocation& invocation, const std::string& what);

// Says why there is no connection.
ExitCode Unreachable(const absl::Status& status);

}  // namespace hlbuf::ctl

#endif  // HLBUF_CLIENT_CTL_CONNECTION_H_
