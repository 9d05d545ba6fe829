// SPDX-License-Identifier: Apache-2.0
#include "daemon/control/tcp_control.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "daemon/base/inet_address.h"
#include "daemon/base/status_macros.h"

namespace hlbuf {

absl::StatusOr<std::unique_ptr<TcpControl>> TcpControl::Start(
    EventLoop& loop, const Clock& clock, Deadlines& deadlines, UniqueFd listener, TlsTexts tls,
    grpc::ServerBuilder& builder, FdWindow window, CallerQuota::Limits limits, Refused refused) {
  std::unique_ptr<TcpControl> control(
      new TcpControl(loop, std::move(tls), window, limits, std::move(refused)));
  TcpControl* const self = control.get();
  if (const auto address = InetAddress::Of(listener.get())) self->address_ = address->Text();
  // Answers are small and wanted at once; accepted sockets have it from this one.
  const int on = 1;
  static_cast<void>(::setsockopt(listener.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)));
  using Acceptors = grpc::ServerBuilder::experimental_type;
  self->entrance_ = builder.experimental().AddExternalConnectionAcceptor(
      Acceptors::ExternalConnectionType::FROM_FD, self->identity_.Credentials());
  self->server_ = builder.BuildAndStart();
  if (self->server_ == nullptr)
    return absl::InternalError("gRPC could not start its server with this certificate");
  ASSIGN_OR_RETURN(self->acceptor_,
                   ControlAcceptor::Start(
                       loop, clock, deadlines, std::move(listener),
                       [self](UniqueFd socket) { self->Accept(std::move(socket)); },
                       [self] {
                         self->refused_("somebody",
                                        "no file descriptor is left; raise LimitNOFILE=");
                       }));
  return control;
}

void TcpControl::Accept(UniqueFd socket) {
  const std::optional<InetAddress> address = InetAddress::OfPeer(socket.get());
  if (!address.has_value()) return;  // it has gone already
  Caller caller;
  caller.name = absl::StrCat("address ", address->Network());
  absl::StatusOr<UniqueFd> fd = connections_.Admit(std::move(socket), std::move(caller));
  if (!fd.ok()) return refused_(address->Text(), fd.status().message());
  grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters connection;
  connection.fd = fd->Release();
  entrance_->HandleNewConnection(&connection);
}

}  // namespace hlbuf
