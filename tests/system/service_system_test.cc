// SPDX-License-Identifier: Apache-2.0
// The service under systemd: how it starts, that it works under its hardening, how it ends.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <csignal>
#include <filesystem>
#include <future>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "tests/support/raw_client.h"
#include "tests/support/texts.h"
#include "tests/system/installed_service.h"

namespace hlbuf {
namespace {

constexpr std::uint64_t kBytes = 64 << 10;

class Service : public InstalledService {};

TEST_F(Service, StartsWhenAClientConnects) {
  ASSERT_EQ(Show(kService, "ActiveState"), "inactive");
  LibraryClient alice = Alice();
  EXPECT_EQ(alice.Allocate(kBytes).size_bytes, kBytes);
  EXPECT_TRUE(Comes(kService, "ActiveState", "active"));
}

TEST_F(Service, StartsWhenAnOperatorAsks) {
  ASSERT_EQ(Show(kService, "ActiveState"), "inactive");
  const Finished devices = Ctl({"devices"});
  EXPECT_EQ(devices.exit_status, 0) << devices.output;
  EXPECT_TRUE(Contains(devices.output, "software0"));
}

TEST_F(Service, DoesItsMainJobUnderItsHardening) {
  LibraryClient alice = Alice();
  LibraryClient bob = Bob();
  const HeldBuffer made = alice.Allocate(kBytes, "weights");
  alice.Write(made, "forty-two");
  EXPECT_TRUE(StartsWith(bob.RefusalToOpen(made.id), "PERMISSION_DENIED"));
  alice.Share(made.id, "uid", 64'002);
  EXPECT_EQ(bob.Read(bob.Open(made.id), 9), "forty-two");
  const Finished sessions = Ctl({"sessions"});
  EXPECT_TRUE(Contains(sessions.output, absl::StrCat("pid ", alice.process().pid())));

  std::future<Finished> reset = std::async(std::launch::async, [] {
    return Ctl({"simulate-reset", "software0", "--grace", "20s"});
  });
  EXPECT_TRUE(Contains(alice.AwaitNotice("revoke "), " RESET"));
  EXPECT_TRUE(Contains(bob.AwaitNotice("revoke "), " RESET"));
  const Finished done = reset.get();
  EXPECT_EQ(done.exit_status, 0) << done.output;
  EXPECT_TRUE(Contains(done.output, "ACKNOWLEDGED"));

  EXPECT_EQ(StatusField("CapEff"), "0000000000000000");
  EXPECT_EQ(StatusField("NoNewPrivs"), "1");
  EXPECT_EQ(StatusField("Seccomp"), "2");
}

TEST_F(Service, LetsNobodyInWhoIsNoClient) {
  Must({"start", kService});
  const std::string refusal = [] {
    LibraryClient alice = Alice();
    ClientProcess stranger({.uid = 64'003, .gids = {64'203}});
    return stranger.Do(absl::StrCat("library-connect ", kClientSocket)).Text();
  }();
  EXPECT_TRUE(Contains(refusal, "Permission denied")) << refusal;
}

TEST_F(Service, SaysWhatItServesAndWhereItIs) {
  Must({"start", kService});
  EXPECT_EQ(Show(kService, "StatusText"), "Serving software0 (READY)");
  EXPECT_TRUE(IsLogged("a pid namespace of its own")) << "this container has one";
}

TEST_F(Service, TellsTheJournalWhatAnAdministratorLooksFor) {
  Must({"start", kService});
  EXPECT_EQ(Ctl({"simulate-reset", "software0"}).exit_status, 0);
  const std::string catalog = Journal({"--catalog", "HLBUFD_STATE=REVOKING"});
  EXPECT_TRUE(Contains(catalog, "Subject: Device software0 is being reset"));
  EXPECT_TRUE(Contains(Journal({"--catalog", "HLBUFD_STATE=READY"}), "Device software0 serves"));
}

TEST_F(Service, KeepsItsSocketsOverARestart) {
  Must({"start", kService});
  struct stat before = {};
  ASSERT_EQ(::stat(kClientSocket, &before), 0);
  const pid_t first = MainPid();
  LibraryClient alice = Alice();
  Must({"restart", kService});
  EXPECT_NE(MainPid(), first);
  struct stat after = {};
  ASSERT_EQ(::stat(kClientSocket, &after), 0);
  EXPECT_EQ(after.st_ino, before.st_ino);
  EXPECT_EQ(Bob().Allocate(kBytes).size_bytes, kBytes);
}

// Whom the old process had accepted already is told to come again.
TEST_F(Service, RefusesNobodyWhileItIsRestarted) {
  Must({"start", kService});
  const pid_t first = MainPid();
  Must({"--no-block", "restart", kService});
  int welcomed = 0;
  EXPECT_TRUE(Eventually([&] {
    RawClient client = RawClient::Connect(kClientSocket);
    EXPECT_TRUE(client);
    client.Send(HelloFrame());
    const std::optional<Packet> answer = client.Receive();
    const int opcode = answer.has_value() ? answer->opcode() : 0;
    EXPECT_TRUE(opcode == HLBUF_WIRE_WELCOME || opcode == HLBUF_WIRE_GOODBYE) << opcode;
    if (opcode == HLBUF_WIRE_WELCOME) ++welcomed;
    const pid_t now = MainPid();
    return now != 0 && now != first;
  }));
  EXPECT_GT(welcomed, 0);
}

TEST_F(Service, ComesBackWhenItIsKilled) {
  Must({"start", kService});
  const pid_t first = MainPid();
  ASSERT_EQ(::kill(first, SIGKILL), 0);
  EXPECT_TRUE(Comes(kService, "NRestarts", "1"));
  EXPECT_EQ(Alice().Allocate(kBytes).size_bytes, kBytes);
  EXPECT_NE(MainPid(), first);
}

// She asks nothing of the next life: what it says of her buffer is in the memory that she mapped.
TEST_F(Service, KeepsItsEpochPageWhenItIsKilled) {
  LibraryClient alice = Alice();
  const HeldBuffer made = alice.Allocate(kBytes);
  EXPECT_TRUE(alice.IsCurrent(made));
  ASSERT_EQ(::kill(MainPid(), SIGKILL), 0);
  EXPECT_TRUE(Comes(kService, "NRestarts", "1"));
  const Finished devices = Ctl({"devices"});
  EXPECT_EQ(devices.exit_status, 0) << devices.output;
  EXPECT_TRUE(alice.IsCurrent(made));
  std::future<Finished> reset = std::async(std::launch::async, [] {
    return Ctl({"simulate-reset", "software0", "--grace", "20s"});
  });
  EXPECT_TRUE(Eventually([&] { return !alice.IsCurrent(made); }));
  alice.AwaitNotice("revoke ");
  EXPECT_EQ(reset.get().exit_status, 0);
}

TEST_F(Service, IsNeverGivenUp) {
  Must({"start", kService});
  for (int i = 1; i <= 8; ++i) {  // more than systemd's default limit
    ASSERT_TRUE(Eventually([] { return MainPid() != 0; }));
    ASSERT_EQ(::kill(MainPid(), SIGKILL), 0);
    ASSERT_TRUE(Comes(kService, "NRestarts", absl::StrCat(i)));
  }
  EXPECT_TRUE(Comes(kService, "ActiveState", "active"));
}

TEST_F(Service, StopsWithAllThatBelongsToItsTarget) {
  Must({"start", kTarget});
  ASSERT_TRUE(Comes(kService, "ActiveState", "active"));
  Must({"stop", kTarget});
  for (const char* unit : {kService, "hl-bufd-clients.socket", "hl-bufd-control.socket",
                           "hl-bufd-keeper.socket", "hl-bufd-holders.socket"})
    EXPECT_TRUE(Comes(unit, "ActiveState", "inactive"));
  ClientProcess alice;
  EXPECT_TRUE(Contains(alice.Do(absl::StrCat("library-connect ", kClientSocket)).Text(),
                       "Connection refused"));
  EXPECT_EQ(Show(kService, "Result"), "success");
}

TEST_F(Service, StartsAgainForItsSocketWhenItAloneWasStopped) {
  Must({"start", kService});
  const pid_t first = MainPid();
  LibraryClient before = Alice();
  Must({"stop", kService});
  EXPECT_EQ(Show("hl-bufd-clients.socket", "ActiveState"), "active");
  EXPECT_EQ(Show(kService, "MainPID"), "0");
  EXPECT_EQ(Bob().Allocate(kBytes).size_bytes, kBytes);
  EXPECT_NE(MainPid(), first);
}

TEST_F(Service, ServesThoseWhoWaitedInTheSocketWhileItCouldNotStart) {
  Configure("[log]\nlevel = \"loud\"\n");
  ClientProcess alice(Member(64'001));
  alice.Begin(absl::StrCat("library-connect ", kClientSocket));
  EXPECT_TRUE(IsLogged("/etc/hl-bufd/hl-bufd.toml:2:9: log.level: found \"loud\""));
  Configure("");
  EXPECT_TRUE(alice.Answer().ok);
}

TEST_F(Service, RefusesToStartWhereOthersCouldReplaceItsSocket) {
  const std::string directory = std::filesystem::path(kClientSocket).parent_path();
  ASSERT_EQ(::chmod(directory.c_str(), 0777), 0);
  EXPECT_NE(Systemctl({"start", kService}).exit_status, 0);
  EXPECT_TRUE(IsLogged(directory + " has mode 0777"));
  ASSERT_EQ(::chmod(directory.c_str(), 0755), 0);
  EXPECT_TRUE(Comes(kService, "ActiveState", "active")) << "it goes on trying";
}

TEST_F(Service, RefusesRulesAboutUsersWhereItDoesNotSeeThem) {
  DropIn("PrivateUsers=yes");
  Configure("[[rule]]\nname = \"r\"\neffect = \"allow\"\nuids = [64001]\n");
  EXPECT_NE(Systemctl({"start", kService}).exit_status, 0);
  EXPECT_TRUE(IsLogged("hl-bufd.toml:4:8: rule.uids: the service's user namespace leaves ids out"));
}

TEST_F(Service, IsHealthyWhereTheManagerKeepsEverythingAlsoAfterAKill) {
  LibraryClient alice = Alice();
  alice.Allocate(kBytes);
  const auto is_verified = [] {
    return Contains(Ctl({"status"}).output, "service manager, which has all of it\n");
  };
  EXPECT_TRUE(Eventually(is_verified)) << Ctl({"status"}).output;
  ASSERT_EQ(::kill(MainPid(), SIGKILL), 0);
  EXPECT_TRUE(Comes(kService, "NRestarts", "1"));
  EXPECT_TRUE(Eventually(is_verified)) << Ctl({"status"}).output;
  const Finished status = Ctl({"status"});
  EXPECT_EQ(status.exit_status, 0) << status.output;
  EXPECT_TRUE(Contains(status.output, "Lost since the service was started: nothing\n"));
}

TEST_F(Service, SaysThatTheManagerHasNoRoomForWhatItGives) {
  DropIn("FileDescriptorStoreMax=1\n");
  LibraryClient alice = Alice();
  alice.Allocate(kBytes);
  EXPECT_TRUE(Eventually([] { return Ctl({"status"}).exit_status == 5; }));
  EXPECT_TRUE(Contains(Ctl({"status"}).output, "raise FileDescriptorStoreMax= of the unit\n"));
  EXPECT_TRUE(IsLogged("STATE_UNKEPT"));
  EXPECT_TRUE(Contains(Ctl({"metrics"}).output, "hlbuf_state_risks_total{kind=\"STATE_UNKEPT\"}"));
}

}  // namespace
}  // namespace hlbuf
