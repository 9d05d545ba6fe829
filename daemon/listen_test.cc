// SPDX-License-Identifier: Apache-2.0
#include "daemon/listen.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

namespace hlbuf {
namespace {

class ListenTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "listen.XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    top = name;
    wanted = {.name = "clients",
              .key = "sockets.client",
              .path = top + "/client/buf.sock",
              .type = SOCK_SEQPACKET,
              .mode = 0660,
              .group = std::nullopt};
  }
  void TearDown() override { std::filesystem::remove_all(top); }

  // A socket as a service manager makes it.
  UniqueFd Made(const std::string& path, int type, mode_t mode = 0660) {
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    absl::StatusOr<ListeningSocket> made = ListenAt(path, type, mode, std::nullopt);
    EXPECT_TRUE(made.ok()) << made.status();
    files.push_back(std::move(made->file));
    return std::move(made->socket);
  }
  static PassedDescriptors Passed(const std::string& name, UniqueFd fd) {
    std::vector<std::pair<std::string, UniqueFd>> named;
    named.emplace_back(name, std::move(fd));
    return PassedDescriptors(std::move(named));
  }
  void ExpectRefused(PassedDescriptors passed, const std::string& what) {
    const absl::StatusOr<ListeningSocket> socket = Listen(wanted, passed);
    EXPECT_FALSE(socket.ok());
    EXPECT_NE(socket.status().message().find(what), absl::string_view::npos) << socket.status();
  }

  std::string top;
  WantedSocket wanted;
  std::vector<SocketFile> files;
};

TEST_F(ListenTest, AdoptsTheSocketThatTheServiceManagerMade) {
  UniqueFd made = Made(wanted.path, SOCK_SEQPACKET);
  const int number = made.get();
  ASSERT_EQ(::fcntl(number, F_SETFL, 0), 0);
  PassedDescriptors passed = Passed("clients", std::move(made));
  {
    const absl::StatusOr<ListeningSocket> socket = Listen(wanted, passed);
    ASSERT_TRUE(socket.ok()) << socket.status();
    EXPECT_EQ(socket->socket.get(), number);
    EXPECT_NE(::fcntl(number, F_GETFL) & O_NONBLOCK, 0);
  }
  EXPECT_TRUE(std::filesystem::exists(wanted.path)) << "the next life of the service gets it again";
}

TEST_F(ListenTest, MakesOneOfItsOwnAndItsDirectoryWhereNoneWasPassed) {
  PassedDescriptors passed = Passed("control", Made(top + "/x.sock", SOCK_STREAM));
  ::umask(0077);
  {
    const absl::StatusOr<ListeningSocket> socket = Listen(wanted, passed);
    ASSERT_TRUE(socket.ok()) << socket.status();
    EXPECT_TRUE(std::filesystem::exists(wanted.path));
    struct stat at = {};
    ASSERT_EQ(::stat((top + "/client").c_str(), &at), 0);
    EXPECT_EQ(at.st_mode & 0777, 0755u);
  }
  EXPECT_FALSE(std::filesystem::exists(wanted.path));
  EXPECT_EQ(passed.Left(), std::vector<std::string>{"control"});
}

TEST_F(ListenTest, RefusesASocketOfAnotherType) {
  ExpectRefused(Passed("clients", Made(wanted.path, SOCK_STREAM)),
                "\"clients\" that is no listening unix socket of packets");
}

TEST_F(ListenTest, RefusesASocketThatDoesNotListen) {
  ExpectRefused(Passed("clients", UniqueFd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0))),
                "is no listening unix socket");
  ExpectRefused(Passed("clients", UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC))),
                "is no listening unix socket");
}

TEST_F(ListenTest, RefusesASocketAtAnotherPathThanIsConfigured) {
  ExpectRefused(Passed("clients", Made(top + "/other.sock", SOCK_SEQPACKET)),
                "listens at " + top + "/other.sock, and sockets.client is " + wanted.path);
}

TEST_F(ListenTest, RefusesASocketWithoutPath) {
  UniqueFd abstract(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  sockaddr bare = {.sa_family = AF_UNIX, .sa_data = {}};
  ASSERT_EQ(::bind(abstract.get(), &bare, sizeof(sa_family_t)), 0);  // the kernel chooses a name
  ASSERT_EQ(::listen(abstract.get(), 1), 0);
  ExpectRefused(Passed("clients", std::move(abstract)), "listens at no path");
}

TEST_F(ListenTest, RefusesASocketThatLetsInMoreThanTheConfiguration) {
  ExpectRefused(Passed("clients", Made(wanted.path, SOCK_SEQPACKET, 0666)), "mode 0666");
}

TEST_F(ListenTest, RefusesADirectoryThatOthersMayWriteTo) {
  std::filesystem::create_directories(top + "/client");
  ASSERT_EQ(::chmod((top + "/client").c_str(), 0777), 0);
  ExpectRefused(PassedDescriptors(), top + "/client has mode 0777");
  ExpectRefused(Passed("clients", Made(wanted.path, SOCK_SEQPACKET)), "/client has mode 0777");
}

}  // namespace
}  // namespace hlbuf
