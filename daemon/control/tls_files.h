// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_CONTROL_TLS_FILES_H_
#define HLBUF_DAEMON_CONTROL_TLS_FILES_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace hlbuf {

// Paths of PEM files.
struct TlsFiles {
  std::string certificate;  // of this service, and of those that signed it
  std::string key;          // of the first certificate
  std::string client_ca;    // who signs the certificates of clients
};

// What is in them.
struct TlsTexts {
  std::string certificate;
  std::string key;
  std::string client_ca;

  friend bool operator==(const TlsTexts&, const TlsTexts&) = default;
};

// Reads them and sees whether a TLS server can be made of them now: TLS libraries tell only that
// one could not. May block.
//
// Errors: FAILED_PRECONDITION: "key: /etc/x.pem: ...", with the first one that is wrong, and why.
absl::StatusOr<TlsTexts> LoadTls(const TlsFiles& files, absl::Time now);

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_CONTROL_TLS_FILES_H_
