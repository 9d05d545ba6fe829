// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <utility>

#include "daemon/session/listen_at.h"
#include "tests/support/forked.h"
#include "tests/support/raw_client.h"

namespace hlbuf {
namespace {

using absl::StatusCode;

class ListenAtTest : public testing::Test {
 protected:
  ListenAtTest() {
    char directory[] = "/tmp/hlbuf-listen-XXXXXX";
    directory_ = ::mkdtemp(directory);
    path_ = directory_ + "/s";
  }
  ~ListenAtTest() override { std::filesystem::remove_all(directory_); }

  absl::StatusOr<ListeningSocket> Listen(int type = SOCK_SEQPACKET) const {
    return ListenAt(path_, type, 0660, std::nullopt);
  }
  // As a daemon that was killed leaves it.
  void LeaveBehind() const {
    const UniqueFd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    path_.copy(address.sun_path, sizeof(address.sun_path) - 1);
    ASSERT_EQ(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  }
  struct stat Stat() const {
    struct stat at = {};
    EXPECT_EQ(::lstat(path_.c_str(), &at), 0);
    return at;
  }

  std::string directory_;
  std::string path_;
};

int Option(const UniqueFd& socket, int option) {
  int value = -1;
  socklen_t bytes = sizeof(value);
  EXPECT_EQ(::getsockopt(socket.get(), SOL_SOCKET, option, &value, &bytes), 0);
  return value;
}

// A connection that does not wait for room in the backlog; errno, or 0.
int ConnectAtOnce(const std::string& path, UniqueFd& socket) {
  socket.Reset(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  const auto* generic = reinterpret_cast<const sockaddr*>(&address);
  return ::connect(socket.get(), generic, sizeof(address)) == 0 ? 0 : errno;
}

TEST_F(ListenAtTest, TakesConnectionsOfItsType) {
  for (const int type : {SOCK_SEQPACKET, SOCK_STREAM}) {
    const absl::StatusOr<ListeningSocket> socket = Listen(type);
    ASSERT_TRUE(socket.ok()) << socket.status();
    EXPECT_EQ(Option(socket->socket, SO_TYPE), type);
    EXPECT_EQ(Option(socket->socket, SO_ACCEPTCONN), 1);
    EXPECT_EQ(::fcntl(socket->socket.get(), F_GETFD), FD_CLOEXEC);
    EXPECT_NE(::fcntl(socket->socket.get(), F_GETFL) & O_NONBLOCK, 0);
    EXPECT_EQ(static_cast<bool>(RawClient::Connect(path_)), type == SOCK_SEQPACKET);
  }
}

TEST_F(ListenAtTest, HasTheModeWhateverTheUmask) {
  for (const mode_t mode : {0600U, 0660U, 0666U}) {
    for (const mode_t mask : {0U, 0077U, 0777U}) {
      const mode_t before = ::umask(mask);
      const absl::StatusOr<ListeningSocket> socket =
          ListenAt(path_, SOCK_STREAM, mode, std::nullopt);
      EXPECT_EQ(::umask(before), mask) << "the umask was not put back";
      ASSERT_TRUE(socket.ok()) << socket.status();
      EXPECT_EQ(Stat().st_mode & 07777, mode);
    }
  }
}

TEST_F(ListenAtTest, BelongsToTheGroup) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give a file to any group";
  const absl::StatusOr<ListeningSocket> socket = ListenAt(path_, SOCK_SEQPACKET, 0660, 4321);
  ASSERT_TRUE(socket.ok()) << socket.status();
  EXPECT_EQ(Stat().st_gid, 4321U);
  EXPECT_EQ(Stat().st_uid, ::geteuid());
}

TEST_F(ListenAtTest, TakesThePlaceOfADaemonThatHasEnded) {
  LeaveBehind();
  ASSERT_TRUE(S_ISSOCK(Stat().st_mode));
  ASSERT_FALSE(RawClient::Connect(path_));
  const absl::StatusOr<ListeningSocket> socket = Listen();
  ASSERT_TRUE(socket.ok()) << socket.status();
  EXPECT_TRUE(RawClient::Connect(path_));
}

TEST_F(ListenAtTest, LeavesNoFileWhenItEnds) {
  {
    ListeningSocket socket = *Listen();
    const SocketFile moved = std::move(socket.file);
    socket.file.Remove();
    EXPECT_TRUE(std::filesystem::exists(path_)) << "it was moved from";
  }
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(ListenAtTest, LeavesTheFileOfWhoTookItsPlace) {
  absl::StatusOr<ListeningSocket> first = Listen();
  ASSERT_EQ(::rename(path_.c_str(), (path_ + ".old").c_str()), 0);
  const absl::StatusOr<ListeningSocket> second = Listen();
  ASSERT_TRUE(second.ok()) << second.status();
  first->file.Remove();
  EXPECT_TRUE(RawClient::Connect(path_));
}

// The rest of a test as somebody who is not root.
void AsNobodySpecial(absl::FunctionRef<void()> body) {
  Forked process([&] {
    if (::geteuid() == 0) {
      ASSERT_EQ(::setgroups(0, nullptr), 0);
      ASSERT_EQ(::setresgid(34'567, 34'567, 34'567), 0);
      ASSERT_EQ(::setresuid(34'567, 34'567, 34'567), 0);
    }
    body();
  });
  process.ExpectToSucceed();
}

TEST_F(ListenAtTest, LeavesNoFileWhenItFails) {
  std::filesystem::permissions(directory_, std::filesystem::perms::all);
  AsNobodySpecial([this] {
    const auto socket = ListenAt(path_, SOCK_SEQPACKET, 0660, 4321);
    EXPECT_EQ(socket.status().code(), StatusCode::kPermissionDenied) << socket.status();
    EXPECT_FALSE(std::filesystem::exists(path_));
  });
}

TEST_F(ListenAtTest, SaysWhatToDoAboutASocketThatItMayNotConnectTo) {
  std::filesystem::permissions(directory_, std::filesystem::perms::all);
  LeaveBehind();
  ASSERT_EQ(::chmod(path_.c_str(), 0), 0);
  AsNobodySpecial([this] {
    const absl::Status status = Listen().status();
    EXPECT_EQ(status.code(), StatusCode::kPermissionDenied) << status;
    for (const char* part : {"socket of uid ", "remove it", path_.c_str()})
      EXPECT_NE(status.message().find(part), absl::string_view::npos) << status;
    EXPECT_TRUE(std::filesystem::exists(path_));
  });
}

TEST_F(ListenAtTest, DoesNotPushALiveDaemonAside) {
  const absl::StatusOr<ListeningSocket> first = Listen();
  const absl::Status second = Listen().status();
  EXPECT_EQ(second.code(), StatusCode::kAlreadyExists);
  EXPECT_NE(second.message().find(path_), absl::string_view::npos) << second;
  EXPECT_TRUE(RawClient::Connect(path_)) << "the first one is not reached any more";
}

TEST_F(ListenAtTest, DoesNotPushAsideWhoListensWithAnotherType) {
  const absl::StatusOr<ListeningSocket> first = Listen(SOCK_STREAM);
  EXPECT_EQ(Listen(SOCK_SEQPACKET).status().code(), StatusCode::kAlreadyExists);
}

TEST_F(ListenAtTest, DoesNotWaitForADaemonThatTakesNoConnections) {
  const absl::StatusOr<ListeningSocket> first = Listen();
  ASSERT_EQ(::listen(first->socket.get(), 0), 0);
  UniqueFd waiting[2];
  ASSERT_EQ(ConnectAtOnce(path_, waiting[0]), 0);
  ASSERT_EQ(ConnectAtOnce(path_, waiting[1]), EAGAIN);
  EXPECT_EQ(Listen().status().code(), StatusCode::kAlreadyExists);
}

TEST_F(ListenAtTest, RemovesNothingThatIsNoSocket) {
  const auto refuse = [this] {
    const absl::Status status = Listen().status();
    EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition) << status;
    EXPECT_NE(status.message().find(path_), absl::string_view::npos) << status;
    EXPECT_TRUE(std::filesystem::exists(std::filesystem::symlink_status(path_)));
    std::filesystem::remove(path_);
  };
  std::ofstream(path_) << "precious";
  refuse();
  std::filesystem::create_directory(path_);
  refuse();
  std::filesystem::create_symlink("elsewhere", path_);
  refuse();
}

TEST_F(ListenAtTest, TakesTheLongestPathAndRefusesALongerOne) {
  const std::size_t longest = sizeof(sockaddr_un::sun_path) - 1;
  path_ = directory_ + "/" + std::string(longest - directory_.size() - 1, 'x');
  EXPECT_TRUE(Listen().ok()) << Listen().status();
  path_ += 'x';
  const absl::Status status = Listen().status();
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_NE(status.message().find("107"), absl::string_view::npos) << status;
}

TEST_F(ListenAtTest, RefusesWhatWouldBeAnAbstractName) {
  for (const std::string& path : {std::string(), std::string("\0hl-bufd", 8), path_ + '\0'}) {
    path_ = path;
    EXPECT_EQ(Listen().status().code(), StatusCode::kInvalidArgument);
  }
}

TEST_F(ListenAtTest, SaysWhichPathItCouldNotMake) {
  path_ = directory_ + "/nowhere/s";
  const absl::Status status = Listen().status();
  EXPECT_EQ(status.code(), StatusCode::kNotFound);
  EXPECT_NE(status.message().find(path_), absl::string_view::npos) << status;
}

}  // namespace
}  // namespace hlbuf
