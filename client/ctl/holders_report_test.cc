// SPDX-License-Identifier: Apache-2.0
#include "client/ctl/holders_report.h"

#include <gtest/gtest.h>

namespace hlbuf::ctl {
namespace {

constexpr pid_t kDaemon = 99;
constexpr pid_t kLessee = 4711;

// One buffer, leased by one session; the daemon, a keeper, the lessee and a stranger have it.
struct Report : testing::Test {
  Report() {
    daemon.pid = kDaemon;
    daemon.uid = 800;
    daemon.pid_namespace = 7;
    daemon.devices.add_devices()->set_name("hl0");
    v1::Buffer& buffer = *daemon.buffers.add_buffers();
    buffer.set_id("a1");
    buffer.set_device("hl0");
    buffer.set_inode(17);
    AddLease("a1", "b1", kLessee);
    answer.scope.pid_namespace = 7;
    FileHolders& file = answer.files.emplace_back();
    file.file.inode = 17;
    file.count = 5;
    file.processes = {
        {.pid = kDaemon, .uid = 800, .descriptors = 1, .command = "hl-bufd"},
        {.pid = 100, .uid = 800, .descriptors = 1, .command = "hl-keeper"},
        {.pid = kLessee, .uid = 1000, .descriptors = 1, .mappings = 1, .command = "train"},
        {.pid = 5, .uid = 0, .descriptors = 1, .command = "cat"}};
  }
  void AddLease(const std::string& buffer, const std::string& session, pid_t pid) {
    v1::Lease& lease = *daemon.leases.add_leases();
    lease.set_buffer_id(buffer);
    lease.set_session_id(session);
    lease.mutable_holder()->set_pid(pid);
  }
  v1::Session& AddSession(const std::string& id, v1::SessionState state) {
    v1::Session& session = *daemon.sessions.add_sessions();
    session.set_id(id);
    session.set_state(state);
    session.set_in_flight_fds(1);
    return session;
  }
  FileHolders& file() { return answer.files.at(0); }
  v1::HoldersReport Made() { return MakeReport(daemon, answer); }
  v1::BufferHolders Only() { return Made().buffers(0); }

