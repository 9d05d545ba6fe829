// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_TESTS_SUPPORT_CERTIFICATES_H_
#define HLBUF_TESTS_SUPPORT_CERTIFICATES_H_

#include <string>
#include <vector>

#include "tests/support/child.h"

namespace hlbuf {

// Files that belong together, in PEM form.
struct CertificateFiles {
  std::string certificate;
  std::string key;
};

// Somebody who signs certificates, by the program openssl, in a directory of his own.
class CertificateAuthority {
 public:
  explicit CertificateAuthority(const std::string& name = "test authority");

  // Who signed, for those who are to believe him.
  const std::string& certificate() const { return self_.certificate; }
  // Of a service on this machine.
  CertificateFiles Server() { return Sign("server", "subjectAltName=IP:127.0.0.1,DNS:localhost"); }
  // `extension` as in openssl's configuration: "subjectAltName=URI:spiffe://example.org/a". Files
  // are named after the common name.
  CertificateFiles Sign(const std::string& common_name, const std::string& extension = "");
  // One whose time was over before it began.
  CertificateFiles SignExpired(const std::string& common_name);

 private:
  CertificateFiles Name(const std::string& name) const;
  CertificateFiles Sign(const std::string& common_name, const std::string& extension,
                        const std::vector<std::string>& validity);

  TemporaryDirectory directory_;
  CertificateFiles self_;
};

}  // namespace hlbuf

#endif  // HLBUF_TESTS_SUPPORT_CERTIFICATES_H_
