// SPDX-License-Identifier: Apache-2.0
// Devices under maintenance, jobs that are over, and what a reset would meet, as an operator asks
// for them; the exit status is what an epilog decides by.
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "hlbuf/v1/control.pb.h"
#include "tests/support/control_client.h"
#include "tests/support/ctl_test.h"

namespace hlbuf {
namespace {

constexpr std::uint64_t kBytes = 64 << 10;

class Drain : public CtlTest {
 protected:
  ~Drain() override {
    EXPECT_EQ(Run({"undrain", "dev0"}).exit_status, kOk);  // the others share the daemon
  }
};

TEST_F(Drain, KeepsADeviceOutOfUseUntilItIsUndrained) {
  LibraryClient alice = Client(Alice());
  const Finished drained = Run({"drain", "dev0"});
  EXPECT_EQ(drained.exit_status, kOk) << drained.output;
  EXPECT_EQ(drained.output, "dev0 is DRAINED; nothing of it is held\n");
  const std::string refusal = alice.RefusalToAllocate(kBytes);
  EXPECT_TRUE(StartsWith(refusal, "DEVICE_UNAVAILABLE dev0 is DRAINED: uid "));
  EXPECT_TRUE(Contains(refusal, "hl-bufctl undrain dev0"));
  EXPECT_TRUE(StartsWith(alice.AwaitNotice("device dev0 DRAINED"), "device dev0 DRAINED"));
  EXPECT_TRUE(Contains(Run({"devices", "--state", "drained"}).output, "drained by uid "));
  EXPECT_EQ(Run({"undrain", "dev0"}).exit_status, kOk);
  EXPECT_TRUE(StartsWith(alice.AwaitNotice("device dev0 READY"), "device dev0 READY"));
  alice.Release(alice.Allocate(kBytes));
}

TEST_F(Drain, LetsAJobFinishAndWaitsForIt) {
  LibraryClient alice = Client(Alice());
  const HeldBuffer made = alice.Allocate(kBytes, "weights");
  Child draining(Command({"drain", "dev0", "--wait"}));
  alice.AwaitNotice("device dev0 DRAINED");
  EXPECT_TRUE(StartsWith(alice.RefusalToOpen(made.id), "DEVICE_UNAVAILABLE"));
  EXPECT_TRUE(draining.RunsFor(100));
  alice.Write(made, "it goes on");
  EXPECT_EQ(alice.Read(made, 10), "it goes on");
  alice.Release(made);
  EXPECT_EQ(draining.ExitStatus(), kOk) << Output();
  EXPECT_TRUE(Contains(Output(), "nothing of it is held"));
  daemon().ExpectNothingInUse();
}

TEST_F(Drain, AsksBackWhatIsHeld) {
  LibraryClient alice = Client(Alice());
  alice.Allocate(kBytes);
  Child draining(Command({"drain", "dev0", "--grace", "15s", "--wait"}));
  EXPECT_TRUE(Contains(alice.AwaitNotice("revoke "), "OPERATOR"));
  EXPECT_EQ(draining.ExitStatus(), kOk) << Output();
}

TEST_F(Drain, SaysByItsExitStatusThatSomebodyStillHolds) {
  LibraryClient alice = Client(Alice());
  alice.KeepWhatIsRevoked();
  const HeldBuffer made = alice.Allocate(kBytes);
  const Finished held = Run({"drain", "dev0", "--grace", "100ms", "--wait", "--timeout", "300ms"});
  EXPECT_EQ(held.exit_status, kHeld) << held.output;
  EXPECT_TRUE(Contains(held.output, IdText(made.id)));
  EXPECT_TRUE(Contains(held.output, "pid " + std::to_string(alice.process().pid())));
  const auto json =
      Json<v1::DrainDeviceResponse>({"drain", "dev0", "--wait", "--timeout", "0"}, kHeld);
  EXPECT_EQ(json.held_count(), 1u);
  EXPECT_EQ(Run({"drain", "dev0"}).exit_status, kOk) << "it did not wait";
  alice.process().Kill();
  EXPECT_EQ(Run({"drain", "dev0", "--wait"}).exit_status, kOk);
}

TEST_F(Drain, HoldsOverAReset) {
  LibraryClient alice = Client(Alice());
  EXPECT_EQ(Run({"drain", "dev0"}).exit_status, kOk);
  const Finished reset = Run({"simulate-reset", "dev0"});
  EXPECT_EQ(reset.exit_status, kOk) << reset.output;
  EXPECT_TRUE(Contains(reset.output, "dev0 is DRAINED, epoch "));
  EXPECT_TRUE(StartsWith(alice.RefusalToAllocate(kBytes), "DEVICE_UNAVAILABLE dev0 is DRAINED"));
}

TEST_F(Drain, OfAUserEndsWhatItHasAndNothingElse) {
  LibraryClient alice = Client(Alice());
  LibraryClient bob = Client(Bob());
  const HeldBuffer of_alice = alice.Allocate(kBytes);
  const HeldBuffer of_bob = bob.Allocate(kBytes);
  bob.Share(of_bob.id, "uid", *Alice().uid);
  alice.Open(of_bob.id);
  Child draining(
      Command({"drain", "--uid", std::to_string(*Alice().uid), "--grace", "15s", "--wait"}));
  alice.AwaitNotice("revoke " + std::to_string(of_alice.id));
  EXPECT_EQ(draining.ExitStatus(), kOk) << Output();
  EXPECT_TRUE(Contains(Output(), IdText(of_alice.id)));
  EXPECT_TRUE(Contains(Output(), IdText(of_bob.id)));
  EXPECT_TRUE(StartsWith(alice.RefusalToOpen(of_alice.id), "GONE"));
  bob.Release(bob.Open(of_bob.id));
  bob.Release(of_bob);
  bob.Release(bob.Allocate(kBytes));
}

TEST_F(Drain, OfAUserWhoKeepsIsHeld) {
  LibraryClient alice = Client(Alice());
  alice.KeepWhatIsRevoked();
  alice.Allocate(kBytes);
  const std::string uid = std::to_string(*Alice().uid);
  EXPECT_EQ(Run({"drain", "--uid", uid, "--grace", "100ms", "--wait"}).exit_status, kHeld);
  EXPECT_EQ(Run({"drain", "--uid", uid, "--grace", "100ms"}).exit_status, kOk) << "did not wait";
  alice.process().Kill();
  EXPECT_EQ(Run({"drain", "--uid", uid, "--wait"}).exit_status, kOk);
  daemon().ExpectNothingInUse();
}

// A control group as Slurm's daemon makes it for a job. Without one where this machine has no
// hierarchy that could have it.
class SlurmJob {
 public:
  explicit SlurmJob(std::uint32_t job) {
    const bool unified = std::filesystem::exists("/sys/fs/cgroup/cgroup.controllers");
    const std::filesystem::path above = unified ? "/sys/fs/cgroup/system.slice/slurmstepd.scope"
                                                : "/sys/fs/cgroup/freezer/slurm/uid_0";
    const std::filesystem::path group = above / ("job_" + std::to_string(job));
    std::error_code failed;
    std::filesystem::create_directories(group, failed);
    if (!failed && ::access((group / "cgroup.procs").c_str(), W_OK) == 0) group_ = group;
  }
  ~SlurmJob() {
    if (!exists()) return;
    Eventually([this] { return ::rmdir(group_.c_str()) == 0; });  // when its process is gone
    ::rmdir(group_.parent_path().c_str());
    ::rmdir(group_.parent_path().parent_path().c_str());  // unless others are in there
  }
  bool exists() const { return !group_.empty(); }
  void Take(pid_t pid) const { std::ofstream(group_ / "cgroup.procs") << pid << std::endl; }

