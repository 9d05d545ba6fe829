// SPDX-License-Identifier: Apache-2.0
// hl-bufctl as an operator runs it: what it shows, and the exit status that scripts decide by.
#include <google/protobuf/struct.pb.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <csignal>
#include <map>
#include <optional>

#include "hlbuf/v1/control.pb.h"
#include "tests/support/ctl_test.h"

namespace hlbuf {
namespace {

constexpr std::uint64_t kBytes = 64 << 10;

using Ctl = CtlTest;

TEST_F(Ctl, PrintsMetrics) {
  LibraryClient alice = Client(Alice());
  alice.Allocate(kBytes);
  const Finished text = Run({"metrics"});
  EXPECT_EQ(text.exit_status, kOk);
  EXPECT_TRUE(Contains(text.output, "\nhlbuf_device_used_bytes{device=\"dev0\"} 65536\n"));
  EXPECT_TRUE(Contains(text.output, "\n# EOF\n"));
  EXPECT_TRUE(Contains(Json<hlbuf::v1::GetMetricsResponse>({"metrics"}).text(), "# EOF\n"));
  const Finished older = Run({"metrics", "--format", "prometheus"});
  EXPECT_TRUE(Contains(older.output, "# TYPE hlbuf_events_total counter\n")) << older.output;
  EXPECT_FALSE(Contains(older.output, "# EOF"));
}

TEST_F(Ctl, ListsWhoHoldsWhat) {
  LibraryClient alice = Client(Alice());
  const HeldBuffer made = alice.Allocate(kBytes, "weights", {"job=7"});
  const std::string uid = std::to_string(*Alice().uid);
  EXPECT_TRUE(Contains(Run({"devices"}).output, "dev0"));
  for (const char* list : {"buffers", "leases"}) {
    const Finished table = Run({list});
    EXPECT_EQ(table.exit_status, kOk);
    for (const std::string& word : {IdText(made.id), std::string("weights"), "uid " + uid})
      EXPECT_TRUE(Contains(table.output, word)) << table.output;
  }
  EXPECT_TRUE(Contains(Run({"sessions"}).output, "pid " + std::to_string(alice.process().pid())));
}

TEST_F(Ctl, ListsTheSameAsJson) {
  LibraryClient alice = Client(Alice());
  const HeldBuffer made = alice.Allocate(kBytes, "weights");
  const auto devices = Json<v1::ListDevicesResponse>({"devices"});
  ASSERT_EQ(devices.devices_size(), 1);
  EXPECT_EQ(devices.devices(0).used_bytes(), kBytes);
  const auto buffers = Json<v1::ListBuffersResponse>({"buffers"});
  ASSERT_EQ(buffers.buffers_size(), 1);
  EXPECT_EQ(buffers.buffers(0).id(), IdText(made.id));
  const auto leases = Json<v1::ListLeasesResponse>({"leases", "--buffer", IdText(made.id)});
  ASSERT_EQ(leases.leases_size(), 1);
  EXPECT_EQ(leases.leases(0).holder().pid(), alice.process().pid());
  const auto sessions =
      Json<v1::ListSessionsResponse>({"sessions", "--uid", std::to_string(*Alice().uid)});
  EXPECT_EQ(sessions.sessions_size(), 1);
  EXPECT_EQ(Json<v1::ListBuffersResponse>({"buffers", "--state", "draining"}).buffers_size(), 0);
}

TEST_F(Ctl, RevokesAndShowsTheVerdict) {
  LibraryClient alice = Client(Alice());
  const HeldBuffer made = alice.Allocate(kBytes);
  Child revoking(Command({"revoke", IdText(made.id)}));
  alice.AwaitNotice("revoke ");
  EXPECT_EQ(revoking.ExitStatus(), kOk);
  EXPECT_TRUE(Contains(Output(), LetGo()));
  daemon().ExpectNothingInUse();
}

TEST_F(Ctl, SaysByItsExitStatusThatABufferIsHeld) {
  LibraryClient alice = Client(Alice());
  alice.KeepWhatIsRevoked();
  const HeldBuffer made = alice.Allocate(kBytes);
  const Finished held = Run({"revoke", "--grace", "200ms", IdText(made.id)});
  EXPECT_EQ(held.exit_status, kHeld);
  EXPECT_TRUE(Contains(held.output, "HELD"));
  EXPECT_TRUE(Contains(held.output, "pid " + std::to_string(alice.process().pid())));
  alice.process().Exit();
  daemon().ExpectNothingInUse();
}

TEST_F(Ctl, DrillsAReset) {
  const std::uint64_t before = Json<v1::ListDevicesResponse>({"devices"}).devices(0).epoch();
  const Finished reset = Run({"simulate-reset", "dev0"});
  EXPECT_EQ(reset.exit_status, kOk) << reset.output;
  EXPECT_EQ(Json<v1::ListDevicesResponse>({"devices"}).devices(0).epoch(), before + 1);
  EXPECT_EQ(Run({"simulate-reset", "dev0", "--drill", "fails"}).exit_status, kFailed);
  EXPECT_TRUE(Contains(Run({"devices", "--state", "failed"}).output, "dev0"));
  EXPECT_EQ(Run({"simulate-reset", "dev0"}).exit_status, kOk) << "it comes back with the next one";
}

TEST_F(Ctl, SaysWhenItIsInterruptedThatADrillGoesOn) {
  LibraryClient alice = Client(Alice());
  alice.KeepWhatIsRevoked();
  alice.Allocate(kBytes);
  Child drilling(Command({"simulate-reset", "dev0", "--grace", "1h"}));
  alice.AwaitNotice("revoke ");
  drilling.Signal(SIGINT);
  const std::optional<int> status = drilling.Wait();
  ASSERT_TRUE(status.has_value());
  EXPECT_TRUE(WIFSIGNALED(*status) && WTERMSIG(*status) == SIGINT) << *status;
  EXPECT_TRUE(Contains(Output(), "interrupted; what was begun goes on")) << Output();
}

TEST_F(Ctl, SaysWhatEndsADrillThatFailed) {
  const Finished failed = Run({"simulate-reset", "dev0", "--drill", "fails"});
  EXPECT_TRUE(Contains(failed.output, "; `hl-bufctl simulate-reset dev0` brings it back"))
      << failed.output;
  EXPECT_EQ(Run({"simulate-reset", "dev0"}).exit_status, kOk);
}

TEST_F(Ctl, NamesWhatIsThereWhereSomethingIsNot) {
  for (const char* list : {"buffers", "leases", "watch"}) {
    const Finished unknown = Run({list, "--device", "nosuch"});
    EXPECT_EQ(unknown.exit_status, kFailed) << list;
    EXPECT_TRUE(Contains(unknown.output, "'nosuch'; `hl-bufctl devices` shows")) << unknown.output;
  }
  const Finished holders = Run({"holders", "nosuch"});
  EXPECT_EQ(holders.exit_status, kFailed);
  EXPECT_TRUE(Contains(holders.output, "there is no device and no buffer 'nosuch'; "))
      << holders.output;
  EXPECT_TRUE(Contains(Run({"revoke", "xyz"}).output, "BUFFER is 'xyz'"));
}

TEST_F(Ctl, SaysThatThereWasNothingToAskBack) {
  for (const bool wait : {true, false}) {
    std::vector<std::string> drain = {"drain", "--uid", "4242"};
    if (wait) drain.emplace_back("--wait");
    const Finished nothing = Run(drain);
    EXPECT_EQ(nothing.exit_status, kOk);
    EXPECT_TRUE(Contains(nothing.output, "there was nothing to ask back")) << nothing.output;
  }
}

TEST_F(Ctl, FailsWhenItsHelpCannotBeWritten) {
  Program help = Command({"--help"});
  help.output = "/dev/full";
  EXPECT_EQ(Child(help).ExitStatus(), kFailed);
}

TEST_F(Ctl, SaysThatTheDeviceIsLostAlsoWhenABufferIsHeld) {
  LibraryClient alice = Client(Alice());
  alice.KeepWhatIsRevoked();
  alice.Allocate(kBytes);
  const Finished reset = Run({"simulate-reset", "dev0", "--drill", "fails", "--grace", "200ms"});
  EXPECT_EQ(reset.exit_status, kFailed) << reset.output;
  EXPECT_TRUE(Contains(reset.output, "1 HELD")) << reset.output;
  alice.process().Exit();
  EXPECT_EQ(Run({"simulate-reset", "dev0"}).exit_status, kOk);
}

TEST_F(Ctl, DoesNotWaitWhenItIsToldNotTo) {
  LibraryClient alice = Client(Alice());
  alice.KeepWhatIsRevoked();
  const HeldBuffer made = alice.Allocate(kBytes);
  const Finished begun = Run({"revoke", IdText(made.id), "--no-wait", "--grace", "1h"});
  EXPECT_EQ(begun.exit_status, kOk);
  EXPECT_TRUE(Contains(begun.output, ": begun; ")) << begun.output;
  const auto owned = Json<v1::ListLeasesResponse>(
      {"leases", "--owner", std::to_string(*Alice().uid), "--state", "revoking"});
  EXPECT_EQ(owned.leases_size(), 1);
}

TEST_F(Ctl, WatchesUntilItIsStopped) {
  LibraryClient alice = Client(Alice());
  Child watching(Command({"watch"}));
  ASSERT_TRUE(Eventually([&] { return Contains(Output(), "POSITION"); }));
  const HeldBuffer made = alice.Allocate(kBytes);
  EXPECT_TRUE(Eventually([&] { return Contains(Output(), "buffer " + IdText(made.id)); }))
      << Output();
  watching.Signal(SIGTERM);
  EXPECT_EQ(watching.ExitStatus(), kOk);
}

TEST_F(Ctl, SaysWhatWentWrongAndWhoseFaultItIs) {
  const Finished unknown = Run({"revoke", "1234"});
  EXPECT_EQ(unknown.exit_status, kFailed);
  EXPECT_TRUE(Contains(unknown.output, "(NOT_FOUND)"));
  EXPECT_EQ(Run({"revoke"}).exit_status, kBadUsage);
  EXPECT_EQ(Run({"dance"}).exit_status, kBadUsage);
  const Finished nobody = Run({"--socket", "/nonexistent/control.sock", "devices"});
  EXPECT_EQ(nobody.exit_status, kUnreachable);
  EXPECT_TRUE(Contains(nobody.output, "/nonexistent/control.sock"));
}

// What else it finds is this machine's affair: doctor_guest_test has one that is known.
TEST_F(Ctl, ExaminesTheNodeAndTheServiceThatRunsThere) {
  const auto report = Json<google::protobuf::Struct>({"doctor"}, kAny);
  std::map<std::string, std::string> verdicts;
  std::map<std::string, std::string> evidence;
  for (const auto& value : report.fields().at("findings").list_value().values()) {
    const auto& finding = value.struct_value().fields();
    verdicts[finding.at("check").string_value()] = finding.at("verdict").string_value();
    evidence[finding.at("check").string_value()] = finding.at("evidence").string_value();
  }
  EXPECT_TRUE(Contains(evidence["service"], "dev0 (" + DeviceKind() + ") is READY"));
  EXPECT_EQ(verdicts["keeper"], "ok") << evidence["keeper"];
  EXPECT_TRUE(Contains(evidence["descriptors"], std::to_string(daemon().pid()) + "/limits"));
  EXPECT_TRUE(Contains(evidence["user-namespace"], std::to_string(daemon().pid()) + "/uid_map"));
  const Finished table = Run({"doctor"});
  const bool well = report.fields().at("problems").number_value() == 0;
  EXPECT_EQ(table.exit_status, well ? kOk : kFailed) << table.output;
  EXPECT_TRUE(StartsWith(table.output, "CHECK"));
}

TEST_F(Ctl, ReportsAServiceThatDoesNotRunAsOneProblemAmongOthers) {
  const Finished finished = Run({"--socket", "/nonexistent/control.sock", "doctor"});
  EXPECT_EQ(finished.exit_status, kFailed);
  EXPECT_TRUE(Contains(finished.output, "cannot connect to /nonexistent/control.sock"));
  EXPECT_TRUE(Contains(finished.output, "What to do:"));
}

TEST_F(Ctl, ShowsAUserWithoutARoleItsOwnAndNothingElse) {
  LibraryClient alice = Client(Alice());
  LibraryClient bob = Client(Bob());
  const HeldBuffer of_alice = alice.Allocate(kBytes);
  const HeldBuffer of_bob = bob.Allocate(kBytes);
  Program buffers = Command({"buffers"});
  buffers.uid = Bob().uid;
  buffers.gid = Bob().gids.front();
  const Finished seen = RunToEnd(buffers);
  EXPECT_EQ(seen.exit_status, kOk);
  EXPECT_TRUE(Contains(seen.output, IdText(of_bob.id)));
  EXPECT_EQ(seen.output.find(IdText(of_alice.id)), std::string::npos);
  Program revoke = Command({"revoke", IdText(of_bob.id)});
  revoke.uid = buffers.uid;
  revoke.gid = buffers.gid;
  const Finished refused = RunToEnd(revoke);
  EXPECT_EQ(refused.exit_status, kFailed);
  EXPECT_TRUE(Contains(refused.output, "(PERMISSION_DENIED)"));
}

}  // namespace
}  // namespace hlbuf
