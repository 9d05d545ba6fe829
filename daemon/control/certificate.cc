// SPDX-License-Identifier: Apache-2.0
#include "daemon/control/certificate.h"

#include <grpc/grpc_security_constants.h>
#include <grpcpp/security/auth_context.h>

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "daemon/core/names.h"

namespace hlbuf {
namespace {

constexpr std::size_t kShownBytesMax = 128;

std::vector<std::string> Values(const grpc::AuthContext& context, const char* property) {
  std::vector<std::string> values;
  for (const grpc::string_ref& value : context.FindPropertyValues(property))
    values.emplace_back(value.data(), value.size());
  return values;
}

bool Has(const std::vector<std::string>& values, absl::string_view value) {
  return std::find(values.begin(), values.end(), value) != values.end();
}

bool AreOf(const std::vector<std::string>& names, const Certificate& certificate) {
  return std::any_of(names.begin(), names.end(), [&](const std::string& name) {
    return absl::StrContains(name, "://") ? Has(certificate.uris, name)
                                          : name == certificate.common_name;
  });
}

}  // namespace

std::string Certificate::Text() const {
  std::string names = Printable(common_name, kShownBytesMax);
  for (const std::vector<std::string>* more : {&uris, &others})
    if (names.empty() && !more->empty()) names = Printable(more->front(), kShownBytesMax);
  // Its authority may give a common name to many, and a URI to one.
  const bool both = !common_name.empty() && !uris.empty();
  return absl::StrCat("certificate \"", names, "\"",
                      both ? absl::StrCat(" (", Printable(uris.front(), kShownBytesMax), ")") : "");
}

std::optional<Certificate> CertificateIn(const grpc::AuthContext& context) {
  if (!context.IsPeerAuthenticated() ||
      !Has(Values(context, GRPC_TRANSPORT_SECURITY_TYPE_PROPERTY_NAME),
           GRPC_SSL_TRANSPORT_SECURITY_TYPE))
    return std::nullopt;
  const std::vector<std::string> common = Values(context, GRPC_X509_CN_PROPERTY_NAME);
  Certificate certificate = {.common_name = common.empty() ? "" : common.front(),
                             .uris = Values(context, GRPC_PEER_URI_PROPERTY_NAME),
                             .others = Values(context, GRPC_X509_SAN_PROPERTY_NAME)};
  if (certificate.common_name.empty() && certificate.uris.empty() && certificate.others.empty())
    return std::nullopt;
  return certificate;
}

Role RoleOf(const Certificate& certificate, const CertificateRoles& roles) {
  if (AreOf(roles.admin, certificate)) return Role::kAdmin;
  if (AreOf(roles.operators, certificate)) return Role::kOperator;
  return roles.viewer.empty() || AreOf(roles.viewer, certificate) ? Role::kViewer : Role::kNone;
}

}  // namespace hlbuf
