// SPDX-License-Identifier: Apache-2.0
#include "daemon/device/habanalabs_driver.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cerrno>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "daemon/core/error.h"
#include "daemon/device/error_text.h"
#include "daemon/device/fake_habanalabs.h"
#include "daemon/device/fake_syscalls.h"

namespace hlbuf {
namespace {

constexpr std::uint64_t kPage = FakeHabanalabsCard::kPage;
constexpr std::uint64_t kDriverPage = FakeHabanalabsCard::kDriverPage;

class HabanalabsDriverTest : public testing::Test {
 protected:
  void Start(const HlCard& like = {}) {
    card_ = &machine_.Add(like);
    const std::string dev = machine_.roots().dev;
    compute_ = On(dev + (like.legacy ? "/hl0" : "/accel/accel0"));
    control_ = On(dev + (like.legacy ? "/hl_controlD0" : "/accel/accel_controlD0"));
  }
  std::optional<HabanalabsDriver> On(const std::string& path) {
    auto driver = HabanalabsDriver::OnNode(machine_, machine_.Open(path, O_RDWR), path);
    EXPECT_TRUE(driver.ok()) << driver.status();
    if (!driver.ok()) return std::nullopt;
    return *std::move(driver);
  }
  // The address of a mapping of one driver page.
  std::uint64_t Mapped() {
    const auto handle = compute_->Alloc(kDriverPage);
    EXPECT_TRUE(handle.ok()) << handle.status();
    const auto address = compute_->Map(*handle);
    EXPECT_TRUE(address.ok()) << address.status();
    return *address;
  }
  FakeHabanalabs machine_;
  FakeHabanalabsCard* card_ = nullptr;
  std::optional<HabanalabsDriver> compute_;
  std::optional<HabanalabsDriver> control_;
};

TEST_F(HabanalabsDriverTest, FindsOutWhichIoctlsANodeTakes) {
  Start();
  EXPECT_EQ(compute_->uapi(), HabanalabsDriver::Uapi::kAccel);
  EXPECT_EQ(control_->uapi(), HabanalabsDriver::Uapi::kAccel);
}

TEST_F(HabanalabsDriverTest, TakesTheOldIoctlsWhereThereAreNoNewOnes) {
  Start({.legacy = true});
  EXPECT_EQ(compute_->uapi(), HabanalabsDriver::Uapi::kLegacy);
  EXPECT_TRUE(compute_->Export(Mapped(), kPage, 0).ok());
}

TEST_F(HabanalabsDriverTest, RejectsANodeOfAnotherDriver) {
  machine_.Add({.driver = "intel_vpu"});
  const std::string path = machine_.roots().dev + "/accel/accel0";
  const auto driver = HabanalabsDriver::OnNode(machine_, machine_.Open(path, O_RDWR), path);
  EXPECT_EQ(ErrorCodeOf(driver.status()), ErrorCode::kDeviceError);
  EXPECT_TRUE(absl::StrContains(driver.status().message(), "belongs to another driver"));
}

TEST_F(HabanalabsDriverTest, AsksBothNodes) {
  Start({.module_id = 4});
  for (const HabanalabsDriver* driver : {&*compute_, &*control_}) {
    EXPECT_EQ(driver->HwIp()->module_id, 4u);
    EXPECT_EQ(driver->HwIp()->dram_size, 8 * kDriverPage);
    EXPECT_EQ(driver->DramUsage()->dram_free_mem, 8 * kDriverPage);
    EXPECT_EQ(*driver->DeviceStatus(), hl::kOperational);
    EXPECT_EQ(driver->ResetCount()->hard_reset_cnt, 3u);
    EXPECT_EQ(driver->OpenStats()->is_compute_ctx_active, 1);
  }
}

TEST_F(HabanalabsDriverTest, SeesNothingBehindTheEndOfAnOldAnswer) {
  Start({.legacy = true, .is_61 = true});
  EXPECT_EQ(compute_->HwIp()->device_mem_alloc_default_page_size, kDriverPage);
  EXPECT_EQ(compute_->HwIp()->reserved_dram_size, 0u);
}

TEST_F(HabanalabsDriverTest, ReadsEventsOnceEach) {
  Start();
  card_->events = hl::kEventDeviceReset;
  EXPECT_EQ(*compute_->GetEvents(), hl::kEventDeviceReset);
  EXPECT_EQ(*compute_->GetEvents(), 0u);
}

TEST_F(HabanalabsDriverTest, TakesOneEventfdAndNoneAtTheControlNode) {
  Start();
  const UniqueFd eventfd = machine_.Eventfd();
  EXPECT_TRUE(compute_->RegisterEventfd(eventfd.get()).ok());
  const absl::Status again = compute_->RegisterEventfd(eventfd.get());
  EXPECT_TRUE(absl::StrContains(again.message(), "has an eventfd already")) << again;
  const absl::Status control = control_->RegisterEventfd(eventfd.get());
  EXPECT_TRUE(absl::StrContains(control.message(), "(EOPNOTSUPP); a control node takes no eventfd"))
      << control;
  EXPECT_EQ(ErrnoOf(control_->GetEvents().status()), EOPNOTSUPP);
  card_->Fail(HlCall::kRegisterEventfd, EBUSY);
  EXPECT_EQ(ErrorCodeOf(compute_->RegisterEventfd(eventfd.get())), ErrorCode::kDeviceUnavailable);
}

TEST_F(HabanalabsDriverTest, HasNoMemoryAtTheControlNode) {
  Start();
  const absl::Status refused = control_->Alloc(kDriverPage).status();
  EXPECT_EQ(ErrnoOf(refused), ENOTTY);
  EXPECT_TRUE(absl::StrContains(refused.message(), "is a control node")) << refused;
}

TEST_F(HabanalabsDriverTest, GivesOutACloseOnExecDmaBufOfTheSizeThatWasAskedFor) {
  Start();
  const std::uint64_t address = Mapped();
  const auto dmabuf = compute_->Export(address, 3 * kPage, 2 * kPage);
  ASSERT_TRUE(dmabuf.ok()) << dmabuf.status();
  EXPECT_TRUE(IsCloseOnExec(dmabuf->get()));
  struct stat status = {};
  ASSERT_EQ(::fstat(dmabuf->get(), &status), 0);
  EXPECT_EQ(static_cast<std::uint64_t>(status.st_size), 3 * kPage);
  EXPECT_EQ(card_->exports.back().offset, 2 * kPage);
}

TEST_F(HabanalabsDriverTest, UnmapsAndFreesInThatOrderOnceNothingIsExported) {
  Start();
  const auto handle = compute_->Alloc(kDriverPage);
  const auto address = compute_->Map(*handle);
  auto dmabuf = compute_->Export(*address, kPage, 0);
  ASSERT_TRUE(dmabuf.ok());
  const absl::Status mapped = compute_->Free(*handle);
  EXPECT_TRUE(absl::StrContains(mapped.message(), "it is still mapped")) << mapped;
  const absl::Status exported = compute_->Unmap(*address);
  EXPECT_EQ(ErrorCodeOf(exported), ErrorCode::kDeviceError);
  EXPECT_TRUE(absl::StrContains(exported.message(), "still exported")) << exported;
  dmabuf->Reset();
  EXPECT_TRUE(compute_->Unmap(*address).ok());
  EXPECT_TRUE(compute_->Free(*handle).ok());
}

TEST_F(HabanalabsDriverTest, FillsTheRequestAnewAfterAnInterruption) {
  Start();
  const std::uint64_t address = Mapped();
  card_->Fail(HlCall::kExport, EINTR, 3);
  const auto dmabuf = compute_->Export(address, 2 * kPage, kPage);
  ASSERT_TRUE(dmabuf.ok()) << dmabuf.status();
  EXPECT_EQ(card_->exports.back().address, address);
  EXPECT_EQ(card_->exports.back().size_bytes, 2 * kPage);
  card_->Fail(HlCall::kAlloc, EINTR, 1000);
  EXPECT_EQ(ErrnoOf(compute_->Alloc(kDriverPage).status()), EINTR);
}

struct Refusal {
  int error;
  ErrorCode code;
  const char* words;
};

TEST_F(HabanalabsDriverTest, TellsEveryErrnoOfAnExportApart) {
  Start();
  const std::uint64_t address = Mapped();
  const std::vector<Refusal> refusals = {
      {EBUSY, ErrorCode::kDeviceUnavailable, "not operational"},
      {EINVAL, ErrorCode::kDeviceError, "exports no such range"},
      {ENOMEM, ErrorCode::kNoMemory, "MemoryMax="},
      {EMFILE, ErrorCode::kDeviceError, "raise LimitNOFILE="},
      {ENFILE, ErrorCode::kDeviceError, "fs.file-max"},
      {EOPNOTSUPP, ErrorCode::kUnimplemented, "use Linux 6.7 or later"},
      {EPERM, ErrorCode::kDeviceError, "MMU disabled"},
      {ENODEV, ErrorCode::kDeviceUnavailable, "was removed"},
      {EAGAIN, ErrorCode::kDeviceUnavailable, "try again later"},
      {EIO, ErrorCode::kDeviceError, "EXPORT_DMABUF_FD of 4 KiB at 0x"},
  };
  for (const Refusal& expected : refusals) {
    card_->Fail(HlCall::kExport, expected.error);
    const absl::Status refused = compute_->Export(address, kPage, 0).status();
    EXPECT_EQ(ErrnoOf(refused), expected.error);
    EXPECT_EQ(ErrorCodeOf(refused), expected.code) << refused;
    EXPECT_TRUE(absl::StrContains(refused.message(), expected.words)) << refused;
  }
}

TEST_F(HabanalabsDriverTest, TellsWhatTheDriverItselfRefuses) {
  Start({.bar_bytes = kDriverPage});
  const std::uint64_t first = Mapped();
  const std::uint64_t behind_the_bar = Mapped();
  EXPECT_TRUE(compute_->Export(first, kPage, 0).ok());
  const std::vector<absl::Status> refusals = {
      compute_->Export(first, 0, 0).status(),
      compute_->Export(first, kPage + 1, 0).status(),
      compute_->Export(first, kPage, 1).status(),
      compute_->Export(first + kPage, kPage, 0).status(),
      compute_->Export(first, kPage, kDriverPage).status(),
      compute_->Export(behind_the_bar, kPage, 0).status(),
  };
  for (const absl::Status& refused : refusals) EXPECT_EQ(ErrnoOf(refused), EINVAL) << refused;
}

TEST_F(HabanalabsDriverTest, CannotExportVirtualMemoryWithLinux61) {
  Start({.legacy = true, .is_61 = true});
  EXPECT_EQ(ErrorCodeOf(compute_->Export(Mapped(), kPage, 0).status()), ErrorCode::kUnimplemented);
}

TEST_F(HabanalabsDriverTest, TellsTheErrnosOfTheOtherCalls) {
  Start();
  card_->Fail(HlCall::kAlloc, ENOMEM);
  EXPECT_EQ(ErrorCodeOf(compute_->Alloc(kDriverPage).status()), ErrorCode::kNoMemory);
  card_->Fail(HlCall::kAlloc, EBUSY);
  EXPECT_EQ(ErrorCodeOf(compute_->Alloc(kDriverPage).status()), ErrorCode::kDeviceUnavailable);
  card_->Fail(HlCall::kMap, ENOMEM);
  EXPECT_EQ(ErrorCodeOf(compute_->Map(1).status()), ErrorCode::kNoMemory);
  EXPECT_EQ(ErrnoOf(compute_->Map(77).status()), EINVAL);
  card_->Fail(HlCall::kUnmap, EBUSY);
  EXPECT_EQ(ErrorCodeOf(compute_->Unmap(1)), ErrorCode::kDeviceUnavailable);
  card_->Fail(HlCall::kFree, EBUSY);
  EXPECT_EQ(ErrorCodeOf(compute_->Free(1)), ErrorCode::kDeviceUnavailable);
  for (const int error : {EBUSY, ENODEV}) {
    card_->Fail(HlCall::kInfo, error);
    EXPECT_EQ(ErrorCodeOf(compute_->HwIp().status()), ErrorCode::kDeviceUnavailable);
  }
  card_->Fail(HlCall::kInfo, EINVAL);
  EXPECT_EQ(ErrorCodeOf(compute_->HwIp().status()), ErrorCode::kDeviceError);
}

}  // namespace
}  // namespace hlbuf
