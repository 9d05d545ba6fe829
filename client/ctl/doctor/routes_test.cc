// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "client/ctl/doctor/fake_node.h"
#include "client/ctl/doctor/nics.h"
#include "client/ctl/doctor/pci.h"
#include "client/ctl/doctor/peer_route.h"
#include "tests/support/texts.h"

namespace hlbuf::ctl::doctor {
namespace {

using Kind = PeerRoute::Kind;

// Configuration space with one extended capability before that of ACS.
std::string Config(unsigned char control) {
  std::string config(4096, '\0');
  config[0x100] = 0x01;  // errors, version 2; the next is at 0x148
  config[0x102] = static_cast<char>(0x82);
  config[0x103] = 0x14;
  config[0x148] = 0x0d;
  config[0x148 + 6] = static_cast<char>(control);
  return config;
}

TEST(AcsTest, RedirectsByThreeOfItsBits) {
  EXPECT_EQ(AcsIn(Config(0x04)), Acs::kRedirects);
  EXPECT_EQ(AcsIn(Config(0x08)), Acs::kRedirects);
  EXPECT_EQ(AcsIn(Config(0x20)), Acs::kRedirects);
  EXPECT_EQ(AcsIn(Config(0x01 | 0x02 | 0x10 | 0x40)), Acs::kPasses);
}

TEST(AcsTest, IsUnknownToWhoSeesTheHeaderAlone) {
  EXPECT_EQ(AcsIn(Config(0x04).substr(0, 64)), Acs::kUnknown);
  EXPECT_EQ(AcsIn(""), Acs::kUnknown);
}

TEST(AcsTest, IsNotThereInPlainPciOrInNonsense) {
  EXPECT_EQ(AcsIn(Config(0x04).substr(0, 256)), Acs::kPasses);
  EXPECT_EQ(AcsIn(std::string(4096, '\xff')), Acs::kPasses);
  std::string ring(4096, '\0');
  ring[0x100] = 1;
  ring[0x103] = 0x10;  // the next capability is this one
  EXPECT_EQ(AcsIn(ring), Acs::kPasses);
  EXPECT_EQ(AcsIn(Config(0x04).substr(0, 0x148 + 4)), Acs::kPasses) << "cut off in the middle";
}

PciPlace Place(std::vector<std::string> upstream, HostBridge host = {"pci0000:16", 0x8086, 0x1}) {
  PciPlace place{.host = std::move(host)};
  for (std::string& address : upstream)
    place.upstream.push_back({.address = std::move(address), .acs = Acs::kPasses});
  return place;
}

constexpr const char* kSwitch = "0000:17:00.0";
constexpr const char* kRootPort = "0000:16:01.0";

class RouteTest : public testing::Test {
 protected:
  PeerRoute Route(bool any_host = false) { return RouteBetween(card_, nic_, any_host); }
  PciPlace card_ = Place({"0000:19:00.0", "0000:18:00.0", kSwitch, kRootPort});
  PciPlace nic_ = Place({"0000:1a:00.0", "0000:18:01.0", kSwitch, kRootPort});
};

TEST_F(RouteTest, IsTheSwitchAboveBoth) {
  EXPECT_EQ(Route().kind, Kind::kSwitch);
  EXPECT_TRUE(Contains(Route().why, kSwitch));
}

TEST_F(RouteTest, IsNotTakenWhereABridgeOfEitherPathRedirects) {
  for (PciPlace* place : {&card_, &nic_}) {
    place->upstream[1].acs = Acs::kRedirects;
    EXPECT_EQ(Route().kind, Kind::kRefused);
    EXPECT_EQ(Route(/*any_host=*/true).kind, Kind::kRedirected);
    EXPECT_EQ(Route().redirecting, std::vector{place->upstream[1].address});
    place->upstream[1].acs = Acs::kPasses;
  }
}

TEST_F(RouteTest, IsNotTouchedByBridgesAboveTheCommonOne) {
  card_.upstream[3].acs = nic_.upstream[3].acs = Acs::kRedirects;
  EXPECT_EQ(Route().kind, Kind::kSwitch);
  card_.upstream[2].acs = Acs::kRedirects;  // the common one itself
  EXPECT_EQ(Route().kind, Kind::kRefused);
}

TEST_F(RouteTest, IsUnknownWhenABridgeCannotBeRead) {
  nic_.upstream[1].acs = Acs::kUnknown;
  EXPECT_EQ(Route().kind, Kind::kUnknown);
  EXPECT_TRUE(Contains(Route().why, "0000:18:01.0 not readable (needs root)"));
  card_.upstream[1].acs = Acs::kRedirects;
  EXPECT_EQ(Route().kind, Kind::kRefused) << "one that redirects is enough";
}

TEST_F(RouteTest, GoesThroughAHostBridgeThatTheKernelKnows) {
  nic_ = Place({"0000:1a:00.0", "0000:16:02.0"});
  EXPECT_EQ(Route().kind, Kind::kRefused);
  EXPECT_EQ(Route(/*any_host=*/true).kind, Kind::kHost);
  card_.host.device = nic_.host.device = 0x3c00;  // for what is below the same one
  EXPECT_EQ(Route().kind, Kind::kHost);
  nic_.host.name = "pci0000:80";
  EXPECT_EQ(Route().kind, Kind::kRefused);
  card_.host.device = nic_.host.device = 0x2030;  // for all
  EXPECT_EQ(Route().kind, Kind::kHost);
  nic_.host.vendor = 0x1022;
  EXPECT_EQ(Route().kind, Kind::kRefused);
}

TEST(AnyHost, IsPassedByAmdSinceZen) {
  EXPECT_TRUE(PassesThroughAnyHost("vendor_id\t: AuthenticAMD\ncpu family\t: 23\n"));
  EXPECT_FALSE(PassesThroughAnyHost("vendor_id\t: AuthenticAMD\ncpu family\t: 21\n"));
  EXPECT_FALSE(PassesThroughAnyHost("vendor_id\t: GenuineIntel\ncpu family\t: 25\n"));
  EXPECT_FALSE(PassesThroughAnyHost("nonsense"));
}

// A card and a NIC below one switch, and a NIC that is software.
class NicsTest : public testing::Test {
 protected:
  NicsTest() {
    Add(kCard, "/0000:16:01.0/0000:17:00.0/0000:18:00.0/0000:19:00.0");
    Add("0000:1a:00.0", "/0000:16:01.0/0000:17:00.0/0000:18:01.0/0000:1a:00.0");
    node_.Write(kHost + "/0000:16:00.0/vendor", "0x8086\n");
    node_.Write(kHost + "/0000:16:00.0/device", "0x09a2\n");
    for (const char* bridge :
         {"", "/0000:17:00.0", "/0000:17:00.0/0000:18:00.0", "/0000:17:00.0/0000:18:01.0"})
      node_.Write(absl::StrCat(kHost, "/0000:16:01.0", bridge, "/config"), Config(0));
    node_.Link("/sys/class/infiniband/mlx5_0/device", kHost +
                                                          "/0000:16:01.0/0000:17:00.0/"
                                                          "0000:18:01.0/0000:1a:00.0");
    node_.Write("/sys/class/infiniband/siw0/node_type", "");
  }
  void Add(const std::string& address, const std::string& place) {
    node_.Write(kHost + place + "/config", Config(0));
    node_.Link("/sys/bus/pci/devices/" + address, kHost + place);
  }
  Finding Judge(bool vendors = false) {
    const auto place = PlaceOf(node_.roots(), kCard);
    if (!place.ok()) return JudgeRoutes(kCard, place, {}, vendors);
    return JudgeRoutes(kCard, place, RoutesTo(*place, FindNics(node_.roots()), false), vendors);
  }
  const std::string kCard = "0000:19:00.0";
  const std::string kHost = "/sys/devices/pci0000:16";
  FakeNode node_;
};

TEST_F(NicsTest, AreReachedThroughTheSwitchThatSysfsShows) {
  const auto place = PlaceOf(node_.roots(), kCard);
  ASSERT_TRUE(place.ok());
  EXPECT_EQ(place->upstream.size(), 4U);
  EXPECT_EQ(place->host.name, "pci0000:16");
  EXPECT_EQ(place->host.device, 0x09a2U);
  const Finding finding = Judge();
  EXPECT_EQ(finding.verdict, Verdict::kOk) << finding.evidence;
  EXPECT_EQ(finding.evidence, "mlx5_0: below 0000:17:00.0");
}

TEST_F(NicsTest, AreReachedBadlyOrNotAtAllWhenASwitchRedirects) {
  node_.Write(kHost + "/0000:16:01.0/0000:17:00.0/0000:18:00.0/config", Config(0x0c));
  const Finding redirected = Judge();
  EXPECT_EQ(redirected.verdict, Verdict::kWarning) << redirected.evidence;
  EXPECT_TRUE(Contains(redirected.remedy, "pci=disable_acs_redir=0000:18:00.0"));
  node_.Write(kHost + "/0000:16:00.0/device", "0x1234\n");
  EXPECT_EQ(Judge().verdict, Verdict::kProblem);
  EXPECT_EQ(Judge(/*vendors=*/true).verdict, Verdict::kWarning);
}

TEST_F(NicsTest, AreUnknownWithoutRootOrWithoutAPlace) {
  node_.Write(kHost + "/0000:16:01.0/0000:17:00.0/config", std::string(64, '\0'));
  EXPECT_EQ(Judge().verdict, Verdict::kUnknown);
  node_.Remove("/sys/class/infiniband/mlx5_0");
  EXPECT_TRUE(Contains(Judge().evidence, "no RDMA device that is a PCI function"));
  node_.Remove("/sys/bus/pci/devices/" + kCard);
  EXPECT_TRUE(Contains(Judge().evidence, "no such PCI function"));
}

}  // namespace
}  // namespace hlbuf::ctl::doctor
