// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <grpcpp/grpcpp.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <tuple>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "client/ctl/connection.h"

namespace hlbuf::ctl {
namespace {

constexpr std::size_t kFileBytesMax = std::size_t{1} << 20;
constexpr int kKeepaliveTimeMs = 30'000;  // the daemon allows one in 10 s
constexpr int kKeepaliveTimeoutMs = 10'000;

absl::Status Unreadable(const char* option, const std::string& path, const char* why) {
  return absl::FailedPreconditionError(absl::StrCat("cannot read ", option, " ", path, ": ", why));
}

absl::StatusOr<std::string> ReadPem(const char* option, const std::string& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return Unreadable(option, path, std::strerror(errno));
  const absl::Cleanup close = [file] { ::close(file); };
  std::string text(kFileBytesMax, '\0');
  std::size_t size = 0;
  while (size < text.size()) {
    const ssize_t n = ::read(file, text.data() + size, text.size() - size);
    if (n < 0) return Unreadable(option, path, std::strerror(errno));
    if (n == 0) break;
    size += static_cast<std::size_t>(n);
  }
  text.resize(size);
  // All that is looked for here: what is wrong with the rest shows in the handshake.
  if (text.find("-----BEGIN ") == std::string::npos)
    return Unreadable(option, path, "it has nothing in PEM form");
  return text;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Stub>> ConnectTls(const TlsServer& server) {
  grpc::SslCredentialsOptions options;
  for (const auto& [option, path, text] :
       {std::tuple("--ca", &server.ca, &options.pem_root_certs),
        std::tuple("--cert", &server.certificate, &options.pem_cert_chain),
        std::tuple("--key", &server.key, &options.pem_private_key)}) {
    absl::StatusOr<std::string> read = ReadPem(option, *path);
    if (!read.ok()) return read.status();
    *text = *std::move(read);
  }
  grpc::ChannelArguments arguments;
  // What the environment names is for the web.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  // Else who waits for a verdict would wait for a machine that has gone.
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveTimeMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  return v1::Control::NewStub(grpc::CreateCustomChannel(absl::StrCat("dns:", server.address),
                                                        grpc::SslCredentials(options), arguments));
}

}  // namespace hlbuf::ctl
