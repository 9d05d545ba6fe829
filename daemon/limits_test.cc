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
// With one device of 64 GiB.
Caps CapsOf(std::uint64_t nofile, const GivenLimits& given = {}) {
  return DeriveCaps({.nofile = nofile, .device_bytes = std::uint64_t{64} << 30}, given);
}
// The only fault, in words.
std::string Fault(std::uint64_t nofile, const GivenLimits& given) {
  const auto faults = FindFaults(CapsOf(nofile, given), given);
  EXPECT_EQ(faults.size(), 1u);
  return faults.empty() ? "" : faults.front().text;
}

TEST(Limits, SpendNoMoreThanTheDescriptorsThatThereAre) {
  for (std::uint64_t nofile = NofileMin(); nofile < 600'000; nofile += 1 + nofile / 50) {
    const Caps caps = CapsOf(nofile);
    const Amounts& all = caps.limits.service;
    EXPECT_LE(Of(all, kBuffers) + 2 * Of(all, kSessions) + caps.own_descriptors +
                  2 * caps.control_connections,
              nofile);
    EXPECT_LT(Of(all, kInFlight), nofile / 2);
    EXPECT_TRUE(FindFaults(caps, {}).empty()) << nofile;
  }
}

TEST(Limits, GrowWithTheDescriptors) {
  for (std::uint64_t nofile = 2 * NofileMin(); nofile < 1'000'000; nofile *= 2)
    for (const Resource resource : {kBuffers, kLeases, kSessions, kInFlight})
      EXPECT_GE(Of(CapsOf(nofile).limits.domain, resource),
                Of(CapsOf(nofile / 2).limits.domain, resource))
          << nofile;
}

