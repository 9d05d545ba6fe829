// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_CONTROL_TLS_CREDENTIALS_H_
#define HLBUF_DAEMON_CONTROL_TLS_CREDENTIALS_H_

#include <grpc/grpc_security.h>
#include <grpcpp/security/server_credentials.h>

#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "daemon/control/tls_files.h"

namespace hlbuf {

// What a TLS server shows and whom it believes; can be changed while it serves. Each handshake asks
// for it, on a thread of gRPC's choice. Without a certificate of the client's that is verified
// there is no connection.
//
// gRPC 1.51 has a provider that watches files as well. It would put a key that does not fit the
// certificate in the place of a pair that does, and then nobody could connect any more.
class TlsIdentity {
 public:
  explicit TlsIdentity(TlsTexts texts) : texts_(std::move(texts)) {}

  // For handshakes from now on. They are good: LoadTls() said so.
  void Set(TlsTexts texts);
  // For servers that end before this.
  std::shared_ptr<grpc::ServerCredentials> Credentials();

 private:
  static grpc_ssl_certificate_config_reload_status Fetch(
      void* self, grpc_ssl_server_certificate_config** config);

  std::mutex mutex_;
  TlsTexts texts_;
  bool is_new_ = true;  // since gRPC asked the last time
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_CONTROL_TLS_CREDENTIALS_H_
