// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_CLIENT_CTL_CONNECTION_H_
#define HLBUF_CLIENT_CTL_CONNECTION_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/ctl/exit_code.h"
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

// Says why there is no connection.
ExitCode Unreachable(const absl::Status& status);

}  // namespace hlbuf::ctl

#endif  // HLBUF_CLIENT_CTL_CONNECTION_H_