  DaemonSide daemon;
  HoldersAnswer answer;
};

TEST_F(Report, TellsLesseesFromStrangersAndLeavesTheServiceOut) {
  const v1::BufferHolders only = Only();
  EXPECT_TRUE(only.looked_for());
  ASSERT_EQ(only.processes_size(), 2);
  EXPECT_EQ(only.processes(0).pid(), kLessee);
  EXPECT_TRUE(only.processes(0).has_lease());
  EXPECT_TRUE(only.processes(1).has_has_lease());
  EXPECT_FALSE(only.processes(1).has_lease());
  EXPECT_EQ(only.own_references(), 2u);
  EXPECT_EQ(only.unexplained(), 0u);
  EXPECT_TRUE(HasStrangers(Made()));
}

TEST_F(Report, HasNoStrangersWhereEverybodyHasALease) {
  AddLease("a1", "b2", 5);
  EXPECT_FALSE(HasStrangers(Made()));
  AddLease("a2", "b3", 6);
  EXPECT_EQ(Only().leases_size(), 2) << "another buffer's lease";
  file().count = 6;
  EXPECT_EQ(Only().unexplained(), 1u);
  EXPECT_TRUE(HasStrangers(Made()));
  answer.scope.fd_unreadable = 1;
  EXPECT_FALSE(HasStrangers(Made())) << "it can be a lessee's who could not be looked at";
}

// Between the list of leases and the look at processes somebody can get one.
TEST_F(Report, CallsNobodyAStrangerWhoGotALeaseMeanwhile) {
  v1::ListLeasesResponse later = daemon.leases;
  v1::Lease& lease = *later.add_leases();
  lease.set_buffer_id("a1");
  lease.set_session_id("b2");
  lease.mutable_holder()->set_pid(5);
  AddLaterLeases(later, daemon);
  EXPECT_EQ(Only().leases_size(), 2) << "the first is the same lease";
  EXPECT_TRUE(Only().processes(1).has_lease());
  EXPECT_FALSE(HasStrangers(Made()));
  AddLaterLeases(v1::ListLeasesResponse(), daemon);
  EXPECT_EQ(Only().leases_size(), 2) << "who had one had not taken it without";
}

TEST_F(Report, CountsImportersAndWhatWasLeftOut) {
  file().count = 12;
  file().importers = {"mlx5_0", "mlx5_0"};
  file().more_attachments = 1;
  file().more_processes = 1;
  file().more_descriptors = 2;
  EXPECT_EQ(Only().unexplained(), 2u);
  EXPECT_EQ(Only().importers_size(), 2);
  EXPECT_EQ(Only().processes_left_out(), 1u);
}

TEST_F(Report, NamesSessionsThatMayNotHaveReceivedIt) {
  AddSession("b1", v1::SESSION_STATE_READY);
  AddSession("b8", v1::SESSION_STATE_READY);   // has no lease of it
  AddSession("b9", v1::SESSION_STATE_PARKED);  // nor any
  AddSession("b7", v1::SESSION_STATE_PARKED).set_in_flight_fds(0);
  const v1::BufferHolders only = Only();
  ASSERT_EQ(only.in_flight_size(), 2);
  EXPECT_EQ(only.in_flight(0).id(), "b1");
  EXPECT_EQ(only.in_flight(1).id(), "b9");
}

TEST_F(Report, JudgesNobodyByPidsOfAnotherNamespace) {
  daemon.pid_namespace = 8;
  EXPECT_TRUE(Made().scope().other_pids());
  const v1::BufferHolders only = Only();
  EXPECT_EQ(only.processes_size(), 2);
  for (const v1::OutsideHolder& process : only.processes()) EXPECT_FALSE(process.has_has_lease());
  EXPECT_FALSE(HasStrangers(Made()));
}

TEST_F(Report, AsksForMemfdsOfDevicesThatHaveThem) {
  daemon.buffers.add_buffers()->set_id("a2");  // no file yet
  EXPECT_EQ(FilesOf(daemon), std::vector<HeldFile>{{.inode = 17}});
  daemon.devices.mutable_devices(0)->set_simulated(true);
  EXPECT_EQ(FilesOf(daemon),
            (std::vector<HeldFile>{{.kind = HeldFile::Kind::kMemfd, .inode = 17}}));
  EXPECT_FALSE(Only().looked_for()) << "a dma-buf of that inode is another file";
}

TEST_F(Report, SaysWhyNobodyCouldLook) {
  const v1::HoldersReport report = MakeReport(daemon, absl::NotFoundError("no program"));
  EXPECT_EQ(report.scope().failure(), "no program");
  EXPECT_EQ(report.buffers(0).leases_size(), 1);
  EXPECT_FALSE(report.buffers(0).looked_for());
  EXPECT_TRUE(MayMissSomebody(report));
}

// What the kernel counts and somebody has leaves no room for anybody else.
TEST_F(Report, MissesNobodyWhereTheSumIsWhole) {
  EXPECT_FALSE(MayMissSomebody(Made()));
  answer.scope.fd_unreadable = 3;
  EXPECT_FALSE(MayMissSomebody(Made()));
  file().count = 6;
  EXPECT_TRUE(MayMissSomebody(Made()));
  file().count.reset();
  EXPECT_TRUE(MayMissSomebody(Made()));
  answer.scope.fd_unreadable = 0;
  EXPECT_FALSE(MayMissSomebody(Made()));
  answer.scope.whole = false;
  EXPECT_TRUE(MayMissSomebody(Made()));
  answer.scope.whole = true;
  answer.scope.hidden = true;
  EXPECT_TRUE(MayMissSomebody(Made()));
}

TEST_F(Report, SaysInWordsWhyNoImporterIsKnown) {
  answer.scope.bufinfo_errno = 13;
  EXPECT_EQ(Made().scope().importers_failure(), "Permission denied");
}

}  // namespace
}  // namespace hlbuf::ctl
