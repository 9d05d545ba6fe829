// SPDX-License-Identifier: Apache-2.0
// The control API over TCP: who gets in, as whom, and who does not.
#include "tests/support/control_tcp_test.h"

#include <gtest/gtest.h>

namespace hlbuf {
namespace {

constexpr std::uint64_t kBytes = 64 << 10;
constexpr const char* kOperatorUri = "spiffe://example.org/operator";
// As the daemon shares 64 connections out: to the network, and to one address of it.
constexpr int kOverTcp = 16, kOfAddress = 8;

TEST_F(ControlTcp, IsOffUnlessItIsConfigured) {
  Start();
  EXPECT_FALSE(Contains(daemon().Log(), "operators connect by TLS"));
}

TEST_F(ControlTcp, LetsAViewerLookAndNothingElse) {
  Serve();
  LibraryClient alice(Alice(), daemon().client_socket());
  const HeldBuffer made = alice.Allocate(kBytes, "weights");
  const CertificateFiles viewer = authority_.Sign("viewer");
  for (const char* list : {"buffers", "leases", "sessions", "metrics", "devices"}) {
    const Finished shown = Ask(viewer, {list});
    EXPECT_EQ(shown.exit_status, kOk) << shown.output;
  }
  EXPECT_TRUE(Contains(Ask(viewer, {"buffers"}).output, "weights"));
  const Finished status = Ask(viewer, {"status"});
  EXPECT_TRUE(Contains(status.output, "Held: 1 buffer")) << status.output;
  const Finished refused = Ask(viewer, {"revoke", IdText(made.id)});
  EXPECT_EQ(refused.exit_status, kFailed);
  EXPECT_TRUE(Contains(refused.output, "certificate \"viewer\" has the role viewer"));
  EXPECT_TRUE(IsLogged("REQUEST_REFUSED: certificate \"viewer\" has the role viewer"));
  EXPECT_EQ(alice.Read(alice.Open(made.id), 1).size(), 1u) << "she has it still";
}

TEST_F(ControlTcp, LetsThoseRevokeWhomTheConfigurationNames) {
  Serve(absl::StrCat("operator = [\"", kOperatorUri, "\"]\nadmin = [\"boss\"]\n"));
  LibraryClient alice(Alice(), daemon().client_socket());
  for (const CertificateFiles& who :
       {authority_.Sign("boss"),
        authority_.Sign("someone", absl::StrCat("subjectAltName=URI:", kOperatorUri))}) {
    const HeldBuffer made = alice.Allocate(kBytes);
    Child revoking(ctl_.Command(Words(who, {"revoke", IdText(made.id)}, authority_.certificate())));
    alice.AwaitNotice("revoke ");
    EXPECT_EQ(revoking.ExitStatus(), kOk);
  }
  EXPECT_TRUE(IsLogged("OPERATOR_REQUEST: certificate \"boss\" at 127.0.0.1:"));
  EXPECT_TRUE(IsLogged(absl::StrCat("certificate \"someone\" (", kOperatorUri, ") at 127.0.0.1:")));
}

TEST_F(ControlTcp, ShowsNothingToWhoHasNoRole) {
  Serve("viewer = [\"viewer\"]\n");
  EXPECT_EQ(Ask(authority_.Sign("viewer"), {"devices"}).exit_status, kOk);
  const CertificateFiles other = authority_.Sign("other");
  for (const char* command : {"devices", "buffers", "metrics", "status", "watch"}) {
    const Finished refused = Ask(other, {command});
    EXPECT_EQ(refused.exit_status, kFailed) << refused.output;
    EXPECT_TRUE(Contains(refused.output, "certificate \"other\" has no role here"));
  }
}

TEST_F(ControlTcp, RefusesCertificatesThatItsAuthorityDoesNotVouchFor) {
  Serve();
  CertificateAuthority stranger;
  ExpectRefused(stranger.Sign("boss"));
  ExpectRefused(authority_.SignExpired("late"));
  ExpectRefused(authority_.Sign("service", "extendedKeyUsage=serverAuth"));
  EXPECT_EQ(Ask(authority_.Sign("boss"), {"devices"}).exit_status, kOk);
}

TEST_F(ControlTcp, IsNotBelievedByAClientOfAnotherAuthority) {
  Serve();
  CertificateAuthority stranger;
  const Finished refused =
      ctl_.Run(Words(authority_.Sign("boss"), {"devices"}, stranger.certificate()));
  EXPECT_EQ(refused.exit_status, kUnreachable);
  EXPECT_TRUE(Contains(refused.output, "not signed by what --ca has")) << refused.output;
}

TEST_F(ControlTcp, ClosesWhatIsNoTls) {
  Serve();
  const UniqueFd plain = Connect(), web = Connect(), garbage = Connect(), silent = Connect();
  const UniqueFd half = Connect();
  Say(plain, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  Say(web, "GET / HTTP/1.0\r\n\r\n");
  Say(garbage, std::string(4096, '\xff'));
  Say(half, std::string("\x16\x03\x01\x02\x00\x01", 6));  // where a hello begins
  for (const UniqueFd* socket : {&plain, &web, &garbage, &silent, &half})
    EXPECT_TRUE(IsClosed(*socket));
  EXPECT_EQ(Ask(authority_.Sign("viewer"), {"devices"}).exit_status, kOk);
}

TEST_F(ControlTcp, ClosesTlsWithoutACertificateOrWithoutACall) {
  Serve();
  const CertificateFiles viewer = authority_.Sign("viewer");
  const std::string server = absl::StrCat("127.0.0.1:", port_);
  // They say nothing, and end when the other end closes.
  std::vector<std::string> words = {
      "/usr/bin/openssl",      "s_client", "-quiet", "-alpn", "h2", "-connect", server, "-CAfile",
      authority_.certificate()};
  Child without({.arguments = words, .output = File("without")});
  words.insert(words.end(), {"-cert", viewer.certificate, "-key", viewer.key});
  Child idle({.arguments = words, .output = File("idle")});
  EXPECT_TRUE(without.Wait().has_value());
  EXPECT_TRUE(idle.Wait().has_value());
  EXPECT_TRUE(IsLogged("peer did not return a certificate"));
}

TEST_F(ControlTcp, TakesSoManyConnectionsOfAnAddressAndNoMore) {
  Serve();
  std::vector<UniqueFd> sockets;
  for (int i = 0; i < kOfAddress; ++i) sockets.push_back(Connect());
  EXPECT_TRUE(IsClosed(Connect()));
  EXPECT_TRUE(IsLogged(absl::StrCat("address 127.0.0.1 has ", kOfAddress, " control connections")));
  sockets.clear();
  const CertificateFiles viewer = authority_.Sign("viewer");
  EXPECT_TRUE(Eventually([&] { return Ask(viewer, {"devices"}).exit_status == kOk; }));
}

TEST_F(ControlTcp, LeavesConnectionsToTheMachineItself) {
  Serve();
  std::vector<UniqueFd> sockets;
  for (int i = 0; i < kOverTcp; ++i)
    sockets.push_back(Connect(i < kOfAddress ? "127.0.0.2" : "127.0.0.3"));
  EXPECT_TRUE(IsClosed(Connect("127.0.0.4")));
  EXPECT_TRUE(IsLogged(absl::StrCat("the service has ", kOverTcp, " control connections")));
  EXPECT_EQ(CtlCommand(daemon().control_socket()).Run({"devices"}).exit_status, kOk);
}

TEST_F(ControlTcp, EndsWithTheService) {
  Serve();
  const UniqueFd silent = Connect();
  const CertificateFiles viewer = authority_.Sign("viewer");
  Program watch = ctl_.Command(Words(viewer, {"watch"}, authority_.certificate()));
  watch.output = File("watch");
  Child watching(watch);
  ASSERT_TRUE(Eventually([&] { return Contains(ReadAll(watch.output), "POSITION"); }));
  EXPECT_EQ(daemon().Stop(), 0);
  EXPECT_TRUE(IsClosed(silent));
  EXPECT_EQ(watching.ExitStatus(), kFailed);
  EXPECT_TRUE(Contains(ReadAll(watch.output), "SHUTTING_DOWN"));
}

}  // namespace
}  // namespace hlbuf
