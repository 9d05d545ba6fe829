// SPDX-License-Identifier: Apache-2.0
// SIGHUP, without a service manager.
#include <gtest/gtest.h>

#include <csignal>
#include <fstream>

#include "tests/support/daemon_process.h"
#include "tests/support/library_client.h"
#include "tests/support/texts.h"

namespace hlbuf {
namespace {

constexpr std::uint64_t kBytes = 64 << 10;

class ReloadSignal : public DaemonTest {
 protected:
  ReloadSignal() { Start(); }
  void Add(const std::string& toml) {
    std::ofstream(daemon().config_path(), std::ios::app) << toml;
    daemon().Signal(SIGHUP);
  }
  bool IsLogged(const std::string& text) {
    return Eventually([&] { return daemon().Log().find(text) != std::string::npos; });
  }
};

TEST_F(ReloadSignal, BringsNewRulesAndLeavesSessionsAlone) {
  LibraryClient alice(Alice(), daemon().client_socket());
  const HeldBuffer made = alice.Allocate(kBytes);
  Add("[[rule]]\nname = \"none\"\neffect = \"deny\"\nverbs = [\"allocate\"]\n");
  ASSERT_TRUE(IsLogged("the configuration was read again"));
  EXPECT_TRUE(Contains(alice.RefusalToAllocate(kBytes), "rule 'none'"));
  alice.Write(made, "still hers");
  EXPECT_EQ(alice.Read(alice.Open(made.id), 10), "still hers");
}

TEST_F(ReloadSignal, ChangesNothingWhenTheConfigurationIsBad) {
  LibraryClient alice(Alice(), daemon().client_socket());
  Add("[[rule]]\nname = \"none\"\neffect = \"deny\"\n[log]\nlevel = \"loud\"\n");
  ASSERT_TRUE(IsLogged("log.level: found \"loud\""));
  EXPECT_EQ(alice.Allocate(kBytes).size_bytes, kBytes);
}

}  // namespace
}  // namespace hlbuf
