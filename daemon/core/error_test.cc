// SPDX-License-Identifier: Apache-2.0
#include "daemon/core/error.h"

#include <gtest/gtest.h>

#include <array>
#include <set>
#include <utility>

#include "proto/hlbuf_wire.h"

namespace hlbuf {
namespace {

constexpr std::array<std::pair<ErrorCode, int>, 14> kWire = {{
    {ErrorCode::kInvalidArgument, HLBUF_WIRE_INVALID_ARGUMENT},
    {ErrorCode::kProtocolError, HLBUF_WIRE_PROTOCOL_ERROR},
    {ErrorCode::kNotFound, HLBUF_WIRE_NOT_FOUND},
    {ErrorCode::kGone, HLBUF_WIRE_GONE},
    {ErrorCode::kPermissionDenied, HLBUF_WIRE_PERMISSION_DENIED},
    {ErrorCode::kAlreadyExists, HLBUF_WIRE_ALREADY_EXISTS},
    {ErrorCode::kQuotaExceeded, HLBUF_WIRE_QUOTA_EXCEEDED},
    {ErrorCode::kNoMemory, HLBUF_WIRE_NO_MEMORY},
    {ErrorCode::kDeviceUnavailable, HLBUF_WIRE_DEVICE_UNAVAILABLE},
    {ErrorCode::kRevoked, HLBUF_WIRE_REVOKED},
    {ErrorCode::kBusy, HLBUF_WIRE_BUSY},
    {ErrorCode::kUnimplemented, HLBUF_WIRE_UNIMPLEMENTED},
    {ErrorCode::kDeviceError, HLBUF_WIRE_DEVICE_ERROR},
    {ErrorCode::kShuttingDown, HLBUF_WIRE_SHUTTING_DOWN},
}};

TEST(ErrorCode, HasTheNumberOfTheDataPlane) {
  for (const auto& [code, number] : kWire) EXPECT_EQ(static_cast<int>(code), number);
}

TEST(ErrorCode, HasANameOfItsOwn) {
  std::set<absl::string_view> names;
  for (const auto& [code, number] : kWire) names.insert(ErrorName(code));
  EXPECT_EQ(names.size(), kWire.size());
  EXPECT_FALSE(names.contains("UNKNOWN"));
  EXPECT_EQ(ErrorName(static_cast<ErrorCode>(99)), "UNKNOWN");
  EXPECT_EQ(ErrorName(ErrorCode::kQuotaExceeded), "QUOTA_EXCEEDED");
}

TEST(Error, KeepsItsCodeAndItsText) {
  for (const auto& [code, number] : kWire) {
    const absl::Status status = Error(code, "what, why, what to do");
    EXPECT_FALSE(status.ok());
    EXPECT_EQ(ErrorCodeOf(status), code);
    EXPECT_EQ(status.message(), "what, why, what to do");
  }
}

TEST(Error, HasACanonicalCodeThatGenericClientsActOn) {
  EXPECT_TRUE(absl::IsNotFound(Error(ErrorCode::kGone, "")));
  EXPECT_TRUE(absl::IsUnavailable(Error(ErrorCode::kBusy, "")));
  EXPECT_TRUE(absl::IsResourceExhausted(Error(ErrorCode::kNoMemory, "")));
  EXPECT_TRUE(absl::IsInternal(Error(static_cast<ErrorCode>(99), "")));
}

TEST(ErrorCodeOf, FindsTheNearestForAStatusFromElsewhere) {
  EXPECT_EQ(ErrorCodeOf(absl::NotFoundError("")), ErrorCode::kNotFound);
  EXPECT_EQ(ErrorCodeOf(absl::ResourceExhaustedError("")), ErrorCode::kQuotaExceeded);
  EXPECT_EQ(ErrorCodeOf(absl::UnknownError("")), ErrorCode::kDeviceError);
}

}  // namespace
}  // namespace hlbuf
