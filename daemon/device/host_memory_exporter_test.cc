// SPDX-License-Identifier: Apache-2.0
// What all exporters of host memory promise alike.
#include "daemon/device/host_memory_exporter.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cerrno>
#include <memory>
#include <string>
#include <utility>

#include "daemon/core/error.h"
#include "daemon/device/dma_heap_exporter.h"
#include "daemon/device/fake_syscalls.h"
#include "daemon/device/software_exporter.h"
#include "daemon/device/udmabuf_exporter.h"

namespace hlbuf {
namespace {

constexpr std::uint64_t kPage = 4096;
const Domain kAlice{.uid = 1000, .container = ""};
const AllocationSpec kOnePage{.size_bytes = kPage, .domain = kAlice};

struct Kind {
  std::string name;
  std::unique_ptr<Exporter> (*make)(const DeviceConfig&, Syscalls&);
};
template <class T>
std::unique_ptr<Exporter> Make(const DeviceConfig& config, Syscalls& syscalls) {
  return std::make_unique<T>(config, syscalls);
}

class EveryHostMemoryExporter : public testing::TestWithParam<Kind> {
 protected:
  void Start(std::uint64_t size_bytes, bool drills = true) {
    exporter_ = GetParam().make(
        {.name = "d", .kind = GetParam().name, .size_bytes = size_bytes, .drills = drills},
        kernel_);
    ASSERT_TRUE(exporter_->Open().ok());
  }
  FakeSyscalls kernel_;
  std::unique_ptr<Exporter> exporter_;
};

TEST_P(EveryHostMemoryExporter, TellsItsKindAndItsSizes) {
  Start(16 * kPage);
  EXPECT_EQ(exporter_->traits().kind, GetParam().name);
  EXPECT_EQ(exporter_->traits().total_bytes, 16 * kPage);
  EXPECT_EQ(exporter_->traits().buffer_bytes_max, 16 * kPage);
  EXPECT_EQ(exporter_->traits().page_bytes, kPage);
  EXPECT_TRUE(exporter_->traits().can_drill);
  EXPECT_TRUE(exporter_->traits().cpu_map);
  EXPECT_EQ(exporter_->traits().simulated, !exporter_->traits().counts_references);
}

TEST_P(EveryHostMemoryExporter, GivesOutACloseOnExecDescriptorAndSaysWhatItIs) {
  Start(16 * kPage);
  const auto made = exporter_->Export({.size_bytes = 3 * kPage, .domain = kAlice});
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_TRUE(IsCloseOnExec(made->fd.get()));
  struct stat status = {};
  ASSERT_EQ(fstat(made->fd.get(), &status), 0);
  EXPECT_EQ(made->inode, status.st_ino);
  EXPECT_NE(made->inode, 0u);
  EXPECT_EQ(made->size_bytes, 3 * kPage);
  EXPECT_EQ(static_cast<std::uint64_t>(status.st_size), 3 * kPage);
}

TEST_P(EveryHostMemoryExporter, NeverGivesOutMoreThanItsSize) {
  Start(4 * kPage);
  auto first = exporter_->Export({.size_bytes = 3 * kPage, .domain = kAlice});
  ASSERT_TRUE(first.ok()) << first.status();
  const auto refused = exporter_->Export({.size_bytes = 2 * kPage, .domain = kAlice}).status();
  EXPECT_EQ(ErrorCodeOf(refused), ErrorCode::kNoMemory);
  EXPECT_NE(refused.message().find("no room for 8 KiB: of 16 KiB, 12 KiB are in use"),
            absl::string_view::npos)
      << refused;
  EXPECT_TRUE(exporter_->Free(*std::move(first)).ok());
  EXPECT_TRUE(exporter_->Export({.size_bytes = 4 * kPage, .domain = kAlice}).ok());
}

TEST_P(EveryHostMemoryExporter, RefusesSizesThatItCannotHave) {
  Start(4 * kPage);
  for (const std::uint64_t size : {std::uint64_t{0}, kPage + 1, 5 * kPage, ~std::uint64_t{0}})
    EXPECT_EQ(ErrorCodeOf(exporter_->Export({.size_bytes = size, .domain = kAlice}).status()),
              ErrorCode::kDeviceError)
        << size;
}

TEST_P(EveryHostMemoryExporter, MakesNothingWhileItIsNotOpen) {
  Start(4 * kPage);
  ASSERT_TRUE(exporter_->Reset(Drill::kNone).ok());
  EXPECT_EQ(ErrorCodeOf(exporter_->Export(kOnePage).status()), ErrorCode::kDeviceUnavailable);
  ASSERT_TRUE(exporter_->Open().ok());
  EXPECT_TRUE(exporter_->Export(kOnePage).ok());
}

TEST_P(EveryHostMemoryExporter, StaysAwayAfterAFailingDrillUntilTheNextReset) {
  Start(4 * kPage);
  ASSERT_TRUE(exporter_->Reset(Drill::kFails).ok());
  EXPECT_EQ(ErrorCodeOf(exporter_->Open()), ErrorCode::kDeviceUnavailable);
  EXPECT_EQ(ErrorCodeOf(exporter_->Open()), ErrorCode::kDeviceUnavailable);
  ASSERT_TRUE(exporter_->Reset(Drill::kNone).ok());
  EXPECT_TRUE(exporter_->Open().ok());
}

TEST_P(EveryHostMemoryExporter, FailsNoResetWhereDrillsAreNotAllowed) {
  Start(4 * kPage, /*drills=*/false);
  EXPECT_FALSE(exporter_->traits().can_drill);
  EXPECT_EQ(ErrorCodeOf(exporter_->Reset(Drill::kFails)), ErrorCode::kUnimplemented);
  EXPECT_TRUE(exporter_->Export(kOnePage).ok());
  EXPECT_TRUE(exporter_->Reset(Drill::kNone).ok());
}

TEST_P(EveryHostMemoryExporter, KeepsWhatIsHeldAcrossAResetAndTakesItBackLater) {
  Start(4 * kPage);
  auto held = exporter_->Export({.size_bytes = 3 * kPage, .domain = kAlice});
  ASSERT_TRUE(held.ok());
  ASSERT_TRUE(exporter_->Reset(Drill::kNone).ok());
  struct stat status = {};
  EXPECT_EQ(fstat(held->fd.get(), &status), 0);
  ASSERT_TRUE(exporter_->Open().ok());

  const AllocationSpec two_pages{.size_bytes = 2 * kPage, .domain = kAlice};
  EXPECT_EQ(ErrorCodeOf(exporter_->Export(two_pages).status()), ErrorCode::kNoMemory);
  EXPECT_TRUE(exporter_->Free(*std::move(held)).ok());
  EXPECT_TRUE(exporter_->Export(two_pages).ok());
}

TEST_P(EveryHostMemoryExporter, TakesBufferBackWhileItIsClosed) {
  Start(4 * kPage);
  auto held = exporter_->Export({.size_bytes = 4 * kPage, .domain = kAlice});
  ASSERT_TRUE(held.ok());
  ASSERT_TRUE(exporter_->Reset(Drill::kFails).ok());
  EXPECT_TRUE(exporter_->Free(*std::move(held)).ok());
  ASSERT_TRUE(exporter_->Reset(Drill::kNone).ok());
  ASSERT_TRUE(exporter_->Open().ok());
  EXPECT_TRUE(exporter_->Export({.size_bytes = 4 * kPage, .domain = kAlice}).ok());
}

TEST_P(EveryHostMemoryExporter, LeavesNothingBehindWhenABufferCannotBeIdentified) {
  Start(4 * kPage);
  const std::size_t before = OpenFdCount();
  kernel_.Fail(Call::kInode, EOVERFLOW);
  EXPECT_EQ(ErrorCodeOf(exporter_->Export(kOnePage).status()), ErrorCode::kDeviceError);
  EXPECT_EQ(OpenFdCount(), before);
  EXPECT_TRUE(exporter_->Export({.size_bytes = 4 * kPage, .domain = kAlice}).ok());
}

TEST_P(EveryHostMemoryExporter, ClosesEveryDescriptorInTheEnd) {
  const std::size_t before = OpenFdCount();
  Start(4 * kPage);
  auto made = exporter_->Export(kOnePage);
  ASSERT_TRUE(made.ok());
  ASSERT_TRUE(exporter_->Free(*std::move(made)).ok());
  exporter_.reset();
  EXPECT_EQ(OpenFdCount(), before);
}

INSTANTIATE_TEST_SUITE_P(Kinds, EveryHostMemoryExporter,
                         testing::Values(Kind{"software", Make<SoftwareExporter>},
                                         Kind{"udmabuf", Make<UdmabufExporter>},
                                         Kind{"dma-heap", Make<DmaHeapExporter>}),
                         [](const auto& kind) {
                           return kind.param.name == "dma-heap" ? "dma_heap" : kind.param.name;
                         });

TEST(BufferName, FitsIntoTheNameOfADmaBuf) {
  EXPECT_EQ(BufferName("udmabuf", 0x1a), "hlbuf-udmabuf-1a");
  EXPECT_EQ(BufferName("dma-heap", ~std::uint64_t{0}).size(), kNameBytesMax);
}

}  // namespace
}  // namespace hlbuf
