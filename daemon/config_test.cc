// SPDX-License-Identifier: Apache-2.0
#include "daemon/config.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "tests/support/fake_machine.h"

namespace hlbuf {
namespace {

constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;

Config Parsed(absl::string_view text) {
  absl::StatusOr<Config> config = ParseConfig(text, "f.toml", FakeMachine());
  EXPECT_TRUE(config.ok()) << config.status();
  return config.ok() ? *std::move(config) : Config();
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
  EXPECT_EQ(config.sockets.holders, "/run/hl-bufd/holders/holders.sock");
  EXPECT_EQ(config.sockets.keeper, "/run/hl-bufd/keeper/keeper.sock");
  EXPECT_FALSE(config.control_tcp.listen.has_value());
  EXPECT_EQ(config.log_level, LogLevel::kInfo);
  EXPECT_EQ(config.caps.nofile, 20'000u);
}

TEST(Config, LimitsBytesToWhatItsDevicesHave) {
  const auto of = [](const Amounts& limits) {
    return limits[static_cast<std::size_t>(Resource::kBytes)];
  };
  EXPECT_EQ(of(Parsed("").caps.limits.service), 16 * kGiB);
  const Config config = Parsed(R"(
device = [
  {name = "a", kind = "udmabuf"},
  {name = "b", kind = "dma-heap"},
  {name = "c", kind = "software", size = "3GiB"},
]
)");
  EXPECT_EQ(config.devices[0].size_bytes, kGiB);
  EXPECT_EQ(config.devices[1].size_bytes, 16 * kGiB);
  EXPECT_EQ(of(config.caps.limits.service), 20 * kGiB);
  EXPECT_EQ(of(config.caps.limits.uid), 15 * kGiB);
  EXPECT_EQ(of(config.caps.limits.domain), 10 * kGiB);
  const Config huge = Parsed(R"(
device = [
  {name = "a", kind = "software", size = 9223372036854775807},
  {name = "b", kind = "software", size = 9223372036854775807},
]
)");
  EXPECT_EQ(of(huge.caps.limits.service), std::uint64_t{INT64_MAX});
}

TEST(Config, TakesEverythingThatItKnows) {
  const Config config = Parsed(R"(
default_device = "heap"
[sockets]
client = "/tmp/c/buf.sock"
client_mode = "0666"
clients_group = "operators"
control = "/tmp/control.sock"
holders = "/tmp/holders.sock"
keeper = "/tmp/keeper.sock"
[roles]
viewer = [5]
operator = ["operators", 7]
admin = [0]
[control_tcp]
listen = "[::1]:9443"
certificate = "/tmp/server.crt"
key = "/tmp/server.key"
client_ca = "/tmp/clients.crt"
viewer = ["Alice A."]
operator = ["bob", "spiffe://example.org/operator"]
admin = ["carol"]
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
[[device]]
name = "gaudi0"
kind = "habanalabs"
pci = "0000:B3:00.0"
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
[enforcement]
resets = "kill"
revocations = "terminate"
[log]
level = "debug"
)");
  EXPECT_EQ(config.default_device, "heap");
  EXPECT_EQ(config.sockets.client, "/tmp/c/buf.sock");
  EXPECT_EQ(config.sockets.client_mode, mode_t{0666});
  EXPECT_EQ(config.sockets.clients_group, "operators");
  EXPECT_EQ(config.sockets.clients_gid, gid_t{901});
  EXPECT_EQ(config.sockets.control, "/tmp/control.sock");
  EXPECT_EQ(config.sockets.holders, "/tmp/holders.sock");
  EXPECT_EQ(config.sockets.keeper, "/tmp/keeper.sock");
  EXPECT_EQ(config.roles.viewer, std::vector<gid_t>{5});
  EXPECT_EQ(config.roles.operators, (std::vector<gid_t>{901, 7}));
  EXPECT_EQ(config.roles.admin, std::vector<gid_t>{0});
  ASSERT_TRUE(config.control_tcp.listen.has_value());
  EXPECT_EQ(config.control_tcp.listen->Text(), "[::1]:9443");
  EXPECT_EQ(config.control_tcp.files.certificate, "/tmp/server.crt");
  EXPECT_EQ(config.control_tcp.files.key, "/tmp/server.key");
  EXPECT_EQ(config.control_tcp.files.client_ca, "/tmp/clients.crt");
  EXPECT_EQ(config.control_tcp.roles.viewer, std::vector<std::string>{"Alice A."});
  EXPECT_EQ(config.control_tcp.roles.operators,
            (std::vector<std::string>{"bob", "spiffe://example.org/operator"}));
  EXPECT_EQ(config.control_tcp.roles.admin, std::vector<std::string>{"carol"});

  ASSERT_EQ(config.devices.size(), 3u);
  EXPECT_EQ(config.devices[0].kind, "udmabuf");
  EXPECT_EQ(config.devices[0].size_bytes, 2 * kGiB);
  EXPECT_EQ(config.devices[0].isolation, "none");
  EXPECT_TRUE(config.devices[0].drills);
  EXPECT_EQ(config.devices[1].path, "/dev/dma_heap/linux,cma");
  EXPECT_EQ(config.devices[1].size_bytes, 1'048'576u);
  EXPECT_FALSE(config.devices[1].drills);
  EXPECT_EQ(config.devices[2].kind, "habanalabs");
  EXPECT_EQ(config.devices[2].pci, "0000:b3:00.0");  // as sysfs writes it
  EXPECT_EQ(config.devices[2].size_bytes, 0u);       // the whole card

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
  EXPECT_EQ(config.enforcement.resets, Force::kKill);
  EXPECT_EQ(config.enforcement.revocations, Force::kTerminate);
  EXPECT_EQ(config.log_level, LogLevel::kDebug);
}

TEST(Config, EnforcesNothingUnlessItSaysSo) {
  for (const char* text : {"", "[enforcement]\n", "[enforcement]\nresets = \"off\"\n"}) {
    EXPECT_EQ(Parsed(text).enforcement.resets, Force::kNone);
    EXPECT_EQ(Parsed(text).enforcement.revocations, Force::kNone);
  }
}

TEST(Config, RunsWithoutTheClientsGroupThatNobodyNamed) {
  Machine machine = FakeMachine();
  machine.find_group = [](const std::string&) { return std::nullopt; };
  const absl::StatusOr<Config> config = ParseConfig("", "f.toml", machine);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->sockets.clients_group, "hl-bufd-clients");
  EXPECT_EQ(config->sockets.clients_gid, std::nullopt);
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

TEST(Config, MayHaveAnyNumberOfDevicesOfOneKindThatIsNoCard) {
  const Config config = Parsed(
      "[[device]]\nname = \"a\"\nkind = \"dma-heap\"\nheap = \"system\"\n"
      "[[device]]\nname = \"b\"\nkind = \"dma-heap\"\nheap = \"system\"\n"
      "[[device]]\nname = \"c\"\nkind = \"habanalabs\"\n");
  EXPECT_EQ(config.devices.size(), 3u);
}

TEST(Config, BoundsADeviceOfSoftwareByHalfOfTheMemory) {
  const Config config = Parsed("[[device]]\nname = \"a\"\nkind = \"software\"\n");
  EXPECT_EQ(config.devices[0].size_bytes, 16 * kGiB);
  EXPECT_TRUE(config.devices[0].drills);
}

TEST(Config, MayBeCommentedInAnyLanguage) {
  EXPECT_EQ(Parsed("\xef\xbb\xbf# gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80\n[log] "
                   "#\xcc\xaa\nlevel = \"error\"\n")
                .log_level,
            LogLevel::kError);
}

TEST(LoadConfig, SaysWhyAFileCannotBeRead) {
  const absl::StatusOr<Config> absent = LoadConfig("/nonexistent/f.toml", FakeMachine());
  EXPECT_EQ(absent.status().code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(absl::StrContains(absent.status().message(), "/nonexistent/f.toml"));
  EXPECT_FALSE(LoadConfig("/", FakeMachine()).ok());
  EXPECT_EQ(LoadConfig("/dev/zero", FakeMachine()).status().message(),
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
