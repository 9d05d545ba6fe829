// SPDX-License-Identifier: Apache-2.0
#include "client/ctl/format.h"

#include <gtest/gtest.h>

#include <limits>

namespace hlbuf::ctl {
namespace {

TEST(SizeText, IsWholeWhereTheSizeIs) {
  EXPECT_EQ(SizeText(0), "0B");
  EXPECT_EQ(SizeText(1023), "1023B");
  EXPECT_EQ(SizeText(4096), "4KiB");
  EXPECT_EQ(SizeText(64 << 20), "64MiB");
}

TEST(SizeText, HasOneDecimalElse) {
  EXPECT_EQ(SizeText(1536), "1.5KiB");
  EXPECT_EQ(SizeText((3ULL << 30) / 2), "1.5GiB");
}

TEST(SizeText, NeverShows1024OfAUnit) {
  EXPECT_EQ(SizeText((1 << 20) - 1), "1.0MiB");
  EXPECT_EQ(SizeText(std::numeric_limits<std::uint64_t>::max()), "16EiB");
}

TEST(CountText, HasAPlural) {
  EXPECT_EQ(CountText(0, "lease"), "0 leases");
  EXPECT_EQ(CountText(1, "lease"), "1 lease");
  EXPECT_EQ(CountText(2, "lease"), "2 leases");
}

TEST(AgeText, ShowsTheTwoLargestUnits) {
  EXPECT_EQ(AgeText(absl::Milliseconds(900)), "0s");
  EXPECT_EQ(AgeText(absl::Seconds(45)), "45s");
  EXPECT_EQ(AgeText(absl::Seconds(192)), "3m12s");
  EXPECT_EQ(AgeText(absl::Minutes(125)), "2h05m");
  EXPECT_EQ(AgeText(absl::Hours(76)), "3d04h");
}

TEST(AgeText, OfTheFutureIsZero) { EXPECT_EQ(AgeText(absl::Seconds(-5)), "0s"); }

TEST(AgeText, CountsFromATimestamp) {
  google::protobuf::Timestamp since;
  since.set_seconds(1000);
  since.set_nanos(500'000'000);
  EXPECT_EQ(AgeText(since, absl::FromUnixSeconds(1062)), "1m01s");
}

TEST(PrintableText, LetsNobodySteerTheTerminal) {
  EXPECT_EQ(PrintableText("a\x1b[2Jb\n\x9b"), "a\\x1b[2Jb\\x0a\\x9b");
  EXPECT_EQ(PrintableText("weights/0 \"x\""), "weights/0 \"x\"");
}

TEST(PeerText, NamesTheJobWhereThereIsOne) {
  v1::Peer peer;
  peer.set_uid(1000);
  peer.set_pid(4711);
  EXPECT_EQ(PeerText(peer), "uid 1000 pid 4711");
  peer.set_container("cafe");
  peer.set_job(12);
  EXPECT_EQ(PeerText(peer), "uid 1000 pid 4711 in cafe job 12");
}

TEST(DomainText, NamesTheContainerWhereThereIsOne) {
  v1::Domain domain;
  domain.set_uid(1000);
  EXPECT_EQ(DomainText(domain), "uid 1000");
  domain.set_container("cafe");
  EXPECT_EQ(DomainText(domain), "uid 1000 in cafe");
}

TEST(GranteeText, SaysUidOrGidOrNothing) {
  v1::Grantee grantee;
  EXPECT_EQ(GranteeText(grantee), "");
  grantee.set_uid(0);
  EXPECT_EQ(GranteeText(grantee), "uid 0");
  grantee.set_gid(100);
  EXPECT_EQ(GranteeText(grantee), "gid 100");
}

TEST(StateText, HasNoPrefix) {
  EXPECT_EQ(StateText(v1::DEVICE_STATE_READY), "READY");
  EXPECT_EQ(StateText(v1::BUFFER_STATE_DRAINING), "DRAINING");
  EXPECT_EQ(ReasonText(v1::REVOKE_REASON_RESET), "reset");
  EXPECT_EQ(KindText(v1::EVENT_KIND_LEASE_GRANTED), "lease-granted");
}

TEST(StateText, ShowsTheNumberOfAStateThatIsNewerThanThisProgram) {
  EXPECT_EQ(StateText(static_cast<v1::LeaseState>(77)), "77");
}

}  // namespace
}  // namespace hlbuf::ctl
