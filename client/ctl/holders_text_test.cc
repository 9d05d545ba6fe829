// SPDX-License-Identifier: Apache-2.0
#include "client/ctl/holders_text.h"

#include <gtest/gtest.h>

#include "absl/strings/match.h"

namespace hlbuf::ctl {
namespace {

v1::HoldersReport Sample() {
  v1::HoldersReport report;
  report.mutable_scope()->set_processes(300);
  v1::BufferHolders& holders = *report.add_buffers();
  holders.mutable_buffer()->set_id("a1");
  holders.mutable_buffer()->set_name("weights");
  holders.set_looked_for(true);
  for (const auto& [session, pid] : {std::pair("b1", 4711), std::pair("b2", 4712)}) {
    v1::Lease& lease = *holders.add_leases();
    lease.set_session_id(session);
    lease.set_state(v1::LEASE_STATE_ACTIVE);
    lease.mutable_holder()->set_uid(1000);
    lease.mutable_holder()->set_pid(pid);
  }
  v1::OutsideHolder& lessee = *holders.add_processes();
  lessee.set_pid(4711);
  lessee.set_uid(1000);
  lessee.set_command("train");
  lessee.set_descriptors(1);
  lessee.set_has_lease(true);
  v1::OutsideHolder& stranger = *holders.add_processes();
  stranger.set_pid(5);
  stranger.set_command("cat");
  stranger.set_mappings(2);
  stranger.set_has_lease(false);
  holders.add_importers("mlx5_0");
  holders.set_count(7);
  holders.set_own_references(2);
  holders.set_unexplained(1);
  v1::Session& session = *holders.add_in_flight();
  session.set_id("b2");
  session.set_in_flight_fds(1);
  session.mutable_peer()->set_uid(1000);
  session.mutable_peer()->set_pid(4712);
  return report;
}

TEST(HoldersText, ShowsEverybodyAndTheSum) {
  EXPECT_EQ(
      HoldersText(Sample()),
      "BUFFER  NAME     HOLDER                                               HAS           LEASE\n"
      "a1      weights  pid 4711 (train, uid 1000)                           1 descriptor  "
      "ACTIVE, session b1\n"
      "a1      weights  pid 5 (cat, uid 0)                                   2 mappings    NONE\n"
      "a1      weights  uid 1000 pid 4712                                    -             "
      "ACTIVE, session b2\n"
      "a1      weights  importer mlx5_0                                      1 attachment  -\n"
      "a1      weights  perhaps in flight to session b2 (uid 1000 pid 4712)  1 descriptor  -\n"
      "a1      weights  unexplained                                          1 reference   -\n"
      "buffer a1: the kernel counts 7 references: 2 of the service, 1 descriptor, 2 mappings, "
      "1 attachment, 1 unexplained\n"
      "What is unexplained is in a message that nobody has read yet, or a driver took more than "
      "one reference for an attachment.\n");
}

TEST(HoldersText, SaysThatNobodyHasItOnlyWhenSomebodyLooked) {
  v1::HoldersReport report;
  report.add_buffers()->mutable_buffer()->set_id("a1");
  EXPECT_FALSE(absl::StrContains(HoldersText(report), "nobody"));
  report.mutable_buffers(0)->set_looked_for(true);
  EXPECT_TRUE(absl::StrContains(HoldersText(report), "nobody"));
}

TEST(HoldersText, SaysWhatCouldNotBeLookedAt) {
  v1::HoldersReport report = Sample();
  v1::HoldersScope& scope = *report.mutable_scope();
  scope.set_fd_unreadable(3);
  scope.set_importers_failure("Permission denied");
  scope.set_cut_short(true);
  scope.set_other_pids(true);
  scope.set_processes_hidden(true);
  const std::string text = HoldersText(report);
  for (const char* said :
       {"Of 300 processes, 3 do not let", "bufinfo: Permission denied", "Time was over",
        "another pid namespace", "processes that /proc does not show"})
    EXPECT_TRUE(absl::StrContains(text, said)) << said;
  EXPECT_TRUE(absl::StrContains(text, "debugfs mounted"));
  scope.set_importers_failure("Connection timed out");
  EXPECT_FALSE(absl::StrContains(HoldersText(report), "debugfs mounted")) << "it was read";
  scope.set_failure("there is no hl-bufd-holders");
  EXPECT_TRUE(absl::StrContains(HoldersText(report), "there is no hl-bufd-holders"));
}

TEST(HoldersText, ShowsNoLeaseAsUnknownWherePidsAreOfAnotherNamespace) {
  v1::HoldersReport report = Sample();
  for (v1::OutsideHolder& process : *report.mutable_buffers(0)->mutable_processes())
    process.clear_has_lease();
  const std::string text = HoldersText(report);
  EXPECT_FALSE(absl::StrContains(text, "NONE"));
  EXPECT_TRUE(absl::StrContains(text, "unknown"));
}

}  // namespace
}  // namespace hlbuf::ctl
