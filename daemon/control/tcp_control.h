// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_CONTROL_TCP_CONTROL_H_
#define HLBUF_DAEMON_CONTROL_TCP_CONTROL_H_

#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <memory>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "daemon/base/clock.h"
#include "daemon/base/event_loop.h"
#include "daemon/control/control_acceptor.h"
#include "daemon/control/control_connections.h"
#include "daemon/control/tls_credentials.h"
#include "daemon/core/deadlines.h"
#include "proto/wire/unique_fd.h"

namespace hlbuf {

// The control API over TCP, with mutual TLS: a gRPC server of its own, which gets connections that
// were accepted and counted here, before the first byte of their handshake. Broker thread.
//
// Nothing is known of a connection but its address: who asks is in the certificate of each call.
class TcpControl {
 public:
  // Told whom was refused, and why.
  using Refused = absl::AnyInvocable<void(absl::string_view address, absl::string_view why)>;

  // `builder` has everything but the way in. `listener` listens. Connections are counted by
  // address: `limits.uid` is for each. All references outlive this.
  static absl::StatusOr<std::unique_ptr<TcpControl>> Start(
      EventLoop& loop, const Clock& clock, Deadlines& deadlines, UniqueFd listener, TlsTexts tls,
      grpc::ServerBuilder& builder, FdWindow window, CallerQuota::Limits limits, Refused refused);

  // For connections that come from now on.
  void SetTls(TlsTexts tls) { identity_.Set(std::move(tls)); }
  // Of the listening socket.
  const std::string& address() const { return address_; }
  grpc::Server& server() { return *server_; }
  // Before the shutdown of the server: gRPC 1.51 loses sight of the descriptor of a connection that
  // it gets after that.
  void StopAccepting() { acceptor_.reset(); }

  const ControlConnections& connections() const { return connections_; }

 private:
  TcpControl(EventLoop& loop, TlsTexts tls, FdWindow window, CallerQuota::Limits limits,
             Refused refused)
      : identity_(std::move(tls)),
        connections_(loop, window, limits),
        refused_(std::move(refused)) {}
  void Accept(UniqueFd socket);

  TlsIdentity identity_;
  ControlConnections connections_;
  Refused refused_;
  std::string address_;
  std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> entrance_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<ControlAcceptor> acceptor_;
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_CONTROL_TCP_CONTROL_H_