TEST(Limits, HoldFifteenThousandBuffersAndAThousandSessionsInTwentyThousandDescriptors) {
  const Amounts all = CapsOf(20'000).limits.service;
  EXPECT_GE(Of(all, kBuffers), 15'500u);
  EXPECT_GE(Of(all, kSessions), 1'300u);
  EXPECT_EQ(Of(all, kInFlight), 9'999u);
}

TEST(Limits, ShareOutWhatTheDevicesHave) {
  const QuotaLimits limits = CapsOf(20'000).limits;
  EXPECT_EQ(Of(limits.service, kBytes), std::uint64_t{64} << 30);
  EXPECT_EQ(Of(limits.uid, kBytes), std::uint64_t{48} << 30);
  EXPECT_EQ(Of(limits.domain, kBytes), std::uint64_t{32} << 30);
}

TEST(Limits, LetOthersAllocateWhenOneDomainHasAllThatItMay) {
  const QuotaLimits limits = CapsOf(20'000).limits;
  Accounts accounts(limits);
  const std::uint64_t most = Of(limits.domain, kBytes);
  const auto greedy = accounts.Of({.uid = 1000}).account.Take(kBytes, most);
  ASSERT_TRUE(greedy.ok());
  EXPECT_FALSE(accounts.Of({.uid = 1000}).account.Take(kBytes, 1).ok());
  EXPECT_TRUE(accounts.Of({.uid = 1001}).account.Take(kBytes, most).ok());
  EXPECT_TRUE(
      accounts.Of({.uid = 1000, .container = "c0ffee"}).account.Take(kBytes, most / 2).ok());
  EXPECT_FALSE(accounts.Of({.uid = 1000, .container = "c0ffee"}).account.Take(kBytes, most).ok());
}

TEST(Limits, KeepDescriptorsForEachDevice) {
  const Caps one = CapsOf(20'000);
  const Caps ten = DeriveCaps({.nofile = 20'000, .devices = 10});
  EXPECT_EQ(ten.own_descriptors, one.own_descriptors + 27);
  EXPECT_LT(Of(ten.limits.service, kBuffers), Of(one.limits.service, kBuffers));
  EXPECT_EQ(NofileMin(10), NofileMin() + 27);
  EXPECT_GE(Of(DeriveCaps({.nofile = 3, .devices = 100}).limits.domain, kBuffers), 1u);
}

TEST(Limits, LeaveRoomForOthersBesideOneUidInSixtyFourDescriptors) {
  const QuotaLimits limits = CapsOf(64).limits;
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
  const Caps caps = CapsOf(3);
  EXPECT_EQ(caps.nofile, NofileMin());
  for (const Resource resource : {kBuffers, kSessions, kLeases, kInFlight})
    EXPECT_GE(Of(caps.limits.domain, resource), 1u);
}

TEST(Limits, TakeAnUnlimitedNumberForAllThatAKernelCanHave) {
  EXPECT_LT(Of(CapsOf(UINT64_MAX).limits.service, kLeases), kUnlimited);
}

TEST(Limits, FitTheRestAroundWhatIsGiven) {
  GivenLimits given;
  Set(given.service, kBuffers, 19'000);
  const Amounts all = CapsOf(20'000, given).limits.service;
  EXPECT_EQ(Of(all, kBuffers), 19'000u);
  EXPECT_EQ(Of(all, kSessions), 308u);

  given = {};
  Set(given.service, kSessions, 100);
  EXPECT_EQ(Of(CapsOf(20'000, given).limits.service, kBuffers), 19'416u);
}

TEST(Limits, RaiseTheWholeForAPartThatIsGiven) {
  GivenLimits given;
  Set(given.domain, kBuffers, 15'000);
  Set(given.domain, kLeases, 1'000'000);
  const Caps caps = CapsOf(20'000, given);
  EXPECT_EQ(Of(caps.limits.uid, kBuffers), 15'000u);
  EXPECT_EQ(Of(caps.limits.uid, kLeases), 1'000'000u);
  EXPECT_EQ(Of(caps.limits.service, kLeases), 1'000'000u);
  EXPECT_TRUE(FindFaults(caps, given).empty());
}

TEST(Limits, RefuseMoreBytesThanTheDevicesHave) {
  GivenLimits given;
  Set(given.uid, kBytes, std::uint64_t{900} << 40);
  EXPECT_EQ(Fault(20'000, given),
            "900TiB is above the 64GiB of the whole service; lower it, or raise that limit");
}

TEST(Limits, BelieveWhoKnowsHowManyBytesACardHas) {
  GivenLimits given;
  Set(given.uid, kBytes, std::uint64_t{128} << 30);
  const Caps caps = DeriveCaps(
      {.nofile = 20'000, .device_bytes = std::uint64_t{96} << 30, .bytes_known = false}, given);
  EXPECT_EQ(Of(caps.limits.service, kBytes), std::uint64_t{128} << 30);
  EXPECT_TRUE(FindFaults(caps, given).empty());
}

TEST(Limits, KeepTheDefaultOfADomainBelowWhatItsUidWasGiven) {
  GivenLimits given;
  Set(given.uid, kBuffers, 10);
  const Caps caps = CapsOf(20'000, given);
  EXPECT_EQ(Of(caps.limits.domain, kBuffers), 10u);
  EXPECT_TRUE(FindFaults(caps, given).empty());
}

TEST(Limits, ShareOutBytesOnceTheyAreGiven) {
  GivenLimits given;
  Set(given.service, kBytes, 1000);
  const QuotaLimits limits = CapsOf(64, given).limits;
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
  EXPECT_TRUE(FindFaults(CapsOf(30'386, given), given).empty());

  given = {};
  Set(given.service, kSessions, 10'000);
  EXPECT_EQ(FindFaults(CapsOf(20'000, given), given).at(0).resource, kSessions);
}

TEST(Limits, SayWhichNumberToRaiseWhenTheKernelWouldRefuseToSend) {
  GivenLimits given;
  Set(given.service, kInFlight, 10'000);
  EXPECT_EQ(Fault(20'000, given),
            "the limit of 20000 file descriptors allows at most 9999 in flight; lower it, or raise "
            "LimitNOFILE= to 20002");
  EXPECT_TRUE(FindFaults(CapsOf(20'002, given), given).empty());
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
  EXPECT_EQ(Describe(CapsOf(64)),
            "with 64 file descriptors (LimitNOFILE=): 64GiB, 16 buffers, 8 sessions, 128 "
            "leases, 31 descriptors in flight, 4 control connections; for one uid: 48GiB, 12 "
            "buffers, 6 sessions, 96 leases, 23 descriptors in flight; for one domain: 32GiB, 8 "
            "buffers, 4 sessions, 64 leases, 15 descriptors in flight");
}

}  // namespace
}  // namespace hlbuf
