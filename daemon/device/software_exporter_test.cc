// SPDX-License-Identifier: Apache-2.0
// On the kernel that runs the test: memfds are everywhere.
#include "daemon/device/software_exporter.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "daemon/core/error.h"
#include "daemon/device/fake_syscalls.h"

namespace hlbuf {
namespace {

constexpr std::uint64_t kPage = 4096;
const Domain kAlice{.uid = 1000, .container = ""};

class SoftwareExporterTest : public testing::Test {
 protected:
  SoftwareExporterTest() : exporter_({.name = "software"}, kernel_) {}
  UniqueFd Make(std::uint64_t size_bytes) {
    EXPECT_TRUE(exporter_.Open().ok());
    auto made = exporter_.Export({.size_bytes = size_bytes, .domain = kAlice});
    EXPECT_TRUE(made.ok()) << made.status();
    return made.ok() ? std::move(made->fd) : UniqueFd();
  }
  Syscalls kernel_;
  SoftwareExporter exporter_;
};

TEST_F(SoftwareExporterTest, SaysThatItIsASimulation) {
  EXPECT_TRUE(exporter_.traits().simulated);
  EXPECT_FALSE(exporter_.traits().counts_references);
  EXPECT_EQ(exporter_.traits().total_bytes, 0u);
}

TEST_F(SoftwareExporterTest, UsesOnlyWholePagesOfItsSize) {
  SoftwareExporter exporter({.name = "software", .size_bytes = 4 * kPage - 1}, kernel_);
  EXPECT_EQ(exporter.traits().total_bytes, 3 * kPage);
  EXPECT_EQ(exporter.traits().buffer_bytes_max, 3 * kPage);
  ASSERT_TRUE(exporter.Open().ok());
  EXPECT_TRUE(exporter.Export({.size_bytes = 3 * kPage, .domain = kAlice}).ok());
}

TEST_F(SoftwareExporterTest, LetsNoHolderTakeTheMemoryFromUnderAnother) {
  const UniqueFd fd = Make(4 * kPage);
  EXPECT_EQ(ftruncate(fd.get(), 0), -1);
  EXPECT_EQ(errno, EPERM);
  EXPECT_EQ(ftruncate(fd.get(), 8 * kPage), -1);
  EXPECT_EQ(errno, EPERM);
}

TEST_F(SoftwareExporterTest, LetsNoHolderForbidTheOthersToWrite) {
  const UniqueFd fd = Make(kPage);
  for (const int seal : {F_SEAL_WRITE, F_SEAL_FUTURE_WRITE}) {
    EXPECT_EQ(fcntl(fd.get(), F_ADD_SEALS, seal), -1);
    EXPECT_EQ(errno, EPERM);
  }
}

TEST_F(SoftwareExporterTest, GivesMemoryThatEveryHolderSeesAndThatStartsAsZeros) {
  const UniqueFd fd = Make(2 * kPage);
  char* const ours =
      static_cast<char*>(mmap(nullptr, 2 * kPage, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0));
  ASSERT_NE(ours, MAP_FAILED);
  EXPECT_EQ(std::string(ours, 2 * kPage), std::string(2 * kPage, '\0'));
  ours[kPage] = 'x';
  char seen = 0;
  EXPECT_EQ(pread(fd.get(), &seen, 1, kPage), 1);
  EXPECT_EQ(seen, 'x');
  EXPECT_EQ(munmap(ours, 2 * kPage), 0);
}

TEST_F(SoftwareExporterTest, NamesItsBuffersForPeople) {
  const UniqueFd fd = Make(kPage);
  char target[64] = {};
  ASSERT_GT(
      readlink(("/proc/self/fd/" + std::to_string(fd.get())).c_str(), target, sizeof(target) - 1),
      0);
  EXPECT_STREQ(target, "/memfd:hlbuf-software-1 (deleted)");
}

TEST(SoftwareExporter, PassesTheKernelsRefusalOnInWords) {
  FakeSyscalls kernel;
  SoftwareExporter exporter({.name = "software"}, kernel);
  ASSERT_TRUE(exporter.Open().ok());
  const std::size_t before = OpenFdCount();
  for (const auto& [call, error] :
       {std::pair{Call::kMemfdCreate, EMFILE}, std::pair{Call::kFtruncate, EFBIG},
        std::pair{Call::kAddSeals, EBUSY}}) {
    kernel.Fail(call, error);
    const absl::Status refused = exporter.Export({.size_bytes = kPage, .domain = kAlice}).status();
    EXPECT_EQ(ErrorCodeOf(refused), ErrorCode::kDeviceError);
    EXPECT_NE(refused.message().find(strerrorname_np(error)), absl::string_view::npos) << refused;
  }
  EXPECT_EQ(OpenFdCount(), before);
}

TEST(SoftwareExporter, DoesWithoutTheNewestMemfds) {
  FakeSyscalls kernel;
  kernel.noexec_memfds = false;
  SoftwareExporter exporter({.name = "software"}, kernel);
  ASSERT_TRUE(exporter.Open().ok());
  EXPECT_TRUE(exporter.Export({.size_bytes = kPage, .domain = kAlice}).ok());
}

}  // namespace
}  // namespace hlbuf