 private:
  std::filesystem::path group_;
};

TEST_F(Drain, OfAJobIsWhatAnEpilogAsksFor) {
  const SlurmJob job(4711);
  if (!job.exists()) GTEST_SKIP() << "no control group can be made here";
  ClientProcess process(Alice());
  job.Take(process.pid());
  EXPECT_TRUE(process.Do("library-connect " + daemon().client_socket()).ok);
  const Reply made = process.Must("library-allocate 65536 -");
  LibraryClient outside = Client(Alice());
  outside.Allocate(kBytes);
  EXPECT_TRUE(Contains(Run({"sessions"}).output, "job 4711"));
  const Finished held = Run({"drain", "--job", "4711", "--grace", "100ms", "--wait"});
  EXPECT_EQ(held.exit_status, kHeld) << held.output;
  EXPECT_TRUE(Contains(held.output, IdText(made.Number(2))));
  process.Kill();
  const Finished over = Run({"drain", "--job", "4711", "--wait"});
  EXPECT_EQ(over.exit_status, kOk) << over.output;
  EXPECT_EQ(daemon().UsedBytes(), kBytes) << "what is outside of the job goes on";
}

TEST_F(Drain, NeedsAnOperator) {
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{"drain", "dev0"},
                                             {"undrain", "dev0"},
                                             {"drain", "--uid", "0"},
                                             {"plan-reset", "dev0"}}) {
    Program command = Command(arguments);
    command.uid = Bob().uid;
    command.gid = Bob().gids.front();
    const Finished refused = RunToEnd(command);
    EXPECT_EQ(refused.exit_status, kFailed);
    EXPECT_TRUE(Contains(refused.output, "(PERMISSION_DENIED)"));
  }
  EXPECT_EQ(Run({"drain", "dev9"}).exit_status, kFailed);
}

