// SPDX-License-Identifier: Apache-2.0
#include "daemon/device/error_text.h"

#include <gtest/gtest.h>

#include <cerrno>

#include "absl/strings/match.h"
#include "daemon/core/error.h"

namespace hlbuf {
namespace {

TEST(ErrorText, SaysWhatWhyAndWhatToDo) {
  const absl::Status status = CannotOpen("/dev/x", EACCES, "load x");
  EXPECT_EQ(ErrorCodeOf(status), ErrorCode::kDeviceUnavailable);
  EXPECT_EQ(status.message(),
            "/dev/x: permission denied (EACCES); add the service's user (hl-bufd) to the group "
            "that owns the node, or give it one by a udev rule");
}

TEST(ErrorText, KnowsThreeWaysInWhichANodeIsMissing) {
  for (const int error : {ENOENT, ENODEV, ENXIO})
    EXPECT_TRUE(absl::EndsWith(CannotOpen("/dev/x", error, "load x").message(), "; load x"));
}

TEST(ErrorText, RemembersTheErrnoOfAnOpen) {
  EXPECT_EQ(ErrnoOf(CannotOpen("/dev/x", EBUSY, "load x")), EBUSY);
  EXPECT_EQ(ErrnoOf(CallFailed("x()", EBUSY)), 0);
  EXPECT_EQ(ErrnoOf(absl::OkStatus()), 0);
}

TEST(ErrorText, KeepsTheErrnoBesideTheWords) {
  EXPECT_EQ(ErrnoOf(WithErrno(absl::UnavailableError("busy"), EBUSY)), EBUSY);
  EXPECT_EQ(ErrnoOf(absl::UnavailableError("busy")), 0);
  EXPECT_EQ(ErrnoText(EAGAIN), "resource temporarily unavailable (EAGAIN)");
  EXPECT_EQ(ErrnoText(100000), "errno 100000");
}

TEST(ErrorText, TellsWantOfMemoryFromOtherFailures) {
  EXPECT_EQ(ErrorCodeOf(CallFailed("x()", ENOMEM)), ErrorCode::kNoMemory);
  EXPECT_EQ(ErrorCodeOf(CallFailed("x()", ENOSPC)), ErrorCode::kNoMemory);
  EXPECT_EQ(ErrorCodeOf(CallFailed("x()", EMFILE)), ErrorCode::kDeviceError);
}

TEST(ErrorText, HasWordsForErrorsWithoutARemedyAndForNoErrorsAtAll) {
  EXPECT_EQ(CallFailed("x()", EIO).message(), "x(): input/output error (EIO)");
  EXPECT_EQ(CallFailed("x()", 4095).message(), "x(): errno 4095");
}

TEST(ErrorText, WritesBytesExactlyInTheLargestUnit) {
  EXPECT_EQ(BytesText(0), "0 bytes");
  EXPECT_EQ(BytesText(1023), "1023 bytes");
  EXPECT_EQ(BytesText(4096), "4 KiB");
  EXPECT_EQ(BytesText(64u << 20), "64 MiB");
  EXPECT_EQ(BytesText((1u << 20) + 4096), "1028 KiB");
  EXPECT_EQ(BytesText(std::uint64_t{3} << 30), "3 GiB");
}

}  // namespace
}  // namespace hlbuf
