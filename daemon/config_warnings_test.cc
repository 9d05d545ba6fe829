// SPDX-License-Identifier: Apache-2.0
#include "daemon/config_warnings.h"

#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "tests/support/fake_machine.h"

namespace hlbuf {
namespace {

Config ConfigOf(absl::string_view text) {
  const absl::StatusOr<Config> config = ParseConfig(text, "f.toml", FakeMachine());
  EXPECT_TRUE(config.ok()) << config.status();
  return config.value_or(Config());
}

TEST(ConfigWarnings, AreNoneForTheDefaultsOfAnInstalledService) {
  EXPECT_TRUE(WarningsOf(ConfigOf(""), {.other_users = false, .vouched_clients = false}).empty());
}

TEST(ConfigWarnings, NameTheClientsGroupThatIsMissing) {
  Machine machine = FakeMachine();
  machine.find_group = [](const std::string&) { return std::nullopt; };
  const absl::StatusOr<Config> config = ParseConfig("", "f.toml", machine);
  ASSERT_TRUE(config.ok());
  const std::vector<std::string> warnings = WarningsOf(*config, {});
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_TRUE(absl::StrContains(warnings[0], "there is no group hl-bufd-clients; only"));
}

TEST(ConfigWarnings, SayWhatKeepsEnforcementFromSignalling) {
  const Config config = ConfigOf("[enforcement]\nrevocations = \"kill\"\n");
  EXPECT_TRUE(WarningsOf(config, {}).empty());
  const std::vector<std::string> all =
      WarningsOf(config, {.other_users = false, .vouched_clients = false});
  ASSERT_EQ(all.size(), 2u);
  EXPECT_TRUE(absl::StrContains(all[0], "the drop-in enforcement.conf"));
  EXPECT_TRUE(absl::StrContains(all[1], "Linux 6.5"));
}

TEST(ConfigWarnings, SayThatAResetWithoutTimeSignalsNobody) {
  const std::vector<std::string> warnings =
      WarningsOf(ConfigOf("[enforcement]\nresets = \"terminate\"\n[timing]\nreset_grace = "
                          "\"500ms\"\n"),
                 {});
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_TRUE(absl::StrContains(warnings[0], "raise reset_grace"));
}

}  // namespace
}  // namespace hlbuf
