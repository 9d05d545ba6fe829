// SPDX-License-Identifier: Apache-2.0
// Threat 15: whoever can write to the directory of a socket can put his own in its place.
#include "daemon/session/socket_place.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "proto/wire/unique_fd.h"

namespace hlbuf {
namespace {

constexpr uid_t kStranger = 64'101;

class SocketPlace : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "socket_place.XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    top = name;
    directory = top + "/run";
    path = directory + "/buf.sock";
    Make(directory, 0755);
  }
  void TearDown() override { std::filesystem::remove_all(top); }

  static void Make(const std::string& directory, mode_t mode) {
    ASSERT_EQ(::mkdir(directory.c_str(), mode), 0);
    ASSERT_EQ(::chmod(directory.c_str(), mode), 0);
  }
  static void Own(const std::string& what, uid_t uid, gid_t gid = 0) {
    ASSERT_EQ(::lchown(what.c_str(), uid, gid), 0);
  }
  UniqueFd Bind(mode_t mode) const {
    UniqueFd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof(address.sun_path) - 1);
    EXPECT_EQ(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    EXPECT_EQ(::chmod(path.c_str(), mode), 0);
    return socket;
  }
  void ExpectRefused(const absl::Status& status, const std::string& what) const {
    EXPECT_EQ(status.code(), absl::StatusCode::kPermissionDenied) << status;
    EXPECT_NE(status.message().find(what), absl::string_view::npos) << status;
  }

  std::string top;
  std::string directory;
  std::string path;
};

TEST_F(SocketPlace, IsGoodWhereOnlyRootAndTheServiceCanWrite) {
  EXPECT_TRUE(CheckSocketPlace(path).ok()) << CheckSocketPlace(path);
}

TEST_F(SocketPlace, IsBadWhereAGroupOrEverybodyCanWrite) {
  for (const mode_t mode : {0775, 0757, 0777, 01777}) {
    ASSERT_EQ(::chmod(directory.c_str(), mode), 0);
    ExpectRefused(CheckSocketPlace(path), directory + " has mode");
  }
}

TEST_F(SocketPlace, IsBadInADirectoryOfAnotherUser) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  Own(directory, kStranger);
  ExpectRefused(CheckSocketPlace(path), directory + " belongs to uid 64101");
}

TEST_F(SocketPlace, IsBadWhereADirectoryAboveCanBeReplaced) {
  ASSERT_EQ(::chmod(top.c_str(), 0777), 0);
  ExpectRefused(CheckSocketPlace(path), top + " has mode 0777");
  ASSERT_EQ(::chmod(top.c_str(), 01777), 0);
  EXPECT_TRUE(CheckSocketPlace(path).ok()) << "the sticky bit protects what is there";
}

TEST_F(SocketPlace, IsLookedAtBehindSymbolicLinks) {
  const std::string open_to_all = top + "/open";
  Make(open_to_all, 0777);
  std::filesystem::create_symlink(open_to_all, top + "/link");
  ExpectRefused(CheckSocketPlace(top + "/link/buf.sock"), open_to_all + " has mode 0777");
  std::filesystem::create_symlink(directory, top + "/good");
  EXPECT_TRUE(CheckSocketPlace(top + "/good/buf.sock").ok());
}

TEST_F(SocketPlace, IsBadBehindALinkOfAnotherUser) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  std::filesystem::create_symlink(directory, top + "/link");
  Own(top + "/link", kStranger);
  ExpectRefused(CheckSocketPlace(top + "/link/buf.sock"), "/link belongs to uid 64101");
}

TEST_F(SocketPlace, HasToBeThere) {
  EXPECT_EQ(CheckSocketPlace(top + "/none/buf.sock").code(), absl::StatusCode::kNotFound);
}

TEST_F(SocketPlace, HasASocketThatLetsNobodyInWhomTheConfigurationDoesNot) {
  const UniqueFd socket = Bind(0660);
  EXPECT_TRUE(CheckBoundSocket(path, 0660, std::nullopt).ok());
  EXPECT_TRUE(CheckBoundSocket(path, 0666, std::nullopt).ok());
  ExpectRefused(CheckBoundSocket(path, 0600, std::nullopt), "mode 0660");
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  Own(path, 0, 4711);
  EXPECT_TRUE(CheckBoundSocket(path, 0660, 4711).ok());
  ExpectRefused(CheckBoundSocket(path, 0660, 4712), "lets group 4711 connect");
}

TEST_F(SocketPlace, HasASocketOfRootOrTheService) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  const UniqueFd socket = Bind(0660);
  Own(path, kStranger);
  ExpectRefused(CheckBoundSocket(path, 0660, std::nullopt), "belongs to uid 64101");
}

TEST_F(SocketPlace, HasNoOtherFileInThePlaceOfTheSocket) {
  std::ofstream(path) << "x";
  ExpectRefused(CheckBoundSocket(path, 0660, std::nullopt), "is no socket any more");
  std::filesystem::remove(path);
  EXPECT_EQ(CheckBoundSocket(path, 0660, std::nullopt).code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace hlbuf
