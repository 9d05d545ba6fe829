// SPDX-License-Identifier: Apache-2.0
#include "daemon/control/callers.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "daemon/core/error.h"

namespace hlbuf {
namespace {

// "ipv4:192.0.2.7:40000" without its scheme, "ipv6:%5B::1%5D:40000" as people write it.
std::string AddressOf(absl::string_view grpc_peer) {
  if (absl::ConsumePrefix(&grpc_peer, "ipv4:")) return std::string(grpc_peer);
  absl::ConsumePrefix(&grpc_peer, "ipv6:");
  return absl::StrReplaceAll(grpc_peer, {{"%5B", "["}, {"%5D", "]"}, {"%25", "%"}});
}

}  // namespace

Asker Asker::Of(const grpc::ServerContextBase& context) {
  Asker asker = {.grpc_peer = context.peer(), .certificate = std::nullopt};
  if (const auto security = context.auth_context()) asker.certificate = CertificateIn(*security);
  return asker;
}

absl::StatusOr<Caller> Callers::Find(const Asker& asker) const {
  if (!asker.certificate.has_value()) {
    if (const Caller* const caller = connections_.Find(asker.grpc_peer)) return *caller;
    return absl::UnauthenticatedError(absl::StrCat("the service does not know who is behind ",
                                                   asker.grpc_peer, "; connect again"));
  }
  const Certificate& certificate = *asker.certificate;
  const Role role = roles_.has_value() ? RoleOf(certificate, *roles_) : Role::kNone;
  if (role == Role::kNone)
    return Error(ErrorCode::kPermissionDenied,
                 absl::StrCat(certificate.Text(),
                              " has no role here; [control_tcp] in the configuration of the "
                              "service names who has"));
  return Caller{
      .peer = {}, .role = role, .name = certificate.Text(), .from = AddressOf(asker.grpc_peer)};
}

}  // namespace hlbuf
