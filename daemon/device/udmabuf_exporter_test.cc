// SPDX-License-Identifier: Apache-2.0
#include "daemon/device/udmabuf_exporter.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "daemon/core/error.h"
#include "daemon/device/fake_syscalls.h"

namespace hlbuf {
namespace {

constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kMib = 1 << 20;
const Domain kAlice{.uid = 1000, .container = ""};
const Domain kBob{.uid = 1001, .container = ""};

class UdmabufExporterTest : public testing::Test {
 protected:
  void Start(std::uint64_t size_bytes, const std::string& isolation = "cleared") {
    exporter_ = std::make_unique<UdmabufExporter>(DeviceConfig{.name = "udmabuf0",
                                                               .kind = "udmabuf",
                                                               .size_bytes = size_bytes,
                                                               .isolation = isolation,
                                                               .drills = true},
                                                  kernel_);
  }
  void StartOpen(std::uint64_t size_bytes, const std::string& isolation = "cleared") {
    Start(size_bytes, isolation);
    ASSERT_TRUE(exporter_->Open().ok());
  }
  absl::StatusOr<Allocation> Export(std::uint64_t pages, const Domain& domain) {
    return exporter_->Export({.size_bytes = pages * kPage, .domain = domain});
  }
  void SetParameter(const std::string& name, const std::string& text) {
    kernel_.texts[absl::StrCat(UdmabufExporter::kParameters, name)] = text;
  }
  FakeSyscalls kernel_;
  std::unique_ptr<UdmabufExporter> exporter_;
};

TEST_F(UdmabufExporterTest, CutsWindowsOutOfOneArena) {
  StartOpen(4 * kPage);
  const auto first = Export(1, kAlice);
  const auto second = Export(2, kBob);
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_NE(first->window, second->window);
  EXPECT_EQ(kernel_.memfds, std::vector<std::string>{"hlbuf-arena"});
  EXPECT_EQ(kernel_.opened, std::vector<std::string>{"/dev/udmabuf"});
  EXPECT_EQ(kernel_.dmabuf_names, (std::vector<std::string>{"hlbuf-udmabuf-1", "hlbuf-udmabuf-2"}));
}

TEST_F(UdmabufExporterTest, ClearsAWindowBeforeAnotherDomainGetsIt) {
  StartOpen(2 * kPage);
  auto made = Export(2, kAlice);
  ASSERT_TRUE(made.ok());
  ASSERT_TRUE(exporter_->Free(*std::move(made)).ok());
  ASSERT_TRUE(Export(2, kBob).ok());
  EXPECT_EQ(kernel_.windows_were_clean, (std::vector<bool>{true, true}));
}

TEST_F(UdmabufExporterTest, ClearsNothingWithoutIsolation) {
  StartOpen(2 * kPage, "none");
  auto made = Export(2, kAlice);
  ASSERT_TRUE(made.ok());
  ASSERT_TRUE(exporter_->Free(*std::move(made)).ok());
  ASSERT_TRUE(Export(2, kBob).ok());
  EXPECT_EQ(kernel_.windows_were_clean, (std::vector<bool>{true, false}));
}

TEST_F(UdmabufExporterTest, KeepsAWindowThatItCannotClearForItsLastDomain) {
  StartOpen(2 * kPage);
  auto made = Export(2, kAlice);
  ASSERT_TRUE(made.ok());
  kernel_.Fail(Call::kPunchHole, EIO, /*times=*/2);
  const absl::Status freed = exporter_->Free(*std::move(made));
  EXPECT_EQ(ErrorCodeOf(freed), ErrorCode::kDeviceError);
  EXPECT_TRUE(absl::StrContains(freed.message(), "stay reserved")) << freed;

  EXPECT_EQ(ErrorCodeOf(Export(1, kBob).status()), ErrorCode::kNoMemory);
  EXPECT_TRUE(Export(1, kAlice).ok());
}

TEST_F(UdmabufExporterTest, ClearsWhatItOwesBeforeItRefusesForWantOfRoom) {
  StartOpen(2 * kPage);
  auto made = Export(2, kAlice);
  ASSERT_TRUE(made.ok());
  kernel_.Fail(Call::kPunchHole, EINTR);
  EXPECT_FALSE(exporter_->Free(*std::move(made)).ok());
  EXPECT_TRUE(Export(2, kBob).ok());
  EXPECT_EQ(kernel_.windows_were_clean, (std::vector<bool>{true, true}));
}

TEST_F(UdmabufExporterTest, DoesNotTakeTheKernelsWordForACleanWindow) {
  StartOpen(2 * kPage);
  auto made = Export(2, kAlice);
  ASSERT_TRUE(made.ok());
  kernel_.Fail(Call::kSeekData, EIO, /*times=*/2);
  EXPECT_EQ(ErrorCodeOf(exporter_->Free(*std::move(made))), ErrorCode::kDeviceError);
  EXPECT_EQ(ErrorCodeOf(Export(2, kBob).status()), ErrorCode::kNoMemory);
}

// A kernel whose fallocate() succeeds and does nothing.
class IdlePunch final : public Syscalls {
 public:
  explicit IdlePunch(FakeSyscalls& kernel) : kernel_(kernel) {}
  UniqueFd Open(const std::string& path, int flags) override { return kernel_.Open(path, flags); }
  int Ioctl(int fd, unsigned long request, void* argument) override {
    return kernel_.Ioctl(fd, request, argument);
  }
  int PunchHole(int, std::uint64_t, std::uint64_t) override { return 0; }

