// SPDX-License-Identifier: Apache-2.0
#include "daemon/keeper/open_device.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>

namespace hlbuf {
namespace {

int WhyNot(const std::string& path, Opens opens = Opens::kCharacterDevices) {
  errno = 0;
  const int error = OpenDevice(path, opens) ? 0 : errno;
  return error;
}

class OpenDeviceTest : public testing::Test {
 protected:
  OpenDeviceTest() {
    path_ = testing::TempDir() + "hlbuf-open-XXXXXX";
    EXPECT_NE(::mkdtemp(path_.data()), nullptr);
  }
  ~OpenDeviceTest() override { std::filesystem::remove_all(path_); }
  std::string path_;
};

TEST_F(OpenDeviceTest, OpensACharacterDeviceForReadingAndWritingCloseOnExec) {
  const UniqueFd device = OpenDevice("/dev/zero", Opens::kCharacterDevices);
  ASSERT_TRUE(device);
  EXPECT_EQ(::fcntl(device.get(), F_GETFL) & O_ACCMODE, O_RDWR);
  EXPECT_EQ(::fcntl(device.get(), F_GETFD), FD_CLOEXEC);
}

TEST_F(OpenDeviceTest, RefusesPathsThatAreNotWhatTheySeem) {
  const std::string with_nul("/dev/zero\0x", 11);
  for (const std::string& path :
       {std::string(), std::string("zero"), std::string("./zero"), std::string("/dev/../dev/zero"),
        std::string("/dev/.."), std::string("/.."), with_nul})
    EXPECT_EQ(WhyNot(path, Opens::kAnything), EINVAL) << path;
  EXPECT_NE(WhyNot("/dev/..zero"), EINVAL) << "only a whole name goes up";
}

TEST_F(OpenDeviceTest, JudgesWhatIsThereAndNotItsName) {
  const std::string file = path_ + "/accel0";
  ASSERT_TRUE(UniqueFd(::open(file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600)));
  const std::string fifo = path_ + "/fifo";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  const std::string link = path_ + "/link";
  std::filesystem::create_symlink("/dev/zero", link);
  EXPECT_EQ(WhyNot(file), ENOTTY);
  EXPECT_EQ(WhyNot(fifo), ENOTTY);
  EXPECT_EQ(WhyNot(link), 0);
  EXPECT_EQ(WhyNot(file, Opens::kAnything), 0);
}

TEST_F(OpenDeviceTest, TellsTheErrnoOfTheKernel) {
  EXPECT_EQ(WhyNot(path_ + "/missing"), ENOENT);
  EXPECT_EQ(WhyNot(path_), EISDIR);
}

}  // namespace
}  // namespace hlbuf
