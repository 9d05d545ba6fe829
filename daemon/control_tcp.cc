// SPDX-License-Identifier: Apache-2.0
#include "daemon/control_tcp.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "daemon/base/log.h"
#include "daemon/base/status_macros.h"
#include "daemon/listen_tcp.h"

namespace hlbuf {

absl::Status ReadTls(ControlTcpConfig& tcp) {
  if (!tcp.listen.has_value()) return absl::OkStatus();
  absl::StatusOr<TlsTexts> texts = LoadTls(tcp.files, absl::Now());
  if (!texts.ok())
    return absl::FailedPreconditionError(absl::StrCat("control_tcp.", texts.status().message()));
  tcp.tls = *std::move(texts);
  return absl::OkStatus();
}

absl::Status ServeTcp(const ControlTcpConfig& tcp, ControlServer& server) {
  if (!tcp.listen.has_value()) return absl::OkStatus();
  server.SetCertificateRoles(tcp.roles);
  if (server.tcp() != nullptr) {
    server.tcp()->SetTls(tcp.tls);
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(UniqueFd listener, ListenTcp(*tcp.listen));
  RETURN_IF_ERROR(server.ListenTcp(std::move(listener), tcp.tls));
  Log(LogLevel::kNotice, absl::StrCat("operators connect by TLS to ", server.tcp()->address(),
                                      ", with a certificate that ", tcp.files.client_ca, " signs"));
  return absl::OkStatus();
}

}  // namespace hlbuf
