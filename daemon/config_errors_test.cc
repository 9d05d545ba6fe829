// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/match.h"
#include "daemon/config.h"
#include "tests/support/fake_machine.h"

namespace hlbuf {
namespace {

std::string Complaint(absl::string_view text) {
  const absl::StatusOr<Config> config = ParseConfig(text, "f.toml", FakeMachine());
  EXPECT_EQ(config.status().code(), absl::StatusCode::kInvalidArgument) << text;
  return std::string(config.status().message());
}

struct Bad {
  const char* text;
  const char* complaint;
};
constexpr Bad kBad[] = {
    // What is no TOML.
    {"a = \n", "f.toml:1:5: Error while parsing key-value pair: expected value, saw '\\n'"},
    {"\xff", "f.toml:1:1: Encountered invalid utf-8 sequence"},
    {"level = gr\xc3\xbc\xc3\x9f\n",
     "f.toml:1:9: Error while parsing value: could not determine value type"},
    {"[log] # gr\xc3\xbc\xc3\x9f\nlevel = \"gr\xc3\xbc\xc3\x9f\" # gr\xc3\xbc\xc3\x9f\nx = 1\n",
     "f.toml:2:9: log.level: found \"gr??????\"; expected one of \"error\", \"warning\", "
     "\"notice\", \"info\", \"debug\"\n"
     "f.toml:3:1: log.x: unknown key; expected level"},
    {"# cut short: \xc3",
     "f.toml:1:13: Encountered EOF during incomplete utf-8 code point sequence"},
    // Unknown keys.
    {"[sockets]\ncleint = \"/a/b\"\n",
     "f.toml:2:1: sockets.cleint: unknown key; did you mean \"client\"?"},
    {"[socket]\n", "f.toml:1:2: socket: unknown key; did you mean \"sockets\"?"},
    {"[log]\nfile = \"x\"\n", "f.toml:2:1: log.file: unknown key; expected level"},
    {"[log]\n\"a\\nb c\" = 1\n", "f.toml:2:1: log.a?b c: unknown key; expected level"},
    {"[limits]\nbuffers = 5\n",
     "f.toml:2:1: limits.buffers: unknown key; expected service, uid, domain"},
    {"[[device]]\nname = \"a\"\nkind = \"software\"\npath = \"/dev/x\"\n",
     "f.toml:4:1: device.path: unknown key; expected name, kind, size, isolation, drills, heap, "
     "pci"},
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
    // Over TCP.
    {"[control_tcp]\nlisten = \"localhost:9443\"\n",
     "f.toml:2:10: control_tcp.listen: found \"localhost:9443\"; expected a numeric address and a "
     "port, as in \"127.0.0.1:9443\" or \"[::1]:9443\""},
    {"[control_tcp]\nlisten = \"127.0.0.1:9443\"\nkey = \"/k\"\nclient_ca = \"ca.crt\"\n",
     "f.toml:1:1: control_tcp.certificate: is missing; expected an absolute path\n"
     "f.toml:4:13: control_tcp.client_ca: found \"ca.crt\"; expected an absolute path"},
    {"[control_tcp]\nadmin = [\"\"]\n",
     "f.toml:2:10: control_tcp.admin: found \"\"; expected the common name of a certificate, or a "
     "URI of its alternative names, as in \"spiffe://example.org/operator\": 1 to 255 printable "
     "characters"},
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
    {"[sockets]\nclient = \"/a/b\"\nholders = \"/a/d\"\n",
     "f.toml:3:11: sockets.holders: \"/a/d\" is below the directory of the client socket, which "
     "containers get to see; put it elsewhere"},
    {"[sockets]\nclient_mode = 660\n",
     "f.toml:2:15: sockets.client_mode: found 660; expected a string of octal digits, \"0600\" to "
     "\"0666\""},
    {"[sockets]\nclient_mode = \"0777\"\n",
     "f.toml:2:15: sockets.client_mode: found \"0777\"; expected a string of octal digits, "
     "\"0600\" to \"0666\""},
    {"[sockets]\nclients_group = 65534\n",
     "f.toml:2:17: sockets.clients_group: found 65534; expected a group of this system, by name or "
     "by number, 0 to 4294967294 except 65534 (nobody)"},
    {"[sockets]\nclients_group = \"absent\"\n",
     "f.toml:2:17: sockets.clients_group: found \"absent\"; expected a group of this system, by "
     "name "
     "or by number, 0 to 4294967294 except 65534 (nobody)"},
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
     "\"dma-heap\", \"habanalabs\""},
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
    {"[[device]]\nname = \"a\"\nkind = \"software\"\npci = \"0000:19:00.0\"\n",
     "f.toml:4:7: device.pci: means nothing to a device of kind \"software\"; leave it out, or set "
     "kind = \"habanalabs\""},
    {"[[device]]\nname = \"a\"\nkind = \"habanalabs\"\npci = \"19:00.0\"\n",
     "f.toml:4:7: device.pci: found \"19:00.0\"; expected a PCI address with its domain, as `lspci "
     "-D` shows it: \"0000:19:00.0\""},
    {"[[device]]\nname = \"a\"\nkind = \"habanalabs\"\npci = \"0000:AF:00.0\"\n"
     "[[device]]\nname = \"b\"\nkind = \"habanalabs\"\npci = \"0000:af:00.0\"\n",
     "f.toml:8:7: device.pci: \"0000:af:00.0\" is the card of device \"a\" already"},
    {"[[device]]\nname = \"a\"\nkind = \"habanalabs\"\n"
     "[[device]]\nname = \"b\"\nkind = \"habanalabs\"\n",
     "f.toml:4:1: device.pci: device \"b\" takes the only card there is, and \"a\" is to have one, "
     "too; where there are several, each needs its pci"},
    {"[[device]]\nname = \"a\"\nkind = \"habanalabs\"\n"
     "[[device]]\nname = \"b\"\nkind = \"habanalabs\"\npci = \"0000:19:00.0\"\n",
     "f.toml:7:7: device.pci: device \"a\" takes the only card there is, and \"b\" is to have one, "
     "too; where there are several, each needs its pci"},
    {"[[device]]\nname = \"a\"\nkind = \"habanalabs\"\n"
     "[[device]]\nname = \"b\"\nkind = \"habanalabs\"\npci = \"19:00.0\"\n",
     "f.toml:7:7: device.pci: found \"19:00.0\"; expected a PCI address with its domain, as `lspci "
     "-D` shows it: \"0000:19:00.0\""},
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
    {"[enforcement]\nresets = true\n",
     "f.toml:2:10: enforcement.resets: found true; expected one of \"off\", \"terminate\", "
     "\"kill\""},
    {"[enforcement]\nrevocations = \"KILL\"\n",
     "f.toml:2:15: enforcement.revocations: found \"KILL\"; expected one of \"off\", "
     "\"terminate\", \"kill\""},
    {"[enforcement]\nunshare = \"kill\"\n",
     "f.toml:2:1: enforcement.unshare: unknown key; expected resets, revocations"},
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

TEST(ConfigErrors, SaysWhereWhatWasFoundAndWhatWasExpected) {
  for (const Bad& bad : kBad) EXPECT_EQ(Complaint(bad.text), bad.complaint);
}

TEST(ConfigErrors, TellsEverythingThatIsWrongInTheOrderOfTheFile) {
  EXPECT_EQ(Complaint("[log]\nlevel = 1\n"
                      "[sockets]\nclient_mode = \"9\"\nx = 1\n"
                      "[[device]]\nname = \"\"\n"),
            "f.toml:2:9: log.level: found 1; expected one of \"error\", \"warning\", \"notice\", "
            "\"info\", \"debug\"\n"
            "f.toml:4:15: sockets.client_mode: found \"9\"; expected a string of octal digits, "
            "\"0600\" to \"0666\"\n"
            "f.toml:5:1: sockets.x: unknown key; expected client, client_mode, control, "
            "holders, keeper, clients_group\n"
            "f.toml:6:1: device.kind: is missing; expected one of \"software\", \"udmabuf\", "
            "\"dma-heap\", \"habanalabs\"\n"
            "f.toml:7:8: device.name: found \"\"; expected 1 to 63 characters of [A-Za-z0-9._/-]");
}

TEST(ConfigErrors, RefusesAProcessWithTooFewDescriptors) {
  Machine machine = FakeMachine();
  machine.nofile = 20;
  EXPECT_EQ(ParseConfig("", "f.toml", machine).status().message(),
            "f.toml:1:1: limits: this process may have 20 file descriptors and needs at least 40; "
            "raise LimitNOFILE=");
  machine.nofile = 42;
  EXPECT_TRUE(ParseConfig("", "f.toml", machine).ok());
  const absl::Status two =
      ParseConfig(
          "device = [{name = \"a\", kind = \"udmabuf\"}, {name = \"b\", kind = \"udmabuf\"}]",
          "f.toml", machine)
          .status();
  EXPECT_TRUE(absl::StrContains(two.message(), "needs at least 43")) << two;
}

TEST(ConfigErrors, PrintsNothingThatATerminalWouldActOn) {
  const std::string complaint = Complaint("[log]\nlevel = \"\\u001b[31m\\n\"\n");
  EXPECT_TRUE(absl::StrContains(complaint, "found \"?[31m?\"")) << complaint;
}

}  // namespace
}  // namespace hlbuf
