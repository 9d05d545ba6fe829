// SPDX-License-Identifier: Apache-2.0
// Who asks over TCP: whom the client's certificate names, and what that lets it do.
#ifndef HLBUF_DAEMON_CONTROL_CERTIFICATE_H_
#define HLBUF_DAEMON_CONTROL_CERTIFICATE_H_

#include <optional>
#include <string>
#include <vector>

#include "daemon/control/role.h"

namespace grpc {
class AuthContext;
}

namespace hlbuf {

// Of a certificate that the configured authority has signed, and whose key its client has.
struct Certificate {
  std::string common_name;
  std::vector<std::string> uris;  // "spiffe://..."
  std::vector<std::string>
      others;  // alternative names of any kind; they are shown, and give nothing

  // For messages: `certificate "alice"`.
  std::string Text() const;
};

// nullopt: the call did not come with a certificate that was verified, or with one that names
// nobody.
std::optional<Certificate> CertificateIn(const grpc::AuthContext& context);

// Whose certificates have which role: common names, and URIs, which have "://" in them and are
// looked for among the alternative names alone.
struct CertificateRoles {
  std::vector<std::string> viewer;  // empty: everybody's
  std::vector<std::string> operators;
  std::vector<std::string> admin;

  friend bool operator==(const CertificateRoles&, const CertificateRoles&) = default;
};

// The highest role that it has.
Role RoleOf(const Certificate& certificate, const CertificateRoles& roles);

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_CONTROL_CERTIFICATE_H_
