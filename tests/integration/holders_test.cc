// SPDX-License-Identifier: Apache-2.0
// Who holds what: as hl-bufctl shows it, and as the daemon says it of its own accord. All of it
// looks into other processes: needs root.
#include <gtest/gtest.h>

#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "hlbuf/v1/holders.pb.h"
#include "tests/support/control_client.h"
#include "tests/support/ctl_command.h"
#include "tests/support/daemon_process.h"
#include "tests/support/holders_service.h"
#include "tests/support/library_client.h"
#include "tests/support/texts.h"

namespace hlbuf {
namespace {

constexpr std::uint64_t kBytes = 64 << 10;
enum ExitStatus { kOk = 0, kFailed = 1, kHeld = 4 };

std::string IdText(std::uint64_t id) { return absl::StrFormat("%x", id); }
std::string PidText(const ClientProcess& process) { return "pid " + std::to_string(process.pid()); }

class HoldersTest : public DaemonTest {
 protected:
  HoldersTest() {
    Start({.config = "[log]\nlevel = \"debug\"\n"});
    alice_ = std::make_unique<LibraryClient>(Alice(), daemon().client_socket());
    stranger_ = std::make_unique<ClientProcess>(Stranger());
    ctl_ = std::make_unique<CtlCommand>(daemon().control_socket());
  }
  // The daemon has to be as it was when nobody is left.
  void TearDown() override {
    alice_.reset();
    stranger_.reset();
    DaemonTest::TearDown();
  }
  // A copy of hers, for a process that asked nobody.
  void PassOn(const HeldBuffer& buffer, ClientProcess& process) {
    const UniqueFd copy = alice_->process().Give(buffer.fd);
    process.Take(copy.get());
  }
  v1::HoldersReport Report(const std::string& what) {
    return ctl_->Json<v1::HoldersReport>({"holders", what});
  }
  static const v1::OutsideHolder* Find(const v1::BufferHolders& holders, pid_t pid) {
    for (const v1::OutsideHolder& process : holders.processes())
      if (process.pid() == pid) return &process;
    return nullptr;
  }
  // Where every process lets itself be looked at, nobody was missed.
  static int StatusOfNobody(const v1::HoldersReport& report) {
    const v1::HoldersScope& scope = report.scope();
    const bool all =
        scope.fd_unreadable() == 0 && scope.maps_unreadable() == 0 && !scope.processes_hidden();
    return all || CountsReferences() ? kOk : kFailed;
  }
  bool Logged(const std::string& text) {
    return Eventually([&] { return bool{Contains(daemon().Log(), text)}; });
  }

