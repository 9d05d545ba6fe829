// SPDX-License-Identifier: Apache-2.0
#include "daemon/device/make_backends.h"

#include <gtest/gtest.h>

#include <chrono>
#include <future>
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

class NoKeepers final : public KeeperDialer {
 public:
  absl::StatusOr<std::unique_ptr<Keeper>> Dial(const std::string&, KeeperLimits) override {
    return absl::UnavailableError("nobody is there");
  }
  absl::StatusOr<std::unique_ptr<Keeper>> Redial(const std::string&, KeeperLimits) override {
    return absl::UnavailableError("nobody was there");
  }
  void Forget(const std::string&) override {}
  bool outlives() const override { return true; }
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

TEST_F(MakeBackendTest, TellsOfARiskAndOfNoLossWhereAKeeperCannotBeBegun) {
  NoKeepers keepers;
  std::promise<EventKind> told;
  std::future<EventKind> kind = told.get_future();
  const auto made = MakeBackend({.name = "d", .kind = "software"}, reactor_, kernel_, &keepers,
                                [&](EventKind what, const std::string& device, const std::string&) {
                                  EXPECT_EQ(device, "d");
                                  told.set_value(what);
                                });
  ASSERT_TRUE(made.ok()) << made.status();
  (*made)->Open([](const absl::Status&) {});
  ASSERT_EQ(kind.wait_for(std::chrono::seconds(20)), std::future_status::ready);
  const EventKind what = kind.get();
  EXPECT_EQ(what, EventKind::kStateUnkept);
  EXPECT_TRUE(IsRisk(what));
  EXPECT_FALSE(IsLoss(what));
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
