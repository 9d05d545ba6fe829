// SPDX-License-Identifier: Apache-2.0
// Who has what did not come back: when the witness is asked, what is told, and what waits for it.
#include <gtest/gtest.h>

#include "daemon/core/inquiry.h"
#include "tests/support/broker_rig.h"
#include "tests/support/fake_witness.h"
#include "tests/support/texts.h"

namespace hlbuf {
namespace {

using Kind = Verdict::Kind;

OutsideHolder Python(pid_t pid) {
  return {.pid = pid, .uid = 1000, .command = "python3", .descriptors = 1};
}

// Alice has a buffer, and keeps it whatever she is asked.
struct Holders : testing::Test {
  explicit Holders(bool counts = true, bool survives = true) : rig(Options(counts, survives)) {
    rig.Hold(buffer, 1);
  }
  RigOptions Options(bool counts, bool survives) {
    RigOptions options;
    options.traits.survives_reset = survives;
    options.traits.counts_references = counts;
    options.witness = &witness;
    return options;
  }
  BufferFile File(BufferId id) { return {.inode = rig.Find(id)->allocation.inode, .dmabuf = true}; }
  OutsideHolders& Sees(BufferId id) { return witness.testimony.files[File(id)]; }
  std::vector<Event> Told() { return rig.observer.Of(EventKind::kHoldersFound); }
  const BufferVerdict& Said() { return rig.reports.at(0).verdicts.at(0); }
  std::string VerdictEvent() { return rig.observer.Of(EventKind::kBufferVerdict).at(0).text; }

