// SPDX-License-Identifier: Apache-2.0
#include "client/ctl/verdicts.h"

#include <gtest/gtest.h>

#include "absl/strings/match.h"

namespace hlbuf::ctl {
namespace {

v1::Revocation TwoVerdicts() {
  v1::Revocation revocation;
  revocation.set_id("9");
  revocation.mutable_begin_time()->set_seconds(100);
  revocation.mutable_end_time()->set_seconds(101);
  revocation.mutable_end_time()->set_nanos(250'000'000);
  revocation.set_sessions_told(1);
  revocation.set_leases_told(2);
  revocation.set_proven_count(1);
  revocation.set_held_count(1);
  v1::BufferVerdict& proven = *revocation.add_verdicts();
  proven.set_buffer_id("a1");
  proven.mutable_verdict()->set_kind(v1::VERDICT_KIND_PROVEN);
  v1::BufferVerdict& held = *revocation.add_verdicts();
  held.set_buffer_id("a2");
  held.set_buffer_name("weights");
  held.mutable_owner()->set_uid(1000);
  held.mutable_verdict()->set_kind(v1::VERDICT_KIND_HELD);
  held.mutable_verdict()->set_references(3);
  v1::Holder& holder = *held.add_holders();
  holder.set_session_id("b7");
  holder.mutable_domain()->set_uid(1001);
  holder.set_pid(4711);
  return revocation;
}

TEST(RevocationText, SaysWhoWasAskedAndWhoStillHoldsWhat) {
  EXPECT_EQ(RevocationText(TwoVerdicts()),
            "revocation 9: asked 1 session for 2 leases of 2 buffers, over after 1.25s: "
            "1 PROVEN, 1 HELD\n"
            "BUFFER  NAME     OWNER     VERDICT  REFERENCES  HELD BY\n"
            "a1      -        uid 0     PROVEN   0           -\n"
            "a2      weights  uid 1000  HELD     3           session b7 (uid 1001 pid 4711)\n"
            "`hl-bufctl holders a2`, as root, shows which processes and drivers have it\n");
}

TEST(RevocationText, SaysThatNobodyWasLeftToBeAsked) {
  v1::Revocation revocation = TwoVerdicts();
  revocation.clear_sessions_told();
  revocation.clear_leases_told();
  EXPECT_TRUE(absl::StartsWith(
      RevocationText(revocation),
      "revocation 9: nobody was left to be asked for 2 buffers, over after 1.25s: 1 PROVEN"))
      << RevocationText(revocation);
}

TEST(RevocationText, SaysThatThereWasNothingToAskBack) {
  v1::Revocation revocation;
  revocation.set_id("9");
  revocation.mutable_end_time()->set_seconds(100);
  EXPECT_EQ(RevocationText(revocation), "revocation 9: there was nothing to ask back\n");
}

TEST(RevocationText, ShowsNoCountOfWhatNobodyCounts) {
  v1::Revocation revocation = TwoVerdicts();
  revocation.mutable_verdicts(0)->mutable_verdict()->set_kind(v1::VERDICT_KIND_ACKNOWLEDGED);
  EXPECT_TRUE(absl::StrContains(RevocationText(revocation),
                                "a1      -        uid 0     ACKNOWLEDGED  -           -\n"))
      << RevocationText(revocation);
}

TEST(RevocationText, NamesWhomRootSawBesideTheSessions) {
  v1::Revocation revocation = TwoVerdicts();
  v1::BufferVerdict& held = *revocation.mutable_verdicts(1);
  held.set_outside_known(true);
  v1::OutsideHolder lessee;
  lessee.set_pid(4711);
  lessee.set_command("train");
  lessee.set_descriptors(1);
  lessee.set_has_lease(true);
  *held.add_outside() = lessee;
  v1::OutsideHolder stranger = lessee;
  stranger.set_pid(99);
  stranger.set_uid(1002);
  stranger.set_mappings(2);
  stranger.set_has_lease(false);
  *held.add_outside() = stranger;
  stranger.clear_has_lease();
  stranger.set_pid(98);
  stranger.clear_mappings();
  *held.add_outside() = stranger;
  held.add_importers("mlx5_0");
  held.set_unexplained(1);
  const std::string text = RevocationText(revocation);
  EXPECT_TRUE(absl::StrContains(
      text,
      "session b7 (uid 1001 pid 4711), pid 99 (train, uid 1002) with 1 descriptor, 2 mappings and "
      "no lease, pid 98 (train, uid 1002) with 1 descriptor, importer mlx5_0, 1 unexplained "
      "reference\n"))
      << text;
  EXPECT_FALSE(absl::StrContains(text, "as root"));
  held.set_outside_incomplete(true);
  EXPECT_TRUE(absl::StrContains(RevocationText(revocation), "as root"));
}

TEST(RevocationText, SaysWhatTheHolderWasSent) {
  v1::Revocation revocation = TwoVerdicts();
  v1::Holder& holder = *revocation.mutable_verdicts(1)->mutable_holders(0);
  holder.set_signalled(v1::SIGNAL_TERMINATE);
  EXPECT_TRUE(absl::StrContains(RevocationText(revocation), "pid 4711, SIGTERM sent)"));
  holder.set_signalled(v1::SIGNAL_KILL);
  EXPECT_TRUE(absl::StrContains(RevocationText(revocation), "pid 4711, SIGKILL sent)"));
  holder.set_unread_grant(true);
  EXPECT_TRUE(
      absl::StrContains(RevocationText(revocation),
                        "SIGKILL sent, has not read its last grant; only its end frees it)"));
}

TEST(RevocationText, SaysWhenNoLeaseExplainsAReference) {
  v1::Revocation revocation = TwoVerdicts();
  revocation.mutable_verdicts(1)->clear_holders();
  EXPECT_TRUE(absl::StrContains(RevocationText(revocation), "references that no lease explains"));
}

TEST(RevocationText, SaysOfOneThatWasNotWaitedForThatItHasBegun) {
  v1::Revocation revocation;
  revocation.set_id("9");
  EXPECT_EQ(RevocationText(revocation),
            "revocation 9: begun; `hl-bufctl watch` tells how it ends\n");
}

TEST(RevocationText, SaysWhatIsLeftOut) {
  v1::Revocation revocation = TwoVerdicts();
  revocation.set_proven_count(7000);
  revocation.mutable_verdicts(1)->set_holders_left_out(5);
  const std::string text = RevocationText(revocation);
  EXPECT_TRUE(absl::StrContains(text, "of 7001 buffers, over after 1.25s: 7000 PROVEN, 1 HELD\n"));
  EXPECT_TRUE(absl::StrContains(text, "session b7 (uid 1001 pid 4711), and 5 more\n"));
  EXPECT_TRUE(absl::EndsWith(text, "and 6999 verdicts more, which `hl-bufctl watch` tells\n"));
}

TEST(HasHeld, IsAboutVerdictsAlone) {
  v1::Revocation revocation = TwoVerdicts();
  EXPECT_TRUE(HasHeld(revocation));
  revocation.mutable_verdicts()->RemoveLast();
  EXPECT_FALSE(HasHeld(revocation));
}

TEST(ResetText, EndsWithTheDevice) {
  v1::SimulateResetResponse response;
  response.mutable_device()->set_name("dev0");
  response.mutable_device()->set_state(v1::DEVICE_STATE_FAILED);
  response.mutable_device()->set_epoch(2);
  response.mutable_device()->set_failure("the drill said so");
  EXPECT_EQ(ResetText(response), "dev0 is FAILED, epoch 2: the drill said so\n");
}

}  // namespace
}  // namespace hlbuf::ctl
