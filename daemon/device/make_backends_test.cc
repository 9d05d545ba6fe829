// SPDX-License-Identifier: Apache-2.0
#include "daemon/device/make_backends.h"

#include <gtest/gtest.h>

#include <string>

#include "absl/strings/match.h"
#include "daemon/core/error.h"
#include "daemon/device/fake_syscalls.h"

namespace hlbuf {
namespace {

class NoReactor final : public Reactor {
 public:
  void Post(absl::AnyInvocable<void() &&>) override {}
  absl::StatusOr<std::unique_ptr<FdWatch>> WatchFd(int, std::uint32_t, IoTask) override {
    return std::make_unique<FdWatch>();
  }
};

class MakeBackendTest : public testing::Test {
 protected:
  NoReactor reactor_;
  FakeSyscalls kernel_;
};

TEST_F(MakeBackendTest, MakesEachKind) {
  for (const std::string kind : {"software", "udmabuf", "dma-heap", "habanalabs"}) {
    const auto made = MakeBackend({.name = "d", .kind = kind}, reactor_, kernel_);
    ASSERT_TRUE(made.ok()) << made.status();
    EXPECT_EQ((*made)->traits().kind, kind);
  }
}

TEST_F(MakeBackendTest, OpensNothingYet) {
  ASSERT_TRUE(MakeBackend({.name = "d", .kind = "udmabuf"}, reactor_, kernel_).ok());
  EXPECT_TRUE(kernel_.opened.empty());
  EXPECT_TRUE(kernel_.memfds.empty());
}

TEST_F(MakeBackendTest, NamesTheSettingThatIsWrong) {
  const auto refusal = [&](const DeviceConfig& config) {
    const absl::Status status = MakeBackend(config, reactor_, kernel_).status();
    EXPECT_EQ(ErrorCodeOf(status), ErrorCode::kInvalidArgument);
    EXPECT_TRUE(absl::StartsWith(status.message(), "device \"d\": ")) << status;
    return std::string(status.message());
  };
  EXPECT_TRUE(absl::StrContains(refusal({.name = "d", .kind = "tape"}),
                                "\"tape\"; there are software, udmabuf, dma-heap, habanalabs"));
  EXPECT_TRUE(absl::StrContains(refusal({.name = "d", .isolation = "some"}), "isolation"));
  EXPECT_TRUE(absl::StrContains(refusal({.name = "d", .size_bytes = 100}), "less than a page"));
}

}  // namespace
}  // namespace hlbuf
