// SPDX-License-Identifier: Apache-2.0
// deploy/config/hl-bufd.toml against the reader.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "daemon/config.h"
#include "tests/support/fake_machine.h"

namespace hlbuf {
namespace {

Config Parsed(absl::string_view text) {
  absl::StatusOr<Config> config = ParseConfig(text, "f.toml", FakeMachine());
  EXPECT_TRUE(config.ok()) << config.status();
  return config.ok() ? *std::move(config) : Config();
}

std::string Complaint(absl::string_view text) {
  const absl::StatusOr<Config> config = ParseConfig(text, "f.toml", FakeMachine());
  EXPECT_EQ(config.status().code(), absl::StatusCode::kInvalidArgument) << text;
  return std::string(config.status().message());
}

std::string ReadFile(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  EXPECT_FALSE(text.str().empty()) << path;
  return text.str();
}

std::string ExamplePath() {
  const char* source = getenv("HLBUF_SOURCE_DIR");
  return absl::StrCat(source != nullptr ? source : ".", "/deploy/config/hl-bufd.toml");
}

TEST(ConfigExample, IsLoaded) {
  const absl::StatusOr<Config> config = LoadConfig(ExamplePath(), FakeMachine());
  EXPECT_TRUE(config.ok()) << config.status();
}

TEST(ConfigExample, IsTheDefaults) {
  const Config example = Parsed(ReadFile(ExamplePath()));
  const Config defaults = Parsed("");
  EXPECT_EQ(example.devices.size(), defaults.devices.size());
  EXPECT_EQ(example.caps.limits.service, defaults.caps.limits.service);
  EXPECT_EQ(example.sockets.client, defaults.sockets.client);
}

// With each commented-out key switched on. Explanations have a space behind their '#', keys have
// none.
std::string SwitchedOn(const std::string& example) {
  std::vector<std::string> lines = absl::StrSplit(example, '\n');
  for (std::string& line : lines)
    if (line.size() > 1 && line[0] == '#' && line[1] != ' ') line.erase(0, 1);
  return absl::StrJoin(lines, "\n");
}

TEST(ConfigExample, ShowsEveryKeyWithItsDefaultOrSomethingThatIsAllowed) {
  Machine machine = FakeMachine();
  machine.find_group = [](const std::string&) { return 900; };
  const std::string text = absl::StrReplaceAll(
      SwitchedOn(ReadFile(ExamplePath())), {{"\"software0\"\n\n[sockets]", "\"host\"\n\n[sockets]"},
                                            {"kind = \"udmabuf\"", "kind = \"dma-heap\""},
                                            {"pci = \"0000:19:00.0\"\n", ""},
                                            {"[\"gaudi0\"]", "[\"host\"]"}});
  const absl::StatusOr<Config> config = ParseConfig(text, "hl-bufd.toml", machine);
  ASSERT_TRUE(config.ok()) << config.status();
  const Config defaults = Parsed("");
  EXPECT_EQ(config->sockets.client, defaults.sockets.client);
  EXPECT_EQ(config->sockets.client_mode, defaults.sockets.client_mode);
  EXPECT_EQ(config->sockets.clients_group, defaults.sockets.clients_group);
  EXPECT_EQ(config->sockets.control, defaults.sockets.control);
  EXPECT_EQ(config->sockets.holders, defaults.sockets.holders);
  EXPECT_EQ(config->sockets.keeper, defaults.sockets.keeper);
  EXPECT_EQ(config->timing.hello_timeout, defaults.timing.hello_timeout);
  EXPECT_EQ(config->timing.operator_grace, defaults.timing.operator_grace);
  EXPECT_EQ(config->timing.reset_grace, defaults.timing.reset_grace);
  EXPECT_EQ(config->timing.ping_interval, defaults.timing.ping_interval);
  EXPECT_EQ(config->enforcement.resets, defaults.enforcement.resets);
  EXPECT_EQ(config->enforcement.revocations, defaults.enforcement.revocations);
  EXPECT_EQ(config->log_level, defaults.log_level);
  EXPECT_EQ(config->rules.size(), 1u);
  for (std::size_t r = 1; r < kResourceCount; ++r) {
    EXPECT_EQ(config->caps.limits.service[r], defaults.caps.limits.service[r]);
    EXPECT_EQ(config->caps.limits.uid[r], defaults.caps.limits.uid[r]);
    EXPECT_EQ(config->caps.limits.domain[r], defaults.caps.limits.domain[r]);
  }
}

TEST(ConfigExample, ShowsACard) {
  const std::string text =
      absl::StrReplaceAll(SwitchedOn(ReadFile(ExamplePath())),
                          {{"default_device = \"software0\"", "default_device = \"host\""},
                           {"kind = \"udmabuf\"", "kind = \"habanalabs\""},
                           {"heap = \"system\"\n", ""},
                           {"[\"gaudi0\"]", "[\"host\"]"}});
  Machine machine = FakeMachine();
  machine.find_group = [](const std::string&) { return 900; };
  const absl::StatusOr<Config> config = ParseConfig(text, "hl-bufd.toml", machine);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->devices[0].pci, "0000:19:00.0");
}

// What the reader says that a table may have.
std::vector<std::string> KnownKeys(absl::string_view header) {
  const std::string complaint = Complaint(absl::StrCat(header, "\nno-such-key = 1\n"));
  for (absl::string_view line : absl::StrSplit(complaint, '\n')) {
    const std::size_t list = line.find("unknown key; expected ");
    if (list == absl::string_view::npos) continue;
    return absl::StrSplit(line.substr(line.find("expected ") + 9), ", ");
  }
  ADD_FAILURE() << complaint;
  return {};
}

TEST(ConfigExample, LeavesNoKeyOut) {
  const std::string example = SwitchedOn(ReadFile(ExamplePath()));
  for (const char* table : {"", "[sockets]", "[roles]", "[control_tcp]", "[[device]]", "[[rule]]",
                            "[limits]", "[limits.service]", "[limits.uid]", "[limits.domain]",
                            "[timing]", "[enforcement]", "[log]"}) {
    const std::size_t begin = example.find(std::string(absl::StripSuffix(table, "]")));
    ASSERT_NE(begin, std::string::npos) << table;
    for (const std::string& key : KnownKeys(table)) {
      const bool there = absl::StrContains(example.substr(begin), absl::StrCat("\n", key, " = ")) ||
                         absl::StrContains(example, absl::StrCat("[", key)) ||
                         absl::StrContains(example, absl::StrCat("[limits.", key));
      EXPECT_TRUE(there) << table << " " << key;
    }
  }
}

}  // namespace
}  // namespace hlbuf
