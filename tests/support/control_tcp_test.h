// SPDX-License-Identifier: Apache-2.0
// hl-bufctl with certificates, beside a daemon that listens on a port of this machine.
#ifndef HLBUF_TESTS_SUPPORT_CONTROL_TCP_TEST_H_
#define HLBUF_TESTS_SUPPORT_CONTROL_TCP_TEST_H_

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/support/certificates.h"
#include "tests/support/ctl_command.h"
#include "tests/support/ctl_test.h"

namespace hlbuf {

class ControlTcp : public DaemonTest {
 protected:
  // With the daemon's own files, which a test can replace.
  void Serve(const std::string& roles = "admin = [\"boss\"]\n") {
    Install(authority_.Server(), authority_);
    Start({.config = Section(roles)});
    Find();
  }
  void Install(const CertificateFiles& files, const CertificateAuthority& authority) {
    const auto replace = std::filesystem::copy_options::overwrite_existing;
    std::filesystem::copy_file(files.certificate, File("server.crt"), replace);
    std::filesystem::copy_file(files.key, File("server.key"), replace);
    std::filesystem::copy_file(authority.certificate(), File("clients.crt"), replace);
  }
  std::string File(const std::string& name) const { return files_.path() + "/" + name; }
  std::string Section(const std::string& roles) const {
    return absl::StrCat("[control_tcp]\nlisten = \"127.0.0.1:0\"\ncertificate = \"",
                        File("server.crt"), "\"\nkey = \"", File("server.key"),
                        "\"\nclient_ca = \"", File("clients.crt"), "\"\n", roles);
  }
  bool IsLogged(const std::string& text) {
    return Eventually([&] { return Contains(daemon().Log(), text); });
  }
  // Which port it got.
  void Find() {
    constexpr const char* kWords = "operators connect by TLS to 127.0.0.1:";
    ASSERT_TRUE(IsLogged(kWords)) << daemon().Log();
    port_ = static_cast<std::uint16_t>(NumberAfter(kWords, daemon().Log()));
  }
  // The configuration anew, with other roles.
  void Reconfigure(const std::string& roles) {
    std::string text = ReadAll(daemon().config_path());
    text.resize(text.find("[control_tcp]"));
    std::ofstream(daemon().config_path()) << text << Section(roles);
    daemon().Signal(SIGHUP);
    ASSERT_TRUE(IsLogged("the configuration was read again and holds"));
  }

  std::vector<std::string> Words(const CertificateFiles& who, std::vector<std::string> arguments,
                                 const std::string& ca) const {
    arguments.insert(arguments.end(), {"--server", absl::StrCat("127.0.0.1:", port_), "--ca", ca,
                                       "--cert", who.certificate, "--key", who.key});
    return arguments;
  }
  Finished Ask(const CertificateFiles& who, std::vector<std::string> arguments) {
    return ctl_.Run(Words(who, std::move(arguments), authority_.certificate()));
  }
  void ExpectRefused(const CertificateFiles& who) {
    const Finished finished = Ask(who, {"devices"});
    EXPECT_EQ(finished.exit_status, kUnreachable) << finished.output;
    EXPECT_TRUE(Contains(finished.output, "its client_ca signs")) << finished.output;
  }
  // A connection that says nothing, from an address of this machine.
  UniqueFd Connect(const char* from = "127.0.0.1") const {
    UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address = {.sin_family = AF_INET};
    EXPECT_EQ(::inet_pton(AF_INET, from, &address.sin_addr), 1);
    EXPECT_EQ(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port_);
    EXPECT_EQ(::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    return socket;
  }
  static void Say(const UniqueFd& socket, const std::string& bytes) {
    EXPECT_GT(::send(socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL), 0);
  }
  // Whatever comes before it. Waits for longer than a handshake may take.
  static bool IsClosed(const UniqueFd& socket) {
    const timeval patience = {.tv_sec = kPatienceMs / 1000};
    ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    char bytes[4096];
    ssize_t n = 1;
    while (n > 0) n = ::recv(socket.get(), bytes, sizeof(bytes), 0);
    return n == 0 || errno == ECONNRESET;
  }

  CertificateAuthority authority_;
  TemporaryDirectory files_;
  CtlCommand ctl_{"/nowhere"};
  std::uint16_t port_ = 0;
};

}  // namespace hlbuf

#endif  // HLBUF_TESTS_SUPPORT_CONTROL_TCP_TEST_H_
