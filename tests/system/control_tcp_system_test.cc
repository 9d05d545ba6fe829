// SPDX-License-Identifier: Apache-2.0
// The control API over TCP, under the service's hardening.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "tests/support/certificates.h"
#include "tests/support/texts.h"
#include "tests/system/installed_service.h"

namespace hlbuf {
namespace {

constexpr const char* kDirectory = "/etc/hl-bufd/tls/";
constexpr const char* kTcp = R"(
[control_tcp]
listen = "127.0.0.1:9443"
certificate = "/etc/hl-bufd/tls/server.crt"
key = "/run/credentials/hl-bufd.service/control-tcp.key"
client_ca = "/etc/hl-bufd/tls/clients.crt"
admin = ["boss"]
)";

class NetworkedService : public InstalledService {
 protected:
  void SetUp() override {
    InstalledService::SetUp();
    std::filesystem::create_directories(kDirectory);
    const CertificateFiles server = authority_.Server();
    const auto replace = std::filesystem::copy_options::overwrite_existing;
    std::filesystem::copy_file(server.certificate, absl::StrCat(kDirectory, "server.crt"), replace);
    std::filesystem::copy_file(server.key, absl::StrCat(kDirectory, "server.key"), replace);
    std::filesystem::copy_file(authority_.certificate(), absl::StrCat(kDirectory, "clients.crt"),
                               replace);
    Configure(kTcp);
  }
  // What is shipped, and nothing else.
  static void UseDropIn() {
    std::stringstream lines;
    lines << std::ifstream("/usr/local/share/doc/hlbuf/drop-ins/control-tcp.conf").rdbuf();
    DropIn(lines.str());
  }
  Finished Ask(const std::string& who, std::vector<std::string> arguments) {
    const CertificateFiles files = authority_.Sign(who);
    arguments.insert(arguments.end(),
                     {"--server", "127.0.0.1:9443", "--ca", authority_.certificate(), "--cert",
                      files.certificate, "--key", files.key});
    return Ctl(std::move(arguments));
  }

  CertificateAuthority authority_;
};

TEST_F(NetworkedService, ServesOperatorsWithTheDropInForIt) {
  UseDropIn();
  Must({"start", kService});
  ASSERT_TRUE(IsLogged("operators connect by TLS to 127.0.0.1:9443"));
  const Finished shown = Ask("viewer", {"devices"});
  EXPECT_EQ(shown.exit_status, 0) << shown.output;
  EXPECT_EQ(Ask("viewer", {"simulate-reset", "software0"}).exit_status, 1);
  const Finished drilled = Ask("boss", {"simulate-reset", "software0"});
  EXPECT_EQ(drilled.exit_status, 0) << drilled.output;
  EXPECT_TRUE(IsLogged("OPERATOR_REQUEST: certificate \"boss\" at 127.0.0.1:"));
  EXPECT_EQ(StatusField("CapEff"), "0000000000000000");
  LibraryClient alice = Alice();
  EXPECT_EQ(alice.Allocate(64 << 10).size_bytes, std::uint64_t{64 << 10});
}

TEST_F(NetworkedService, IsReadAgainWithTheDropInForIt) {
  UseDropIn();
  Must({"start", kService});
  ASSERT_TRUE(IsLogged("operators connect by TLS"));
  Must({"reload", kService});
  std::ofstream("/etc/hl-bufd/tls/clients.crt") << "garbage";
  EXPECT_NE(Systemctl({"reload", kService}).exit_status, 0);
  EXPECT_TRUE(
      IsLogged("control_tcp.client_ca: /etc/hl-bufd/tls/clients.crt: there is no "
               "certificate in it"));
  EXPECT_EQ(Ask("viewer", {"devices"}).exit_status, 0) << "the old one is kept";
}

TEST_F(NetworkedService, SaysWhatIsMissingWithoutTheDropIn) {
  DropIn("LoadCredential=control-tcp.key:/etc/hl-bufd/tls/server.key");
  Must({"start", kService});
  const std::string said =
      "there is no control API over TCP: cannot listen at 127.0.0.1:9443: Address family not "
      "supported by protocol; the unit of this service allows no network: add the drop-in "
      "control-tcp.conf";
  EXPECT_TRUE(IsLogged(said));
  EXPECT_TRUE(Contains(Show(kService, "StatusText"), said));
  EXPECT_EQ(Ctl({"devices"}).exit_status, 0) << "the socket is there";
  EXPECT_EQ(Ask("viewer", {"devices"}).exit_status, 3);
}

}  // namespace
}  // namespace hlbuf