 private:
  FakeSyscalls& kernel_;
};

TEST_F(UdmabufExporterTest, NoticesContentsThatAHoleShouldHaveRemoved) {
  IdlePunch idle(kernel_);
  UdmabufExporter exporter({.name = "d", .kind = "udmabuf", .size_bytes = 2 * kPage}, idle);
  ASSERT_TRUE(exporter.Open().ok());
  auto made = exporter.Export({.size_bytes = kPage, .domain = kAlice});
  ASSERT_TRUE(made.ok());
  const absl::Status freed = exporter.Free(*std::move(made));
  EXPECT_TRUE(absl::StrContains(freed.message(), "it still has contents")) << freed;
}

TEST_F(UdmabufExporterTest, IgnoresContentsOfTheNextWindow) {
  StartOpen(4 * kPage);
  auto first = Export(1, kAlice);
  const auto second = Export(1, kAlice);
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_TRUE(exporter_->Free(*std::move(first)).ok());
}

TEST_F(UdmabufExporterTest, TakesBackOnlyWhatIsOut) {
  StartOpen(4 * kPage);
  Allocation unknown;
  unknown.window = 2 * kPage;
  EXPECT_EQ(ErrorCodeOf(exporter_->Free(std::move(unknown))), ErrorCode::kDeviceError);
}

TEST_F(UdmabufExporterTest, HonoursTheLimitsOfTheDriver) {
  SetParameter("size_limit_mb", "1\n");
  SetParameter("list_limit", "1\n");
  StartOpen(8 * kMib);
  EXPECT_EQ(exporter_->traits().buffer_bytes_max, kMib);
  EXPECT_EQ(ErrorCodeOf(Export(kMib / kPage + 1, kAlice).status()), ErrorCode::kDeviceError);
  EXPECT_TRUE(Export(kMib / kPage, kAlice).ok());

  SetParameter("size_limit_mb", "4\n");
  ASSERT_TRUE(exporter_->Reset(Drill::kNone).ok());
  ASSERT_TRUE(exporter_->Open().ok());
  EXPECT_EQ(exporter_->traits().buffer_bytes_max, 4 * kMib);
}

TEST_F(UdmabufExporterTest, TakesTheDriversDefaultsWhereItDoesNotTell) {
  StartOpen(256 * kMib);
  EXPECT_EQ(exporter_->traits().buffer_bytes_max, 64 * kMib);
}

TEST_F(UdmabufExporterTest, SaysWhichParameterAdmitsNoBuffer) {
  SetParameter("size_limit_mb", "64\n");
  SetParameter("list_limit", "-1\n");
  Start(8 * kMib);
  const absl::Status opened = exporter_->Open();
  EXPECT_EQ(ErrorCodeOf(opened), ErrorCode::kDeviceUnavailable);
  EXPECT_TRUE(absl::EndsWith(opened.message(), "parameters/list_limit")) << opened;
}

TEST_F(UdmabufExporterTest, SaysWhyItCannotOpenAndWhatToDo) {
  Start(2 * kPage);
  kernel_.Fail(Call::kOpen, EACCES);
  absl::Status opened = exporter_->Open();
  EXPECT_EQ(ErrorCodeOf(opened), ErrorCode::kDeviceUnavailable);
  EXPECT_TRUE(absl::StartsWith(opened.message(), "/dev/udmabuf: permission denied (EACCES); add "))
      << opened;
  kernel_.Fail(Call::kOpen, ENOENT);
  opened = exporter_->Open();
  EXPECT_EQ(ErrorCodeOf(opened), ErrorCode::kDeviceUnavailable);
  EXPECT_TRUE(absl::StrContains(opened.message(), "modprobe udmabuf")) << opened;
  EXPECT_TRUE(exporter_->Open().ok());
}

TEST_F(UdmabufExporterTest, FailsToOpenWithoutAnArena) {
  for (const Call call : {Call::kMemfdCreate, Call::kFtruncate, Call::kAddSeals}) {
    Start(2 * kPage);
    const std::size_t before = OpenFdCount();
    kernel_.Fail(call, ENOMEM);
    EXPECT_EQ(ErrorCodeOf(exporter_->Open()), ErrorCode::kNoMemory);
    EXPECT_EQ(OpenFdCount(), before);
    EXPECT_TRUE(exporter_->Open().ok());
  }
}

TEST_F(UdmabufExporterTest, GivesTheWindowOfAFailedExportBack) {
  StartOpen(2 * kPage);
  const std::vector<std::pair<int, ErrorCode>> errors = {{ENOMEM, ErrorCode::kNoMemory},
                                                         {EMFILE, ErrorCode::kDeviceError},
                                                         {EINVAL, ErrorCode::kDeviceError}};
  for (const auto& [error, code] : errors) {
    kernel_.Fail(Call::kCreateUdmabuf, error);
    EXPECT_EQ(ErrorCodeOf(Export(2, kAlice).status()), code);
    auto made = Export(2, kBob);
    ASSERT_TRUE(made.ok()) << made.status();
    ASSERT_TRUE(exporter_->Free(*std::move(made)).ok());
  }
}

TEST_F(UdmabufExporterTest, DoesWithoutNamesAndWithoutTheNewestMemfds) {
  kernel_.noexec_memfds = false;
  StartOpen(2 * kPage);
  kernel_.Fail(Call::kSetName, ENOTTY);
  EXPECT_TRUE(Export(1, kAlice).ok());
}

TEST_F(UdmabufExporterTest, KeepsItsArenaAcrossResets) {
  StartOpen(2 * kPage);
  ASSERT_TRUE(exporter_->Reset(Drill::kNone).ok());
  ASSERT_TRUE(exporter_->Open().ok());
  EXPECT_EQ(kernel_.memfds.size(), 1u);
  EXPECT_EQ(kernel_.opened.size(), 2u);
}

}  // namespace
}  // namespace hlbuf
