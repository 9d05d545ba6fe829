// SPDX-License-Identifier: Apache-2.0
#include "daemon/control/rpc_status.h"

#include <gtest/gtest.h>

#include <string>

#include "daemon/core/error.h"
#include "google/rpc/error_details.pb.h"
#include "hlbuf/v1/errors.pb.h"

namespace hlbuf {
namespace {

google::rpc::ErrorInfo InfoOf(const google::rpc::Status& status) {
  google::rpc::ErrorInfo info;
  EXPECT_GE(status.details_size(), 1);
  EXPECT_EQ(status.details(0).type_url(), "type.googleapis.com/google.rpc.ErrorInfo");
  EXPECT_TRUE(status.details(0).UnpackTo(&info));
  return info;
}

constexpr std::uint32_t kFirstOfThisApiAlone = 64;

TEST(RpcStatus, ReasonsArePublishedAsTheCoreHasThem) {
  for (std::uint32_t number = 1; number < kFirstOfThisApiAlone; ++number) {
    const std::string published =
        hlbuf::v1::ErrorReason_Name(static_cast<hlbuf::v1::ErrorReason>(number));
    EXPECT_EQ(published.empty() ? "UNKNOWN" : published, ErrorName(static_cast<ErrorCode>(number)))
        << number;
  }
}

TEST(RpcStatus, CarriesThePublishedReasonOfEveryError) {
  for (std::uint32_t number = 1; number < kFirstOfThisApiAlone; ++number) {
    const auto code = static_cast<ErrorCode>(number);
    if (ErrorName(code) == "UNKNOWN") continue;
    const google::rpc::Status status = ToRpcStatus(Error(code, "text"));
    EXPECT_EQ(status.message(), "text");
    EXPECT_EQ(InfoOf(status).domain(), "hlbuf");
    EXPECT_EQ(InfoOf(status).reason(), ErrorName(code));
    hlbuf::v1::ErrorReason published = hlbuf::v1::ERROR_REASON_UNSPECIFIED;
    ASSERT_TRUE(hlbuf::v1::ErrorReason_Parse(InfoOf(status).reason(), &published))
        << InfoOf(status).reason();
    EXPECT_EQ(static_cast<std::uint32_t>(published), number);
  }
}

TEST(RpcStatus, KnowsAnUnknownCaller) {
  const google::rpc::Status status = ToRpcStatus(absl::UnauthenticatedError("who?"));
  EXPECT_EQ(InfoOf(status).reason(), "UNAUTHENTICATED");
}

TEST(RpcStatus, SaysWhenToTryAgainWhereTheTroublePasses) {
  google::rpc::RetryInfo retry;
  const google::rpc::Status busy = ToRpcStatus(Error(ErrorCode::kBusy, "text"));
  ASSERT_EQ(busy.details_size(), 2);
  ASSERT_TRUE(busy.details(1).UnpackTo(&retry));
  EXPECT_GT(retry.retry_delay().seconds(), 0);
  EXPECT_EQ(ToRpcStatus(Error(ErrorCode::kNotFound, "text")).details_size(), 1);
}

TEST(RpcStatus, ReachesGrpcWithTheSameCode) {
  const grpc::Status status = ToGrpcStatus(Error(ErrorCode::kQuotaExceeded, "too much"));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(status.error_message(), "too much");
  google::rpc::Status details;
  ASSERT_TRUE(details.ParseFromString(status.error_details()));
  EXPECT_EQ(details.code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
}

TEST(RpcStatus, OfSuccessIsEmpty) {
  EXPECT_TRUE(ToGrpcStatus(absl::OkStatus()).ok());
  EXPECT_EQ(ToRpcStatus(absl::OkStatus()).ByteSizeLong(), 0u);
}

}  // namespace
}  // namespace hlbuf
