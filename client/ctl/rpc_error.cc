// SPDX-License-Identifier: Apache-2.0
#include "client/ctl/rpc_error.h"

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "client/ctl/console.h"
#include "google/rpc/error_details.pb.h"

namespace hlbuf::ctl {
namespace {

// Empty when there is none.
std::string ReasonOf(const google::rpc::Status& status) {
  google::rpc::ErrorInfo info;
  for (const auto& detail : status.details())
    if (detail.UnpackTo(&info) && info.domain() == "hlbuf") return info.reason();
  return "";
}

std::string ReasonOf(const grpc::Status& status) {
  google::rpc::Status details;
  return details.ParseFromString(status.error_details()) ? ReasonOf(details) : "";
}

// The service speaks of the calls and the fields of its API; who types commands knows those.
std::string InWordsOfCommands(const std::string& message) {
  return absl::StrReplaceAll(message, {{"; ListDevices shows", "; `hl-bufctl devices` shows"},
                                       {"; ListBuffers shows", "; `hl-bufctl buffers` shows"},
                                       {"buffer_ids is ", "BUFFER is "},
                                       {"buffer_ids has ", "there are "},
                                       {"buffer_id is ", "--buffer is "},
                                       {"session_id is ", "--session is "}});
}

// What gRPC's words for a handshake that failed mean to whoever typed the command. A server does
// not say why it takes a certificate for bad: it closes the connection.
std::string TlsAdvice(const std::string& message) {
  if (!absl::StrContains(message, "failed to connect to all addresses")) return "";
  if (absl::StrContains(message, "certificate verify failed"))
    return "; the certificate of the daemon is not signed by what --ca has, or not valid now";
  if (absl::StrContains(message, "is not in peer certificate"))
    return "; the certificate of the daemon is for another name; use one that it has in --server";
  if (absl::StrContains(message, "WRONG_VERSION_NUMBER") ||
      absl::StrContains(message, "wrong version number"))
    return "; what listens there speaks no TLS";
  if (absl::StrContains(message, "Socket closed") ||
      absl::StrContains(message, "Connection reset by peer"))
    return "; the daemon takes certificates that its client_ca signs, while they are valid, and "
           "only "
           "so many connections of an address";
  return "";
}

std::string Text(const std::string& message, const std::string& reason, int code) {
  const std::string name =
      reason.empty() ? absl::StatusCodeToString(static_cast<absl::StatusCode>(code)) : reason;
  return absl::StrCat(message.empty() ? "no reason was given" : InWordsOfCommands(message),
                      TlsAdvice(message), " (", name, ")");
}

}  // namespace

std::string ErrorText(const grpc::Status& status) {
  return Text(status.error_message(), ReasonOf(status), status.error_code());
}

std::string ErrorText(const google::rpc::Status& status) {
  return Text(status.message(), ReasonOf(status), status.code());
}

ExitCode ExitCodeOf(const grpc::Status& status) {
  if (status.ok()) return ExitCode::kOk;
  if (!ReasonOf(status).empty()) return ExitCode::kFailed;
  switch (status.error_code()) {
    case grpc::StatusCode::UNAVAILABLE:
    case grpc::StatusCode::DEADLINE_EXCEEDED:
    case grpc::StatusCode::CANCELLED:
      return ExitCode::kUnreachable;
    default:
      return ExitCode::kFailed;
  }
}

ExitCode Conclude(const grpc::Status& status) {
  const ExitCode code = ExitCodeOf(status);
  if (code != ExitCode::kOk)
    PrintError(absl::StrCat(code == ExitCode::kUnreachable ? "no answer from the daemon: " : "",
                            ErrorText(status)));
  return code;
}

}  // namespace hlbuf::ctl
