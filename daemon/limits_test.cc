// SPDX-License-Identifier: Apache-2.0
#include "daemon/limits.h"

#include <gtest/gtest.h>

namespace hlbuf {
namespace {

using enum Resource;

std::uint64_t Of(const Amounts& amounts, Resource resource) {
  return amounts[static_cast<std::size_t>(resource)];
}
void Set(GivenLimits::Given& given, Resource resource, std::uint64_t amount) {
  given[static_cast<std::size_t>(resource)] = amount;
}
// The only fault, in words.
std::string Fault(std::uint64_t nofile, const GivenLimits& given) {
  const auto faults = FindFaults(DeriveCaps(nofile, given), given);
  EXPECT_EQ(faults.size(), 1u);
  return faults.empty() ? "" : faults.front().text;
}

TEST(Limits, SpendNoMoreThanTheDescriptorsThatThereAre) {
  for (std::uint64_t nofile = kNofileMin; nofile < 600'000; nofile += 1 + nofile / 50) {
    const Caps caps = DeriveCaps(nofile);
    const Amounts& all = caps.limits.service;
    EXPECT_LE(Of(all, kBuffers) + 2 * Of(all, kSessions) + caps.own_descriptors +
                  2 * caps.control_connections,
              nofile);
    EXPECT_LT(Of(all, kInFlight), nofile / 2);
    EXPECT_TRUE(FindFaults(caps, {}).empty()) << nofile;
  }
}

TEST(Limits, GrowWithTheDescriptors) {
  for (std::uint64_t nofile = 2 * kNofileMin; nofile < 1'000'000; nofile *= 2)
    for (const Resource resource : {kBuffers, kLeases, kSessions, kInFlight})
      EXPECT_GE(Of(DeriveCaps(nofile).limits.domain, resource),
                Of(DeriveCaps(nofile / 2).limits.domain, resource))
          << nofile;
}

TEST(Limits, HoldFifteenThousandBuffersAndAThousandSessionsInTwentyThousandDescriptors) {
  const Amounts all = DeriveCaps(20'000).limits.service;
  EXPECT_GE(Of(all, kBuffers), 15'500u);
  EXPECT_GE(Of(all, kSessions), 1'300u);
  EXPECT_EQ(Of(all, kInFlight), 9'999u);
  EXPECT_EQ(Of(all, kBytes), kUnlimited);
}

TEST(Limits, LeaveRoomForOthersBesideOneUidInSixtyFourDescriptors) {
  const QuotaLimits limits = DeriveCaps(64).limits;
  EXPECT_GE(Of(limits.service, kSessions), 8u);
  EXPECT_GE(Of(limits.service, kBuffers), 16u);
  EXPECT_GE(Of(limits.service, kInFlight), 16u);
  for (const Resource resource : {kBuffers, kSessions, kLeases, kInFlight}) {
    EXPECT_LE(Of(limits.uid, resource) + 2, Of(limits.service, resource));
    EXPECT_LE(Of(limits.domain, resource), Of(limits.uid, resource));
    EXPECT_GE(Of(limits.domain, resource), 2u);
  }
}

TEST(Limits, WorkWithFewerDescriptorsThanTheyNeed) {
  const Caps caps = DeriveCaps(3);
  EXPECT_EQ(caps.nofile, kNofileMin);
  for (const Resource resource : {kBuffers, kSessions, kLeases, kInFlight})
    EXPECT_GE(Of(caps.limits.domain, resource), 1u);
}

TEST(Limits, TakeAnUnlimitedNumberForAllThatAKernelCanHave) {
  EXPECT_LT(Of(DeriveCaps(UINT64_MAX).limits.service, kLeases), kUnlimited);
}

TEST(Limits, FitTheRestAroundWhatIsGiven) {
  GivenLimits given;
  Set(given.service, kBuffers, 19'000);
  const Amounts all = DeriveCaps(20'000, given).limits.service;
  EXPECT_EQ(Of(all, kBuffers), 19'000u);
  EXPECT_EQ(Of(all, kSessions), 308u);

  given = {};
  Set(given.service, kSessions, 100);
  EXPECT_EQ(Of(DeriveCaps(20'000, given).limits.service, kBuffers), 19'416u);
}

TEST(Limits, RaiseTheWholeForAPartThatIsGiven) {
  GivenLimits given;
  Set(given.domain, kBuffers, 15'000);
  Set(given.domain, kLeases, 1'000'000);
  const Caps caps = DeriveCaps(20'000, given);
  EXPECT_EQ(Of(caps.limits.uid, kBuffers), 15'000u);
  EXPECT_EQ(Of(caps.limits.uid, kLeases), 1'000'000u);
  EXPECT_EQ(Of(caps.limits.service, kLeases), 1'000'000u);
  EXPECT_TRUE(FindFaults(caps, given).empty());
}

TEST(Limits, KeepTheDefaultOfADomainBelowWhatItsUidWasGiven) {
  GivenLimits given;
  Set(given.uid, kBuffers, 10);
  const Caps caps = DeriveCaps(20'000, given);
  EXPECT_EQ(Of(caps.limits.domain, kBuffers), 10u);
  EXPECT_TRUE(FindFaults(caps, given).empty());
}

TEST(Limits, ShareOutBytesOnceTheyAreGiven) {
  GivenLimits given;
  Set(given.service, kBytes, 1000);
  const QuotaLimits limits = DeriveCaps(64, given).limits;
  EXPECT_EQ(Of(limits.uid, kBytes), 750u);
  EXPECT_EQ(Of(limits.domain, kBytes), 500u);
}

TEST(Limits, SayWhichNumberToRaiseWhenDescriptorsDoNotSuffice) {
  GivenLimits given;
  Set(given.service, kBuffers, 30'000);
  EXPECT_EQ(
      Fault(20'000, given),
      "buffers = 30000 and sessions = 1 take 30002 file descriptors, but of the limit of 20000 "
      "only 19616 are for clients; lower them, or raise LimitNOFILE= to 30386");
  EXPECT_TRUE(FindFaults(DeriveCaps(30'386, given), given).empty());

  given = {};
  Set(given.service, kSessions, 10'000);
  EXPECT_EQ(FindFaults(DeriveCaps(20'000, given), given).at(0).resource, kSessions);
}

TEST(Limits, SayWhichNumberToRaiseWhenTheKernelWouldRefuseToSend) {
  GivenLimits given;
  Set(given.service, kInFlight, 10'000);
  EXPECT_EQ(Fault(20'000, given),
            "the limit of 20000 file descriptors allows at most 9999 in flight; lower it, or raise "
            "LimitNOFILE= to 20002");
  EXPECT_TRUE(FindFaults(DeriveCaps(20'002, given), given).empty());
}

TEST(Limits, RefuseAPartThatIsLargerThanTheWhole) {
  GivenLimits given;
  Set(given.service, kSessions, 10);
  Set(given.uid, kSessions, 11);
  EXPECT_EQ(Fault(20'000, given),
            "11 is above the 10 of the whole service; lower it, or raise that limit");
  given = {};
  Set(given.uid, kSessions, 10);
  Set(given.domain, kSessions, 11);
  EXPECT_EQ(Fault(20'000, given), "11 is above the 10 of one uid; lower it, or raise that limit");
}

TEST(Limits, DescribeThemselvesInOneLine) {
  EXPECT_EQ(Describe(DeriveCaps(64)),
            "with 64 file descriptors (LimitNOFILE=): 16 buffers, 8 sessions, 128 leases, 31 "
            "descriptors in flight, 4 control connections; for one uid: 12 buffers, 6 sessions, "
            "96 leases, 23 descriptors in flight; for one domain: 8 buffers, 4 sessions, 64 "
            "leases, 15 descriptors in flight");
}

}  // namespace
}  // namespace hlbuf