  FakeWitness witness;
  BrokerRig rig;
  FakeClient& alice = rig.Connect(PeerOf(1000));
  BufferId buffer = rig.Buffer(alice, "weights");
};
struct UncountedHolders : Holders {
  UncountedHolders() : Holders(/*counts=*/false) {}
};
struct LostHolders : Holders {
  LostHolders() : Holders(/*counts=*/true, /*survives=*/false) {}
};

TEST_F(Holders, AreAskedForAtHalfOfTheTime) {
  rig.Revoke({buffer}, absl::Seconds(10));
  rig.Advance(absl::Milliseconds(4999));
  EXPECT_TRUE(witness.asked.empty());
  rig.Advance(absl::Milliseconds(1));
  ASSERT_EQ(witness.asked.size(), 1u);
  EXPECT_EQ(witness.asked[0], std::vector<BufferFile>{File(buffer)});
}

TEST_F(Holders, AreNotAskedForWhatCameBack) {
  const LeaseId lease = alice.Allocate();
  const BufferId other = rig.Find(lease)->buffer->id;
  rig.Revoke({buffer, other}, absl::Seconds(10));
  alice.Release(lease);
  rig.Advance(absl::Seconds(5));
  ASSERT_EQ(witness.asked.size(), 1u);
  EXPECT_EQ(witness.asked[0], std::vector<BufferFile>{File(buffer)});
  rig.Hold(buffer, 0);
  alice.Die();
  rig.Advance(absl::Minutes(1));
  EXPECT_EQ(witness.asked.size(), 1u) << "all came back before the deadline";
}

TEST_F(Holders, AreToldByName) {
  Sees(buffer).holders = {Python(4711)};
  rig.Revoke({buffer}, absl::Seconds(10));
  rig.Advance(absl::Seconds(5));
  ASSERT_TRUE(witness.Answer());
  ASSERT_EQ(Told().size(), 1u);
  EXPECT_EQ(Told()[0].buffer, buffer);
  EXPECT_TRUE(Told()[0].revocation);
  EXPECT_EQ(Told()[0].text, "pid 4711 (python3, uid 1000) has 1 descriptor without a lease");
  EXPECT_TRUE(rig.reports.empty()) << "half of the time is left";
}

TEST_F(Holders, AreKnownByTheirSessions) {
  OutsideHolder hers = Python(alice.session().peer.pid);
  hers.mappings = 2;
  Sees(buffer).holders = {hers};
  rig.Revoke({buffer}, absl::Seconds(10));
  rig.Advance(absl::Seconds(5));
  witness.Answer();
  EXPECT_TRUE(Contains(Told().at(0).text, "1 descriptor and 2 mappings with a lease"));
}

TEST_F(Holders, AreNotJudgedByPidsOfAnotherNamespace) {
  Sees(buffer).holders = {Python(alice.session().peer.pid), Python(1)};
  witness.testimony.same_pids = false;
  rig.Revoke({buffer}, absl::Seconds(10));
  rig.Advance(absl::Seconds(5));
  witness.Answer();
  EXPECT_EQ(Told().at(0).text.find("lease"), std::string::npos) << Told().at(0).text;
}

TEST_F(Holders, AreInTheVerdictThatWaitsForThem) {
  Sees(buffer).holders = {Python(4711)};
  Sees(buffer).importers = {"mlx5_0"};
  Sees(buffer).unexplained = 0;
  rig.Revoke({buffer}, absl::Seconds(10));
  rig.Advance(absl::Seconds(5));
  witness.Answer();
  rig.Advance(absl::Seconds(5));
  EXPECT_TRUE(rig.reports.empty());
  rig.Advance(absl::Milliseconds(999));
  EXPECT_TRUE(rig.reports.empty());
  ASSERT_TRUE(witness.Answer());
  ASSERT_EQ(rig.reports.size(), 1u);
  EXPECT_EQ(Said().verdict.kind, Kind::kHeld);
  EXPECT_EQ(Said().verdict.references, 1u);
  ASSERT_TRUE(Said().outside.has_value());
  EXPECT_EQ(Said().outside->holders.at(0).pid, 4711);
  EXPECT_EQ(Said().outside->holders.at(0).has_lease, false);
  EXPECT_TRUE(Contains(Told().back().text, "without a lease, importer mlx5_0"));
  EXPECT_EQ(VerdictEvent().find("hl-bufctl"), std::string::npos) << VerdictEvent();
  EXPECT_EQ(Told().size(), 2u) << "of half time, and of the deadline";
}

// Of somebody's leases of a buffer that lives on.
TEST_F(Holders, OfSingleLeasesAreAskedForAndWaitedForToo) {
  FakeClient& bob = rig.Connect(PeerOf(1001));
  EXPECT_EQ(alice.Share(buffer, {.kind = Grantee::Kind::kUid, .id = 1001}), "OK");
  EXPECT_TRUE(bob.Open(buffer).ok());
  Sees(buffer).holders = {Python(4711)};
  EXPECT_TRUE(
      rig.broker
          .RevokeHoldings({.kind = Whose::Kind::kUid, .id = 1001}, absl::Seconds(10),
                          [this](const RevocationReport& report) { rig.reports.push_back(report); })
          .ok());
  rig.Advance(absl::Seconds(5));
  ASSERT_TRUE(witness.Answer());
  rig.Advance(absl::Seconds(5));
  EXPECT_TRUE(rig.reports.empty());
  ASSERT_TRUE(witness.Answer());
  ASSERT_EQ(rig.reports.size(), 1u);
  EXPECT_EQ(Said().verdict.kind, Kind::kHeld);
  ASSERT_TRUE(Said().outside.has_value());
  EXPECT_EQ(Said().outside->holders.at(0).pid, 4711);
}

TEST_F(Holders, AreNotWaitedForLongerThanASecond) {
  rig.Revoke({buffer}, absl::Seconds(10));
  rig.Advance(absl::Seconds(11));
  ASSERT_EQ(rig.reports.size(), 1u);
  EXPECT_EQ(rig.reports[0].ended - rig.reports[0].deadline, absl::Seconds(1));
  EXPECT_FALSE(Said().outside.has_value());
  EXPECT_TRUE(Contains(VerdictEvent(), "`hl-bufctl holders " + IdText(buffer) + "`, as root"));
}

// A driver waits for a reset, too.
TEST_F(Holders, AreWaitedForAnEighthOfAShortReset) {
  rig.Reset(absl::Seconds(4));
  rig.Advance(absl::Seconds(5));
  ASSERT_EQ(rig.resets.size(), 1u);
  const RevocationReport& report = rig.resets[0].revocation;
  EXPECT_EQ(report.ended - report.deadline, absl::Milliseconds(500));
}

TEST_F(Holders, AreToldLateWhenTheyAreFoundLate) {
  Sees(buffer).holders = {Python(4711)};
  rig.Revoke({buffer}, absl::Seconds(10));
  rig.Advance(absl::Seconds(12));
  ASSERT_EQ(rig.reports.size(), 1u);
  while (witness.Answer()) {
  }
  EXPECT_EQ(Told().size(), 2u);
  EXPECT_EQ(rig.reports.size(), 1u);
}

TEST_F(Holders, DoNotMakeAVerdictWaitWhereNobodyCanBeAsked) {
  witness.there = false;
  rig.Revoke({buffer}, absl::Seconds(10));
  rig.Advance(absl::Seconds(10));
  ASSERT_EQ(rig.reports.size(), 1u);
  EXPECT_EQ(rig.reports[0].ended, rig.reports[0].deadline);
  EXPECT_TRUE(Contains(VerdictEvent(), "hl-bufctl holders"));
}

TEST_F(Holders, AreNotNamedByAWitnessThatFails) {
  rig.Revoke({buffer}, absl::Seconds(10));
  rig.Advance(absl::Seconds(5));
  witness.Fail();
  rig.Advance(absl::Seconds(5));
  witness.Fail();
  ASSERT_EQ(rig.reports.size(), 1u);
  EXPECT_FALSE(Said().outside.has_value());
  EXPECT_TRUE(Told().empty());
}

TEST_F(Holders, WhoLetGoWhileTheWitnessLookedGetABetterVerdict) {
  rig.Revoke({buffer}, absl::Seconds(10));
  rig.Advance(absl::Seconds(10));
  rig.Hold(buffer, 0);
  rig.Advance(absl::Milliseconds(500));
  ASSERT_EQ(rig.reports.size(), 1u);
  EXPECT_EQ(Said().verdict.kind, Kind::kProven);
  Sees(rig.Buffer(alice)).holders = {Python(4711)};
  while (witness.Answer()) {
  }
  EXPECT_TRUE(Told().empty()) << "nobody has what is gone";
}

TEST_F(Holders, TheLastCountCounts) {
  rig.Hold(buffer, 3);
  rig.Revoke({buffer}, absl::Seconds(10));
  rig.Advance(absl::Seconds(10));
  rig.Hold(buffer, 2);
  rig.Advance(absl::Milliseconds(900));
  while (witness.Answer()) {
  }
  EXPECT_EQ(Said().verdict.references, 2u);
}

// Where memory goes with a reset, the service gives up what somebody still has: then there is
// nothing to wait for.
TEST_F(LostHolders, AreNotWaitedForByARevocationThatAResetOvertakes) {
  rig.Revoke({buffer}, absl::Seconds(1));
  rig.Advance(absl::Seconds(1));
  EXPECT_TRUE(rig.reports.empty());
  rig.Reset(absl::ZeroDuration());
  rig.Advance(absl::Milliseconds(1));
  EXPECT_EQ(rig.reports.size(), 1u);
  EXPECT_EQ(rig.resets.size(), 1u);
  while (witness.Answer()) {
  }
  EXPECT_TRUE(Told().empty()) << "nobody has what is gone";
}

TEST_F(UncountedHolders, AreAskedForAsWell) {
  witness.testimony.files[File(buffer)].holders = {Python(4711)};
  rig.Revoke({buffer}, absl::Seconds(10));
  rig.Advance(absl::Seconds(5));
  ASSERT_TRUE(witness.Answer());
  EXPECT_EQ(Told().size(), 1u);
  rig.Advance(absl::Seconds(5));
  ASSERT_TRUE(witness.Answer());
  EXPECT_EQ(Said().verdict.kind, Kind::kHeld);
  EXPECT_TRUE(Said().outside.has_value());
}

TEST_F(UncountedHolders, WhoAcknowledgeWhileTheWitnessLooksAreNotHeld) {
  rig.Revoke({buffer}, absl::Seconds(10));
  rig.Advance(absl::Seconds(10));
  alice.Die();
  rig.Run();
  EXPECT_EQ(Said().verdict.kind, Kind::kAcknowledged);
}

TEST_F(Holders, OfThousandsOfBuffersAreToldInPart) {
  std::vector<BufferId> buffers = {buffer};
  for (std::size_t i = 0; i < Inquiry::kToldMax + 9; ++i) {
    buffers.push_back(rig.Buffer(alice));
    rig.Hold(buffers.back(), 1);
  }
  for (const BufferId id : buffers) Sees(id).holders = {Python(4711)};
  rig.Revoke(buffers, absl::Seconds(10));
  rig.Advance(absl::Seconds(5));
  witness.Answer();
  ASSERT_EQ(Told().size(), Inquiry::kToldMax + 1);
  EXPECT_FALSE(Told().back().buffer);
  EXPECT_TRUE(StartsWith(Told().back().text, "10 more buffers have holders"));
}

// The lease ended, and somebody still has a reference.
TEST_F(Holders, WhoseReferencesOutliveEveryLeaseAreNamed) {
  Sees(buffer).holders = {Python(4711)};
  alice.Die();
  rig.Advance(absl::Seconds(5));
  EXPECT_EQ(rig.observer.Of(EventKind::kReferencesOutliveLeases).size(), 1u);
  ASSERT_EQ(witness.asked.size(), 1u);
  witness.Answer();
  ASSERT_EQ(Told().size(), 1u);
  EXPECT_EQ(Told()[0].buffer, buffer);
  EXPECT_FALSE(Told()[0].revocation);
  rig.Advance(absl::Minutes(2));
  EXPECT_EQ(witness.asked.size(), 1u) << "once for each buffer";
}

// Leaking is cheap, and looking at all processes is not.
TEST_F(Holders, WhoLeakAgainAndAgainAreAskedForTogether) {
  FakeClient& bob = rig.Connect(PeerOf(1001));
  for (int i = 0; i < 20; ++i) {
    const LeaseId lease = bob.Allocate();
    rig.Hold(rig.Find(lease)->buffer->id, 1);
    bob.Release(lease);
    rig.Advance(absl::Seconds(1));
  }
  rig.Advance(absl::Seconds(20));
  EXPECT_LE(witness.asked.size(), 4u);
  std::size_t files = 0;
  for (const auto& asked : witness.asked) files += asked.size();
  EXPECT_EQ(files, 20u);
}

TEST(HoldersText, SaysWhoWhatAndWhatNobodyExplains) {
  OutsideHolders found;
  EXPECT_EQ(HoldersText(found), "");
  found.unexplained = 0;
  EXPECT_EQ(HoldersText(found), "");
  found.importers_known = true;
  found.unexplained = 1;
  EXPECT_EQ(HoldersText(found),
            "1 reference is unexplained: perhaps in a message that nobody has read yet");
  found.holders = {{.pid = 7, .uid = 0, .command = "x", .mappings = 1, .has_lease = true}};
  found.unexplained = 2;
  found.importers_known = found.all_seen = false;
  EXPECT_EQ(HoldersText(found),
            "pid 7 (x, uid 0) has 1 mapping with a lease; 2 references are unexplained: perhaps in "
            "a message that nobody has read yet, or a driver's, for debugfs could not be read, or "
            "of a process that could not be looked at");
}

TEST(HoldersText, NamesAFewAndCountsTheRest) {
  OutsideHolders found;
  for (pid_t pid = 1; pid <= 12; ++pid) found.holders.push_back(Python(pid));
  found.holders_left_out = 3;
  found.importers.assign(9, "mlx5_0");
  found.importers_left_out = 2;
  const std::string text = HoldersText(found);
  EXPECT_TRUE(Contains(text, "pid 8 "));
  EXPECT_EQ(text.find("pid 9 "), std::string::npos);
  EXPECT_TRUE(Contains(text, "and 7 more processes"));
  EXPECT_TRUE(Contains(text, "and 3 more attachments"));
}

}  // namespace
}  // namespace hlbuf
