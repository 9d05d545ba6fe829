// SPDX-License-Identifier: Apache-2.0
// SIGHUP, without systemd.
#include <gtest/gtest.h>

#include <csignal>
#include <fstream>
#include <thread>

#include "tests/support/daemon_process.h"
#include "tests/support/library_client.h"
#include "tests/support/texts.h"

namespace hlbuf {
namespace {

constexpr std::uint64_t kBytes = 64 << 10;

int CountOf(const std::string& text, const std::string& what) {
  int count = 0;
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1))
    ++count;
  return count;
}

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
  void ReloadMoreThanAManagerTakes() {
    for (int reload = 1; reload <= 20; ++reload) {
      daemon().Signal(SIGHUP);
      ASSERT_TRUE(Eventually([&] {
        return CountOf(daemon().Log(), "the configuration was read again and holds") == reload;
      })) << reload;
    }
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

// Its socket takes some messages, and then none.
TEST_F(ReloadSignal, IsTakenWhileTheServiceManagerStandsStill) {
  LibraryClient alice(Alice(), daemon().client_socket());
  const HeldBuffer made = alice.Allocate(kBytes);
  Supervisor& manager = daemon().supervisor();
  manager.SetReading(false);
  ReloadMoreThanAManagerTakes();
  alice.Write(made, "still hers");
  EXPECT_EQ(alice.Read(alice.Open(made.id), 10), "still hers");
  manager.SetReading(true);
  EXPECT_TRUE(Eventually([&] { return manager.status() == "Serving dev0 (READY)"; }))
      << manager.status();
}

TEST_F(ReloadSignal, IsNotTheLastThatASlowServiceManagerHearsOfAServiceThatStops) {
  Supervisor& manager = daemon().supervisor();
  manager.SetReading(false);
  ReloadMoreThanAManagerTakes();
  std::thread reader([&] {
    EXPECT_TRUE(IsLogged("stopping on"));
    manager.SetReading(true);
  });
  EXPECT_EQ(daemon().Stop(), 0);
  reader.join();
  EXPECT_EQ(manager.status(), "Stopping: clients are told");
}

}  // namespace
}  // namespace hlbuf
