// SPDX-License-Identifier: Apache-2.0
#include "client/ctl/listener_process.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "proto/wire/unique_fd.h"
#include "tests/support/child.h"
#include "tests/support/forked.h"

namespace hlbuf::ctl {
namespace {

class FindListenerTest : public testing::Test {
 protected:
  FindListenerTest() {
    path_.copy(address_.sun_path, sizeof(address_.sun_path) - 1);
    EXPECT_EQ(::bind(socket_.get(), address(), sizeof(address_)), 0);
  }
  const sockaddr* address() const { return reinterpret_cast<const sockaddr*>(&address_); }
  void Listen() { ASSERT_EQ(::listen(socket_.get(), 8), 0); }

  const TemporaryDirectory directory_;
  const std::string path_ = directory_.path() + "/control sock";
  UniqueFd socket_{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  sockaddr_un address_ = {.sun_family = AF_UNIX};
};

TEST_F(FindListenerTest, TellsWhoMadeTheSocketListen) {
  Listen();
  const auto found = FindListener(path_);
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->pid, ::getpid());
  EXPECT_EQ(found->uid, ::geteuid());
}

TEST_F(FindListenerTest, TellsWhoWasPassedTheSocketByWhoMadeIt) {
  Listen();
  Gate end;
  const Forked service([&] { end.Pass(); });
  const auto found = FindListener(path_);
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->pid, service.pid());
  EXPECT_EQ(found->uid, ::geteuid());
  end.Open();
}

TEST_F(FindListenerTest, TakesNobodyForItWhoIsOnlyConnected) {
  Listen();
  Gate connected, end;
  const Forked client([&] {
    socket_.Reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::connect(socket_.get(), address(), sizeof(address_)), 0);
    connected.Open();
    end.Pass();
  });
  ASSERT_TRUE(connected.Pass());
  const auto found = FindListener(path_);
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->pid, ::getpid());
  end.Open();
}

TEST_F(FindListenerTest, FindsNobodyWhereNobodyListens) {
  EXPECT_FALSE(FindListener(path_).has_value());
  EXPECT_FALSE(FindListener(directory_.path() + "/nothing").has_value());
  EXPECT_FALSE(FindListener(std::string(200, 'x')).has_value());
}

}  // namespace
}  // namespace hlbuf::ctl