using PlannedReset = CtlTest;

TEST_F(PlannedReset, IsClearWithClientsThatBehave) {
  LibraryClient alice = Client(Alice());
  const HeldBuffer made = alice.Allocate(kBytes);
  const Finished plan = Run({"plan-reset", "dev0"});
  EXPECT_EQ(plan.exit_status, kOk) << plan.output;
  EXPECT_TRUE(StartsWith(plan.output, "yes: nothing stands in the way of a reset of dev0\n"));
  EXPECT_TRUE(Contains(plan.output, "it would ask 1 session for 1 lease of 1 buffer, 64KiB"));
  EXPECT_TRUE(Contains(plan.output, "pid " + std::to_string(alice.process().pid())));
  alice.Release(made);
}

// Stopped, with a grant on its way: no notice reaches it.
TEST_F(PlannedReset, NamesAClientThatCannotBeTold) {
  ClientProcess process(Alice());
  SessionThere session = SessionThere::Greeted(process, daemon().client_socket());
  session.Send(AllocateFrame(2, kBytes));
  ControlClient control(daemon().control_socket());
  EXPECT_TRUE(
      Eventually([&] { return control.SessionsOf(*Alice().uid).at(0).in_flight_fds == 1; }));
  const auto plan = Json<v1::ResetPlan>({"plan-reset", "dev0"}, kHeld);
  ASSERT_EQ(plan.sessions_size(), 1);
  EXPECT_EQ(plan.sessions(0).session().peer().pid(), process.pid());
  ASSERT_EQ(plan.sessions(0).obstacles_size(), 1);
  EXPECT_EQ(plan.sessions(0).obstacles(0), v1::RESET_OBSTACLE_UNREAD_GRANT);
  EXPECT_TRUE(Contains(Run({"plan-reset", "dev0"}).output, "unread grant"));
  EXPECT_TRUE(session.ReceiveAnswer().has_value());
  EXPECT_EQ(Run({"plan-reset", "dev0"}).exit_status, kOk) << "it has taken it";
}

TEST_F(PlannedReset, NamesAClientThatKeptABufferBefore) {
  LibraryClient alice = Client(Alice());
  alice.KeepWhatIsRevoked();
  const HeldBuffer made = alice.Allocate(kBytes);
  EXPECT_EQ(Run({"revoke", "--grace", "100ms", IdText(made.id)}).exit_status, kHeld);
  const Finished plan = Run({"plan-reset", "dev0"});
  EXPECT_EQ(plan.exit_status, kHeld) << plan.output;
  EXPECT_TRUE(Contains(plan.output, "overdue"));
  alice.process().Kill();
  daemon().ExpectNothingInUse();
}

}  // namespace
}  // namespace hlbuf
