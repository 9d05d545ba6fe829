// SPDX-License-Identifier: Apache-2.0
#include "daemon/config.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace hlbuf {
namespace {

constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;

Machine TestMachine() {
  return {.nofile = 20'000,
          .memory_bytes = 32 * kGiB,
          .find_group = [](const std::string& name) -> std::optional<gid_t> {
            if (name == "hl-bufd-clients") return 900;
            if (name == "operators") return 901;
            if (name == "nogroup") return 65534;
            return std::nullopt;
          }};
}

Config Parsed(absl::string_view text) {
  absl::StatusOr<Config> config = ParseConfig(text, "f.toml", TestMachine());
  EXPECT_TRUE(config.ok()) << config.status();
  return config.ok() ? *std::move(config) : Config();
}

std::string Complaint(absl::string_view text) {
  const absl::StatusOr<Config> config = ParseConfig(text, "f.toml", TestMachine());
  EXPECT_EQ(config.status().code(), absl::StatusCode::kInvalidArgument) << text;
  return std::string(config.status().message());
}

TEST(Config, IsOneSoftwareDeviceWhenNothingIsConfigured) {
  const Config config = Parsed("");
  ASSERT_EQ(config.devices.size(), 1u);
  EXPECT_EQ(config.devices[0].name, "software0");
  EXPECT_EQ(config.devices[0].kind, "software");
  EXPECT_EQ(config.devices[0].size_bytes, 16 * kGiB);
  EXPECT_TRUE(config.devices[0].drills);
  EXPECT_EQ(config.default_device, "software0");
  EXPECT_TRUE(config.rules.empty());
  EXPECT_EQ(config.sockets.client, "/run/hl-bufd/client/buf.sock");
  EXPECT_EQ(config.sockets.client_mode, mode_t{0660});
  EXPECT_EQ(config.sockets.clients_gid, gid_t{900});
  EXPECT_EQ(config.sockets.control, "/run/hl-bufd/control/control.sock");
  EXPECT_EQ(config.log_level, LogLevel::kInfo);
  EXPECT_EQ(config.caps.nofile, 20'000u);
}

TEST(Config, TakesEverythingThatItKnows) {
  const Config config = Parsed(R"(
default_device = "heap"
[sockets]
client = "/tmp/c/buf.sock"
client_mode = "0666"
clients_group = "operators"
control = "/tmp/control.sock"
[roles]
viewer = [5]
operator = ["operators", 7]
admin = [0]
[[device]]
name = "arena"
kind = "udmabuf"
size = "2GiB"
isolation = "none"
drills = true
[[device]]
name = "heap"
kind = "dma-heap"
heap = "linux,cma"
size = 1048576
[[rule]]
name = "no-interns"
effect = "deny"
verbs = ["allocate", "share"]
uids = [1000, 0]
groups = ["operators", 12]
devices = ["arena"]
[[rule]]
name = "all"
effect = "allow"
[limits.service]
bytes = "3GiB"
buffers = 100
leases = 200
sessions = 30
in_flight_fds = 40
[limits.domain]
sessions = 3
[timing]
hello_timeout = "1500ms"
operator_grace = "0s"
reset_grace = "25s"
ping_interval = "1m"
[log]
level = "debug"
)");
  EXPECT_EQ(config.default_device, "heap");
  EXPECT_EQ(config.sockets.client, "/tmp/c/buf.sock");
  EXPECT_EQ(config.sockets.client_mode, mode_t{0666});
  EXPECT_EQ(config.sockets.clients_group, "operators");
  EXPECT_EQ(config.sockets.clients_gid, gid_t{901});
  EXPECT_EQ(config.sockets.control, "/tmp/control.sock");
  EXPECT_EQ(config.roles.viewer, std::vector<gid_t>{5});
  EXPECT_EQ(config.roles.operators, (std::vector<gid_t>{901, 7}));
  EXPECT_EQ(config.roles.admin, std::vector<gid_t>{0});

  ASSERT_EQ(config.devices.size(), 2u);
  EXPECT_EQ(config.devices[0].kind, "udmabuf");
  EXPECT_EQ(config.devices[0].size_bytes, 2 * kGiB);
  EXPECT_EQ(config.devices[0].isolation, "none");
  EXPECT_TRUE(config.devices[0].drills);
  EXPECT_EQ(config.devices[1].path, "/dev/dma_heap/linux,cma");
  EXPECT_EQ(config.devices[1].size_bytes, 1'048'576u);
  EXPECT_FALSE(config.devices[1].drills);

  ASSERT_EQ(config.rules.size(), 2u);
  EXPECT_EQ(config.rules[0].name, "no-interns");
  EXPECT_FALSE(config.rules[0].allow);
  EXPECT_EQ(config.rules[0].verbs, (std::vector<Verb>{Verb::kAllocate, Verb::kShare}));
  EXPECT_EQ(config.rules[0].uids, (std::vector<uid_t>{1000, 0}));
  EXPECT_EQ(config.rules[0].gids, (std::vector<gid_t>{901, 12}));
  EXPECT_EQ(config.rules[0].devices, std::vector<std::string>{"arena"});
  EXPECT_TRUE(config.rules[1].allow);
  EXPECT_TRUE(config.rules[1].verbs.empty());

  EXPECT_EQ(config.caps.limits.service, (Amounts{3 * kGiB, 100, 200, 30, 40}));
  EXPECT_EQ(config.caps.limits.domain[static_cast<std::size_t>(Resource::kSessions)], 3u);
  EXPECT_EQ(config.timing.hello_timeout, absl::Milliseconds(1500));
  EXPECT_EQ(config.timing.operator_grace, absl::ZeroDuration());
  EXPECT_EQ(config.timing.reset_grace, absl::Seconds(25));
  EXPECT_EQ(config.timing.ping_interval, absl::Minutes(1));
  EXPECT_EQ(config.log_level, LogLevel::kDebug);
}

TEST(Config, RunsWithoutItsClientsGroupAndKeepsTheName) {
  const Config config = Parsed("[sockets]\nclients_group = \"absent\"\n");
  EXPECT_EQ(config.sockets.clients_group, "absent");
  EXPECT_EQ(config.sockets.clients_gid, std::nullopt);
}

TEST(Config, TakesTheClientsGroupByNumber) {
  const Config config = Parsed("[sockets]\nclients_group = 990\n");
  EXPECT_EQ(config.sockets.clients_group, "990");
  EXPECT_EQ(config.sockets.clients_gid, gid_t{990});
}

TEST(Config, TakesTheFirstDeviceForTheDefault) {
  EXPECT_EQ(Parsed("[[device]]\nname = \"b\"\nkind = \"software\"\n"
                   "[[device]]\nname = \"a\"\nkind = \"software\"\n")
                .default_device,
            "b");
}

TEST(Config, BoundsADeviceOfSoftwareByHalfOfTheMemory) {
  const Config config = Parsed("[[device]]\nname = \"a\"\nkind = \"software\"\n");
  EXPECT_EQ(config.devices[0].size_bytes, 16 * kGiB);
  EXPECT_TRUE(config.devices[0].drills);
}

struct Bad {
  const char* text;
  const char* complaint;
};
constexpr Bad kBad[] = {
    // What is no TOML.
    {"a = \n", "f.toml:1:5: Error while parsing key-value pair: expected value, saw '\\n'"},
    {"\xff", "f.toml:1:1: Encountered invalid utf-8 sequence"},
    // Unknown keys.
    {"[sockets]\ncleint = \"/a/b\"\n",
     "f.toml:2:1: sockets.cleint: unknown key; did you mean \"client\"?"},
    {"[socket]\n", "f.toml:1:2: socket: unknown key; did you mean \"sockets\"?"},
    {"[log]\nfile = \"x\"\n", "f.toml:2:1: log.file: unknown key; expected level"},
    {"[log]\n\"a\\nb c\" = 1\n", "f.toml:2:1: log.a?b c: unknown key; expected level"},
    {"[limits]\nbuffers = 5\n",
     "f.toml:2:1: limits.buffers: unknown key; expected service, uid, domain"},
    {"[[device]]\nname = \"a\"\nkind = \"software\"\npath = \"/dev/x\"\n",
     "f.toml:4:1: device.path: unknown key; expected name, kind, size, isolation, drills, heap"},
    // Wrong types.
    {"sockets = 5\n", "f.toml:1:11: sockets: found 5; expected a table, [sockets]"},
    {"[device]\nname = \"a\"\n",
     "f.toml:1:1: device: found a table; expected tables, each under [[device]]"},
    {"rule = [1]\n", "f.toml:1:9: rule: found 1; expected tables, each under [[rule]]"},
    {"default_device = 2024-01-01\n",
     "f.toml:1:18: default_device: found a date or a time; expected \"software0\""},
    {"[roles]\nadmin = 5\n",
     "f.toml:2:9: roles.admin: found 5; expected an array, each element a group of this system, by "
     "name or by number, 0 to 4294967294 except 65534 (nobody)"},
    // Sockets.
    {"[sockets]\nclient = \"@hl-bufd\"\n",
     "f.toml:2:10: sockets.client: found \"@hl-bufd\"; expected an absolute path of at most 107 "
     "printable characters; an abstract name (@) would have no directory to protect it"},
    {"[sockets]\ncontrol = \"control.sock\"\n",
     "f.toml:2:11: sockets.control: found \"control.sock\"; expected an absolute path of at most "
     "107 printable characters; an abstract name (@) would have no directory to protect it"},
    {"[sockets]\nclient = \"/a/b\"\ncontrol = \"/a/c/d\"\n",
     "f.toml:3:11: sockets.control: \"/a/c/d\" is below the directory of the client socket, which "
     "containers get to see; put it elsewhere"},
    {"[sockets]\nclient_mode = 660\n",
     "f.toml:2:15: sockets.client_mode: found 660; expected a string of octal digits, \"0600\" to "
     "\"0666\""},
    {"[sockets]\nclient_mode = \"0777\"\n",
     "f.toml:2:15: sockets.client_mode: found \"0777\"; expected a string of octal digits, "
     "\"0600\" to \"0666\""},
    {"[sockets]\nclients_group = 65534\n",
     "f.toml:2:17: sockets.clients_group: found 65534; expected a group, by name or by number"},
    // Groups.
    {"[roles]\nviewer = [\"operators\", \"absent\"]\n",
     "f.toml:2:24: roles.viewer: found \"absent\"; expected a group of this system, by name or by "
     "number, 0 to 4294967294 except 65534 (nobody)"},
    {"[roles]\nviewer = [\"nogroup\"]\n",
     "f.toml:2:11: roles.viewer: found \"nogroup\"; expected a group of this system, by name or by "
     "number, 0 to 4294967294 except 65534 (nobody)"},
    {"[roles]\nviewer = []\n",
     "f.toml:2:10: roles.viewer: is empty; name at least one, or leave the key out"},
    // Devices.
    {"default_device = \"gpu\"\n",
     "f.toml:1:18: default_device: found \"gpu\"; expected \"software0\""},
    {"[[device]]\nkind = \"software\"\n",
     "f.toml:1:1: device.name: is missing; expected 1 to 63 characters of [A-Za-z0-9._/-]"},
    {"[[device]]\nname = \"a b\"\nkind = \"software\"\n",
     "f.toml:2:8: device.name: found \"a b\"; expected 1 to 63 characters of [A-Za-z0-9._/-]"},
    {"[[device]]\nname = \"a\"\nkind = \"gpu\"\n",
     "f.toml:3:8: device.kind: found \"gpu\"; expected one of \"software\", \"udmabuf\", "
     "\"dma-heap\""},
    {"[[device]]\nname = \"a\"\nkind = \"software\"\n[[device]]\nname = \"a\"\nkind = "
     "\"software\"\n",
     "f.toml:5:8: device.name: \"a\" is there twice"},
    {"[[device]]\nname = \"a\"\nkind = \"software\"\nsize = \"16GB\"\n",
     "f.toml:4:8: device.size: found \"16GB\"; expected a size from 64KiB to 9223372036854775807, "
     "in bytes or as in \"16GiB\""},
    {"[[device]]\nname = \"a\"\nkind = \"software\"\nsize = 4096\n",
     "f.toml:4:8: device.size: found 4096; expected a size from 64KiB to 9223372036854775807, in "
     "bytes or as in \"16GiB\""},
    {"[[device]]\nname = \"a\"\nkind = \"software\"\nheap = \"system\"\n",
     "f.toml:4:8: device.heap: means nothing to a device of kind \"software\"; leave it out, or "
     "set kind = \"dma-heap\""},
    {"[[device]]\nname = \"a\"\nkind = \"dma-heap\"\nheap = \"../sda\"\n",
     "f.toml:4:8: device.heap: found \"../sda\"; expected a file name without directory"},
    {"[[device]]\nname = \"a\"\nkind = \"software\"\nisolation = true\n",
     "f.toml:4:13: device.isolation: found true; expected one of \"cleared\", \"none\""},
    {"[[device]]\nname = \"a\"\nkind = \"software\"\ndrills = \"yes\"\n",
     "f.toml:4:10: device.drills: found \"yes\"; expected true or false"},
    // Rules.
    {"[[rule]]\nname = \"r\"\n",
     "f.toml:1:1: rule.effect: is missing; expected one of \"allow\", \"deny\""},
    {"[[rule]]\nname = \"r\"\neffect = \"permit\"\n",
     "f.toml:3:10: rule.effect: found \"permit\"; expected one of \"allow\", \"deny\""},
    {"[[rule]]\nname = \"r\"\neffect = \"deny\"\nverbs = [\"free\"]\n",
     "f.toml:4:10: rule.verbs: found \"free\"; expected one of \"allocate\", \"open\", \"share\""},
    {"[[rule]]\nname = \"r\"\neffect = \"deny\"\nuids = []\n",
     "f.toml:4:8: rule.uids: is empty; name at least one, or leave the key out"},
    {"[[rule]]\nname = \"r\"\neffect = \"deny\"\nuids = [-1, 65534]\n",
     "f.toml:4:9: rule.uids: found -1; expected a user id, 0 to 4294967294 except 65534 (nobody)\n"
     "f.toml:4:13: rule.uids: found 65534; expected a user id, 0 to 4294967294 except 65534 "
     "(nobody)"},
    {"[[rule]]\nname = \"r\"\neffect = \"deny\"\ndevices = [\"gpu\"]\n",
     "f.toml:4:12: rule.devices: found \"gpu\"; expected \"software0\""},
    {"[[rule]]\nname = \"r\"\neffect = \"deny\"\n[[rule]]\nname = \"r\"\neffect = \"allow\"\n",
     "f.toml:5:8: rule.name: \"r\" is there twice"},
    // Limits.
    {"[limits.service]\nbuffers = 30000\n",
     "f.toml:2:11: limits.service.buffers: buffers = 30000 and sessions = 1 take 30002 file "
     "descriptors, but of the limit of 20000 only 19616 are for clients; lower them, or raise "
     "LimitNOFILE= to 30386"},
    {"[limits.service]\nin_flight_fds = 10000\n",
     "f.toml:2:17: limits.service.in_flight_fds: the limit of 20000 file descriptors allows at "
     "most 9999 in flight; lower it, or raise LimitNOFILE= to 20002"},
    {"[limits.uid]\nsessions = 5\n[limits.domain]\nsessions = 6\n",
     "f.toml:4:12: limits.domain.sessions: 6 is above the 5 of one uid; lower it, or raise that "
     "limit"},
    {"[limits.uid]\nsessions = 0\n",
     "f.toml:2:12: limits.uid.sessions: found 0; expected a number from 1 to 4294967295"},
    {"[limits.uid]\nleases = 1.5\n",
     "f.toml:2:10: limits.uid.leases: found 1.5; expected a number from 1 to 4294967295"},
    // Times and log.
    {"[timing]\nhello_timeout = \"0s\"\n",
     "f.toml:2:17: timing.hello_timeout: found \"0s\"; expected a duration from 100ms to 1m, as in "
     "\"1.5s\""},
    {"[timing]\nping_interval = 30\n",
     "f.toml:2:17: timing.ping_interval: found 30; expected a duration from 1s to 1h, as in "
     "\"1.5s\""},
    {"[timing]\nreset_grace = \"inf\"\n",
     "f.toml:2:15: timing.reset_grace: found \"inf\"; expected a duration from 0 to 1h, as in "
     "\"1.5s\""},
    {"[log]\nlevel = \"verbose\"\n",
     "f.toml:2:9: log.level: found \"verbose\"; expected one of \"error\", \"warning\", "
     "\"notice\", \"info\", \"debug\""},
};

TEST(Config, SaysWhereWhatWasFoundAndWhatWasExpected) {
  for (const Bad& bad : kBad) EXPECT_EQ(Complaint(bad.text), bad.complaint);
}

TEST(Config, TellsEverythingThatIsWrongInTheOrderOfTheFile) {
  EXPECT_EQ(Complaint("[log]\nlevel = 1\n"
                      "[sockets]\nclient_mode = \"9\"\nx = 1\n"
                      "[[device]]\nname = \"\"\n"),
            "f.toml:2:9: log.level: found 1; expected one of \"error\", \"warning\", \"notice\", "
            "\"info\", \"debug\"\n"
            "f.toml:4:15: sockets.client_mode: found \"9\"; expected a string of octal digits, "
            "\"0600\" to \"0666\"\n"
            "f.toml:5:1: sockets.x: unknown key; expected client, client_mode, control, "
            "clients_group\n"
            "f.toml:6:1: device.kind: is missing; expected one of \"software\", \"udmabuf\", "
            "\"dma-heap\"\n"
            "f.toml:7:8: device.name: found \"\"; expected 1 to 63 characters of [A-Za-z0-9._/-]");
}

TEST(Config, RefusesAProcessWithTooFewDescriptors) {
  Machine machine = TestMachine();
  machine.nofile = 20;
  EXPECT_EQ(ParseConfig("", "f.toml", machine).status().message(),
            "f.toml:1:1: limits: this process may have 20 file descriptors and needs at least 40; "
            "raise LimitNOFILE=");
}

TEST(Config, PrintsNothingThatATerminalWouldActOn) {
  const std::string complaint = Complaint("[log]\nlevel = \"\\u001b[31m\\n\"\n");
  EXPECT_TRUE(absl::StrContains(complaint, "found \"?[31m?\"")) << complaint;
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
  Machine machine = TestMachine();
  machine.find_group = [](const std::string&) { return 900; };
  const std::string text = absl::StrReplaceAll(
      SwitchedOn(ReadFile(ExamplePath())), {{"\"software0\"\n\n[sockets]", "\"host\"\n\n[sockets]"},
                                            {"kind = \"udmabuf\"", "kind = \"dma-heap\""},
                                            {"[\"gaudi0\"]", "[\"host\"]"}});
  const absl::StatusOr<Config> config = ParseConfig(text, "hl-bufd.toml", machine);
  ASSERT_TRUE(config.ok()) << config.status();
  const Config defaults = Parsed("");
  EXPECT_EQ(config->sockets.client, defaults.sockets.client);
  EXPECT_EQ(config->sockets.client_mode, defaults.sockets.client_mode);
  EXPECT_EQ(config->sockets.clients_group, defaults.sockets.clients_group);
  EXPECT_EQ(config->sockets.control, defaults.sockets.control);
  EXPECT_EQ(config->timing.hello_timeout, defaults.timing.hello_timeout);
  EXPECT_EQ(config->timing.operator_grace, defaults.timing.operator_grace);
  EXPECT_EQ(config->timing.reset_grace, defaults.timing.reset_grace);
  EXPECT_EQ(config->timing.ping_interval, defaults.timing.ping_interval);
  EXPECT_EQ(config->log_level, defaults.log_level);
  EXPECT_EQ(config->rules.size(), 1u);
  for (std::size_t r = 1; r < kResourceCount; ++r) {
    EXPECT_EQ(config->caps.limits.service[r], defaults.caps.limits.service[r]);
    EXPECT_EQ(config->caps.limits.uid[r], defaults.caps.limits.uid[r]);
    EXPECT_EQ(config->caps.limits.domain[r], defaults.caps.limits.domain[r]);
  }
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
  for (const char* table :
       {"", "[sockets]", "[roles]", "[[device]]", "[[rule]]", "[limits]", "[limits.service]",
        "[limits.uid]", "[limits.domain]", "[timing]", "[log]"}) {
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

TEST(LoadConfig, ReadsAFile) {
  const absl::StatusOr<Config> config = LoadConfig(ExamplePath(), TestMachine());
  EXPECT_TRUE(config.ok()) << config.status();
}

TEST(LoadConfig, SaysWhyAFileCannotBeRead) {
  const absl::StatusOr<Config> absent = LoadConfig("/nonexistent/f.toml", TestMachine());
  EXPECT_EQ(absent.status().code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(absl::StrContains(absent.status().message(), "/nonexistent/f.toml"));
  EXPECT_FALSE(LoadConfig("/", TestMachine()).ok());
  EXPECT_EQ(LoadConfig("/dev/zero", TestMachine()).status().message(),
            "the configuration /dev/zero is larger than 1048576 bytes");
}

TEST(ThisMachine, KnowsItsLimitsAndItsGroups) {
  const Machine machine = ThisMachine();
  EXPECT_GT(machine.nofile, 0u);
  EXPECT_GT(machine.memory_bytes, kGiB / 4);
  EXPECT_EQ(machine.find_group("root"), gid_t{0});
  EXPECT_EQ(machine.find_group("no such group"), std::nullopt);
}

}  // namespace
}  // namespace hlbuf
