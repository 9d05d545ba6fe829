// SPDX-License-Identifier: Apache-2.0
#include "daemon/control/rpc_status.h"

#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "daemon/core/error.h"
#include "google/rpc/error_details.pb.h"
#include "hlbuf/v1/errors.pb.h"

namespace hlbuf {
namespace {

std::string ReasonOf(const absl::Status& status) {
  if (status.code() == absl::StatusCode::kUnauthenticated)
    return hlbuf::v1::ErrorReason_Name(hlbuf::v1::UNAUTHENTICATED);
  return std::string(ErrorName(ErrorCodeOf(status)));
}

std::optional<int> RetrySeconds(const absl::Status& status) {
  switch (ErrorCodeOf(status)) {
    case ErrorCode::kBusy:
    case ErrorCode::kDeviceUnavailable:
      return 1;
    case ErrorCode::kShuttingDown:
      return 5;  // about as long as a restart of the service takes
    default:
      return std::nullopt;
  }
}

}  // namespace

google::rpc::Status ToRpcStatus(const absl::Status& status) {
  google::rpc::Status rpc;
  if (status.ok()) return rpc;
  rpc.set_code(static_cast<int>(status.code()));
  rpc.set_message(std::string(status.message()));
  google::rpc::ErrorInfo info;
  info.set_reason(ReasonOf(status));
  info.set_domain("hlbuf");
  rpc.add_details()->PackFrom(info);
  if (const std::optional<int> seconds = RetrySeconds(status)) {
    google::rpc::RetryInfo retry;
    retry.mutable_retry_delay()->set_seconds(*seconds);
    rpc.add_details()->PackFrom(retry);
  }
  return rpc;
}

grpc::Status ToGrpcStatus(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), std::string(status.message()),
                      ToRpcStatus(status).SerializeAsString());
}

}  // namespace hlbuf