  std::unique_ptr<LibraryClient> alice_;
  std::unique_ptr<ClientProcess> stranger_;
  std::unique_ptr<CtlCommand> ctl_;
};

TEST_F(HoldersTest, ShowsALesseeAsOne) {
  const HeldBuffer made = alice_->Allocate(kBytes, "weights");
  const v1::HoldersReport report = Report(IdText(made.id));
  ASSERT_EQ(report.buffers_size(), 1);
  const v1::BufferHolders& holders = report.buffers(0);
  EXPECT_TRUE(holders.looked_for());
  ASSERT_EQ(holders.processes_size(), 1) << report.DebugString();
  EXPECT_EQ(holders.processes(0).pid(), alice_->process().pid());
  EXPECT_EQ(holders.processes(0).uid(), *Alice().uid);
  EXPECT_EQ(holders.processes(0).command(), "step_client");
  EXPECT_EQ(holders.processes(0).descriptors(), 1u);
  EXPECT_TRUE(holders.processes(0).has_lease());
  EXPECT_EQ(holders.leases_size(), 1);
  EXPECT_EQ(holders.has_unexplained(), CountsReferences());
  EXPECT_EQ(holders.unexplained(), 0u);
  EXPECT_EQ(ctl_->Run({"holders", IdText(made.id)}).exit_status, StatusOfNobody(report));
}

TEST_F(HoldersTest, ShowsWhoHasItWithoutALease) {
  const HeldBuffer made = alice_->Allocate(kBytes);
  PassOn(made, *stranger_);
  const v1::HoldersReport report = Report(IdText(made.id));
  const v1::OutsideHolder* const found = Find(report.buffers(0), stranger_->pid());
  ASSERT_NE(found, nullptr) << report.DebugString();
  EXPECT_TRUE(found->has_has_lease());
  EXPECT_FALSE(found->has_lease());
  const Finished table = ctl_->Run({"holders", IdText(made.id)});
  EXPECT_EQ(table.exit_status, kHeld);
  EXPECT_TRUE(Contains(table.output, PidText(*stranger_)));
  EXPECT_TRUE(Contains(table.output, "NONE"));
}

TEST_F(HoldersTest, ShowsAMappingWhoseDescriptorIsClosed) {
  const HeldBuffer made = alice_->Allocate(kBytes);
  alice_->process().Map(made.fd, kBytes);
  alice_->process().Close(made.fd);
  const v1::HoldersReport report = Report(IdText(made.id));
  const v1::OutsideHolder* const found = Find(report.buffers(0), alice_->process().pid());
  ASSERT_NE(found, nullptr) << report.DebugString();
  EXPECT_EQ(found->descriptors(), 0u);
  EXPECT_EQ(found->mappings(), 1u);
}

TEST_F(HoldersTest, ShowsAllBuffersOfADevice) {
  const HeldBuffer first = alice_->Allocate(kBytes);
  const HeldBuffer second = alice_->Allocate(kBytes);
  PassOn(second, *stranger_);
  const v1::HoldersReport report = Report("dev0");
  ASSERT_EQ(report.buffers_size(), 2);
  EXPECT_EQ(report.buffers(0).buffer().id(), IdText(first.id));
  EXPECT_EQ(Find(report.buffers(0), stranger_->pid()), nullptr);
  EXPECT_NE(Find(report.buffers(1), stranger_->pid()), nullptr);
}

TEST_F(HoldersTest, SaysWhatTakesRoot) {
  const HeldBuffer made = alice_->Allocate(kBytes);
  Program holders = ctl_->Command({"holders", IdText(made.id)});
  holders.uid = Alice().uid;
  holders.gid = Alice().gids.front();
  const Finished seen = RunToEnd(holders);
  EXPECT_EQ(seen.exit_status, kFailed);
  EXPECT_TRUE(Contains(seen.output, "session ")) << "her own lease is shown";
  EXPECT_TRUE(Contains(seen.output, "takes root"));
}

TEST_F(HoldersTest, ShowsWhatTheDaemonKnowsWithoutTheProgram) {
  const HeldBuffer made = alice_->Allocate(kBytes);
  const Finished seen = ctl_->Run({"holders", "--program", "/nonexistent", IdText(made.id)});
  EXPECT_EQ(seen.exit_status, kFailed);
  EXPECT_TRUE(Contains(seen.output, PidText(alice_->process())));
  EXPECT_TRUE(Contains(seen.output, "/nonexistent: No such file"));
}

TEST_F(HoldersTest, KnowsNoBufferAndNoDeviceOfThatName) {
  const Finished refused = ctl_->Run({"holders", "nothing"});
  EXPECT_EQ(refused.exit_status, kFailed);
  EXPECT_TRUE(Contains(refused.output, "hl-bufctl: "));
}

// The daemon is no root: it asks. How long a verdict waits for the answer is broker_holders_test's.
TEST_F(HoldersTest, AreToldWhenTheDaemonCanAsk) {
  const HoldersService service(daemon().holders_socket());
  alice_->KeepWhatIsRevoked();
  const HeldBuffer made = alice_->Allocate(kBytes);
  PassOn(made, *stranger_);
  const RevocationSeen revoked = ControlClient(daemon().control_socket()).Revoke(made.id, 500);
  EXPECT_EQ(revoked.only().verdict, "HELD");
  ASSERT_TRUE(Logged("HOLDERS_FOUND"));
  const auto has = [](const ClientProcess& process, uid_t uid) {
    return absl::StrCat(PidText(process), " (step_client, uid ", uid, ") has 1 descriptor with");
  };
  EXPECT_TRUE(Logged(has(*stranger_, *Stranger().uid) + "out a lease")) << daemon().Log();
  EXPECT_TRUE(Logged(has(alice_->process(), *Alice().uid) + " a lease")) << daemon().Log();
}

TEST_F(HoldersTest, AreInTheVerdictThatTheirAnswerReaches) {
  const HoldersService service(daemon().holders_socket());
  alice_->KeepWhatIsRevoked();
  BufferVerdictSeen held;
  // A verdict goes out without an answer that a busy machine is late with.
  ASSERT_TRUE(Eventually([&] {
    const HeldBuffer made = alice_->Allocate(kBytes);
    PassOn(made, *stranger_);
    held = ControlClient(daemon().control_socket()).Revoke(made.id, 200).only();
    return held.outside_known;
  })) << daemon().Log();
  EXPECT_EQ(held.verdict, "HELD");
  EXPECT_EQ(held.outside.size(), 2u) << "the service's own copies are no holders";
  ASSERT_NE(held.Outside(stranger_->pid()), nullptr);
  EXPECT_FALSE(held.Outside(stranger_->pid())->has_lease);
  ASSERT_NE(held.Outside(alice_->process().pid()), nullptr);
  EXPECT_TRUE(held.Outside(alice_->process().pid())->has_lease);
}

TEST_F(HoldersTest, AreToldAtHalfTimeToo) {
  const HoldersService service(daemon().holders_socket());
  const HeldBuffer made = alice_->Allocate(kBytes);
  PassOn(made, *stranger_);
  ControlClient control(daemon().control_socket());
  auto revoked = control.StartToRevoke(made.id, 20'000);
  ASSERT_TRUE(Logged("HOLDERS_FOUND"));
  EXPECT_EQ(daemon().Log().find("BUFFER_VERDICT"), std::string::npos);
  alice_->AwaitNotice("revoke ");
  stranger_->Kill();
  EXPECT_NE(revoked.get().only().verdict, "HELD");
}

TEST_F(HoldersTest, AreShownByRevoke) {
  const HoldersService service(daemon().holders_socket());
  alice_->KeepWhatIsRevoked();
  Finished revoked;
  ASSERT_TRUE(Eventually([&] {
    const HeldBuffer made = alice_->Allocate(kBytes);
    PassOn(made, *stranger_);
    revoked = ctl_->Run({"revoke", "--grace", "200ms", IdText(made.id)});
    return bool{Contains(revoked.output, PidText(*stranger_) + " (step_client, uid ")};
  })) << revoked.output;
  EXPECT_EQ(revoked.exit_status, kHeld);
  EXPECT_TRUE(Contains(revoked.output, "with 1 descriptor and no lease"));
}

TEST_F(HoldersTest, CanBeAskedForByHandWhereTheDaemonCannotAsk) {
  alice_->KeepWhatIsRevoked();
  const HeldBuffer made = alice_->Allocate(kBytes);
  const RevocationSeen revoked = ControlClient(daemon().control_socket()).Revoke(made.id, 200);
  EXPECT_EQ(revoked.only().verdict, "HELD");
  EXPECT_FALSE(revoked.only().outside_known);
  EXPECT_TRUE(Contains(daemon().Log(), "`hl-bufctl holders " + IdText(made.id) + "`, as root"));
}

// A memfd has no count that could outlive anything.
TEST_F(HoldersTest, AreNamedWhenReferencesOutliveEveryLease) {
  const HoldersService service(daemon().holders_socket());
  const HeldBuffer made = alice_->Allocate(kBytes);
  PassOn(made, *stranger_);
  alice_->Release(made);
  if (CountsReferences()) {
    EXPECT_TRUE(Logged("REFERENCES_OUTLIVE_LEASES"));
    ASSERT_TRUE(Logged("HOLDERS_FOUND"));
    EXPECT_TRUE(Contains(daemon().Log(), PidText(*stranger_) + " (step_client"));
  } else {
    EXPECT_TRUE(Logged("freed at the end of its last lease (ACKNOWLEDGED)"));
    EXPECT_EQ(daemon().Log().find("HOLDERS_FOUND"), std::string::npos);
  }
}

}  // namespace
}  // namespace hlbuf
