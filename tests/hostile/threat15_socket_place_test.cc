// SPDX-License-Identifier: Apache-2.0
// Whoever can write to the directory of a socket puts his own there, and is asked instead of the
// service: it does not start in such a place.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "tests/support/daemon_process.h"
#include "tests/support/texts.h"

namespace hlbuf {
namespace {

class SocketPlace : public testing::Test {
 protected:
  SocketPlace() {
    for (const char* name : {"client", "control"}) {
      std::filesystem::create_directory(top_.path() + "/" + name);
      EXPECT_EQ(::chmod((top_.path() + "/" + name).c_str(), 0755), 0);
    }
    std::ofstream(config_) << "[sockets]\nclient = \"" << top_.path()
                           << "/client/buf.sock\"\ncontrol = \"" << top_.path()
                           << "/control/control.sock\"\n";
  }
  void ExpectRefused(const std::string& why) const {
    const Finished finished = RunDaemonWith({"--config", config_});
    EXPECT_EQ(finished.exit_status, 1);
    EXPECT_TRUE(Contains(finished.output, top_.path() + why));
  }

  TemporaryDirectory top_;
  std::string config_ = top_.path() + "/hl-bufd.toml";
};

TEST_F(SocketPlace, IsRefusedWhereOthersMayWrite) {
  for (const char* name : {"/client", "/control"}) {
    const std::string directory = top_.path() + name;
    ASSERT_EQ(::chmod(directory.c_str(), 0777), 0);
    ExpectRefused(std::string(name) + " has mode 0777");
    ASSERT_EQ(::chmod(directory.c_str(), 0755), 0);
  }
}

TEST_F(SocketPlace, IsRefusedInSomebodysDirectory) {
  ASSERT_EQ(::chown((top_.path() + "/client").c_str(), 64'003, 64'003), 0);
  ExpectRefused("/client belongs to uid 64003");
}

TEST_F(SocketPlace, IsRefusedBehindSomebodysLink) {
  std::filesystem::rename(top_.path() + "/client", top_.path() + "/real");
  std::filesystem::create_symlink(top_.path() + "/real", top_.path() + "/client");
  ASSERT_EQ(::lchown((top_.path() + "/client").c_str(), 64'003, 64'003), 0);
  ExpectRefused("/client belongs to uid 64003");
}

}  // namespace
}  // namespace hlbuf
