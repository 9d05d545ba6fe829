// SPDX-License-Identifier: Apache-2.0
// The control API over TCP, whose certificates and roles change while the service runs.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/support/control_tcp_test.h"

namespace hlbuf {
namespace {

TEST_F(ControlTcp, GivesNewRolesToThoseWhoAreThere) {
  Serve();
  const CertificateFiles alice = authority_.Sign("alice");
  EXPECT_EQ(Ask(alice, {"simulate-reset", "dev0"}).exit_status, kFailed);
  Reconfigure("admin = [\"alice\"]\n");
  EXPECT_EQ(Ask(alice, {"simulate-reset", "dev0"}).exit_status, kOk);
  EXPECT_EQ(Ask(authority_.Sign("boss"), {"simulate-reset", "dev0"}).exit_status, kFailed);
}

TEST_F(ControlTcp, TakesOtherCertificatesWhenItIsToldTo) {
  Serve();
  const CertificateFiles old = authority_.Sign("viewer");
  EXPECT_EQ(Ask(old, {"devices"}).exit_status, kOk);
  CertificateAuthority next("the next authority");
  Install(next.Server(), next);
  EXPECT_EQ(Ask(old, {"devices"}).exit_status, kOk) << "nobody told it";
  daemon().Signal(SIGHUP);
  ASSERT_TRUE(IsLogged("the configuration was read again and holds"));
  EXPECT_EQ(Ask(old, {"devices"}).exit_status, kUnreachable);
  EXPECT_EQ(ctl_.Run(Words(old, {"devices"}, next.certificate())).exit_status, kUnreachable);
  EXPECT_EQ(ctl_.Run(Words(next.Sign("viewer"), {"devices"}, next.certificate())).exit_status, kOk);
}

TEST_F(ControlTcp, KeepsItsCertificateWhenTheNextOneIsBad) {
  Serve();
  std::ofstream(File("server.key")) << "garbage";
  daemon().Signal(SIGHUP);
  ASSERT_TRUE(IsLogged(absl::StrCat("error: control_tcp.key: ", File("server.key"),
                                    ": there is no private key in it")));
  EXPECT_EQ(Ask(authority_.Sign("viewer"), {"devices"}).exit_status, kOk);
}

TEST_F(ControlTcp, IsMissedByNobodyElseWhenItsCertificateIsBadAtTheStart) {
  Install(authority_.Server(), authority_);
  std::ofstream(File("server.key")) << "garbage";
  Start({.config = Section("")});
  EXPECT_TRUE(IsLogged("error: there is no control API over TCP: control_tcp.key: "));
  const CtlCommand here(daemon().control_socket());
  EXPECT_EQ(here.Run({"devices"}).exit_status, kOk);
  EXPECT_TRUE(Eventually([&] {
    return Contains(daemon().supervisor().status(), "; there is no control API over TCP: ");
  })) << daemon().supervisor().status();

  Install(authority_.Server(), authority_);
  daemon().Signal(SIGHUP);
  Find();
  EXPECT_EQ(Ask(authority_.Sign("viewer"), {"devices"}).exit_status, kOk);
  EXPECT_TRUE(Eventually([&] { return !Contains(daemon().supervisor().status(), "over TCP"); }))
      << daemon().supervisor().status();
  EXPECT_EQ(daemon().Stop(), 0) << "with a socket more than at its start";
}

TEST_F(ControlTcp, SaysInWordsWhatIsWrongWhenItIsOnlyChecked) {
  Serve();
  ASSERT_EQ(::chmod(File("server.key").c_str(), 0644), 0);
  const Finished checked = RunDaemonWith({"--check-config", "--config", daemon().config_path()});
  EXPECT_EQ(checked.exit_status, 3);
  EXPECT_TRUE(Contains(checked.output, absl::StrCat("control_tcp.key: ", File("server.key"),
                                                    ": everybody on this machine")));
}

}  // namespace
}  // namespace hlbuf
