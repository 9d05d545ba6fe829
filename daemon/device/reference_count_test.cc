// SPDX-License-Identifier: Apache-2.0
#include "daemon/device/reference_count.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace hlbuf {
namespace {

constexpr char kFdinfo[] =
    "pos:\t0\nflags:\t02000002\nmnt_id:\t12\nino:\t7\nsize:\t65536\ncount:\t3\n"
    "exp_name:\tsystem\nname:\thlbuf-dma-heap-1\n";

TEST(ParseReferenceCount, FindsTheCount) { EXPECT_EQ(ParseReferenceCount(kFdinfo), 3u); }

TEST(ParseReferenceCount, FindsNoneInWhatIsNoDmaBuf) {
  EXPECT_EQ(ParseReferenceCount("pos:\t0\nflags:\t02000002\nmnt_id:\t12\nino:\t7\n"), std::nullopt);
  EXPECT_EQ(ParseReferenceCount(""), std::nullopt);
}

TEST(ParseReferenceCount, BelievesTheKernelAndNotTheNameThatAHolderSet) {
  const std::string forged = "pos:\t0\ncount:\t4\nexp_name:\tudmabuf\nname:\tx\ncount:\t1\n";
  EXPECT_EQ(ParseReferenceCount(forged), 4u);
}

TEST(ParseReferenceCount, TakesNoTextThatEndsInTheMiddleOfANumber) {
  EXPECT_EQ(ParseReferenceCount("pos:\t0\ncount:\t1"), std::nullopt);
  EXPECT_EQ(ParseReferenceCount("pos:\t0\ncount:\t\n"), std::nullopt);
  EXPECT_EQ(ParseReferenceCount("pos:\t0\ncount:\t-1\n"), std::nullopt);
}

class ReferenceCounterTest : public testing::Test {
 protected:
  ReferenceCounterTest() : directory_(testing::TempDir() + "hlbuf_fdinfo_XXXXXX") {
    EXPECT_NE(mkdtemp(directory_.data()), nullptr);
  }
  ~ReferenceCounterTest() override { std::filesystem::remove_all(directory_); }
  void Write(int fd, const std::string& text) {
    std::ofstream(directory_ + "/" + std::to_string(fd)) << text;
  }
  std::string directory_;
};

TEST_F(ReferenceCounterTest, CountsEachDescriptorAndTellsZeroForTheUnreadable) {
  Write(5, kFdinfo);
  Write(9, "pos:\t0\ncount:\t1\n");
  Write(11, "pos:\t0\nino:\t3\n");
  const ReferenceCounter counter(directory_);
  std::vector<std::uint32_t> counts(5, 77);
  counter.Read({5, 6, 9, 11, -1}, absl::MakeSpan(counts));
  EXPECT_EQ(counts, (std::vector<std::uint32_t>{3, 0, 1, 0, 0}));
}

TEST_F(ReferenceCounterTest, TellsZeroWhereThereIsNoProcAtAll) {
  const ReferenceCounter counter(directory_ + "/missing");
  std::vector<std::uint32_t> counts(1, 77);
  counter.Read({STDIN_FILENO}, absl::MakeSpan(counts));
  EXPECT_EQ(counts, (std::vector<std::uint32_t>{0}));
}

std::string Fdinfo(int fd) {
  std::ifstream file("/proc/self/fdinfo/" + std::to_string(fd));
  return {std::istreambuf_iterator<char>(file), {}};
}

// Each lock is a line in front of the count, and stays for as long as anybody holds the file.
TEST(ReferenceCounter, RemovesLocksThatPushTheCountOutOfSight) {
  const UniqueFd memfd(memfd_create("locked", MFD_CLOEXEC));
  ASSERT_EQ(flock(memfd.get(), LOCK_EX), 0);
  for (int i = 0; i < 200; ++i) {
    struct flock one_byte = {};
    one_byte.l_type = F_WRLCK;
    one_byte.l_start = 2 * i;
    one_byte.l_len = 1;
    ASSERT_EQ(fcntl(memfd.get(), F_OFD_SETLK, &one_byte), 0);
  }
  ASSERT_GT(Fdinfo(memfd.get()).size(), 4096u);
  std::vector<std::uint32_t> counts(1);
  ReferenceCounter().Read({memfd.get()}, absl::MakeSpan(counts));
  EXPECT_EQ(Fdinfo(memfd.get()).find("lock:"), std::string::npos);
}

}  // namespace
}  // namespace hlbuf
