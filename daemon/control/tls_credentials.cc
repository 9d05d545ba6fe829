// SPDX-License-Identifier: Apache-2.0
#include "daemon/control/tls_credentials.h"

#include <grpc/grpc.h>

namespace hlbuf {
namespace {

// gRPC's C++ library has no name for credentials that ask for their certificate.
class AskingCredentials final : public grpc::ServerCredentials {
 public:
  // Takes `credentials`.
  explicit AskingCredentials(grpc_server_credentials* credentials) : credentials_(credentials) {}
  ~AskingCredentials() override { grpc_server_credentials_release(credentials_); }

  void SetAuthMetadataProcessor(
      const std::shared_ptr<grpc::AuthMetadataProcessor>& /*processor*/) override {}

 private:
  int AddPortToServer(const std::string& address, grpc_server* server) override {
    return grpc_server_add_http2_port(server, address.c_str(), credentials_);
  }

  grpc_server_credentials* credentials_;
};

}  // namespace

void TlsIdentity::Set(TlsTexts texts) {
  const std::lock_guard lock(mutex_);
  if (texts == texts_) return;
  texts_ = std::move(texts);
  is_new_ = true;
}

std::shared_ptr<grpc::ServerCredentials> TlsIdentity::Credentials() {
  return std::make_shared<AskingCredentials>(grpc_ssl_server_credentials_create_with_options(
      grpc_ssl_server_credentials_create_options_using_config_fetcher(
          GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY, Fetch, this)));
}

grpc_ssl_certificate_config_reload_status TlsIdentity::Fetch(
    void* self, grpc_ssl_server_certificate_config** config) {
  auto& identity = *static_cast<TlsIdentity*>(self);
  const std::lock_guard lock(identity.mutex_);
  if (!std::exchange(identity.is_new_, false)) return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
  const grpc_ssl_pem_key_cert_pair pair = {.private_key = identity.texts_.key.c_str(),
                                           .cert_chain = identity.texts_.certificate.c_str()};
  *config = grpc_ssl_server_certificate_config_create(identity.texts_.client_ca.c_str(), &pair, 1);
  return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW;
}

}  // namespace hlbuf
