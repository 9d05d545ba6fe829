// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_CONTROL_CALLERS_H_
#define HLBUF_DAEMON_CONTROL_CALLERS_H_

#include <grpcpp/server_context.h>

#include <optional>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "daemon/control/certificate.h"
#include "daemon/control/control_connections.h"
#include "daemon/control/role.h"

namespace hlbuf {

// What gRPC knows of who makes a call. Made on gRPC's thread, judged on the broker thread.
struct Asker {
  static Asker Of(const grpc::ServerContextBase& context);

  std::string grpc_peer;                   // ServerContext::peer()
  std::optional<Certificate> certificate;  // verified
};

// Whose call it is: the one place that says so, first of all in each call. Broker thread.
//
// A process of this machine is known by its connection, everybody else by a certificate alone: the
// kernel vouches for nobody over TCP.
class Callers {
 public:
  explicit Callers(const ControlConnections& connections) : connections_(connections) {}

  // For calls that come from now on.
  void SetCertificateRoles(CertificateRoles roles) { roles_ = std::move(roles); }

  // Errors: UNAUTHENTICATED; PERMISSION_DENIED for a certificate without a role.
  absl::StatusOr<Caller> Find(const Asker& asker) const;

 private:
  const ControlConnections& connections_;
  // Nobody's, until somebody says whose.
  std::optional<CertificateRoles> roles_;
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_CONTROL_CALLERS_H_
