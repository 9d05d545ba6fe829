// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <sys/sysmacros.h>

#include "absl/strings/str_cat.h"
#include "client/ctl/doctor/card_checks.h"
#include "client/ctl/doctor/cards.h"
#include "client/ctl/doctor/credentials.h"
#include "client/ctl/doctor/fake_node.h"
#include "client/ctl/doctor/iommu.h"
#include "client/ctl/doctor/openers.h"
#include "client/ctl/doctor/watchdog.h"
#include "tests/support/texts.h"

namespace hlbuf::ctl::doctor {
namespace {

constexpr const char* kPci = "0000:19:00.0";
constexpr std::uint64_t kGiB = 1 << 30;

// A card as both classes of nodes show it.
void AddCard(const FakeNode& node, const std::string& directory, const std::string& compute,
             const std::string& control) {
  const std::string device = absl::StrCat("/sys/devices/pci0000:16/", kPci);
  node.Write(device + "/resource",
             "0 0 0\n0 0 0\n0 0 0\n0 0 0\n0x4000000000 0x403fffffff 0x14220c\n");
  node.Write(device + "/pci_addr", absl::StrCat(kPci, "\n"));
  node.Write(device + "/device_type", "GAUDI2\n");
  node.Write(device + "/module_id", "5\n");
  node.Write(device + "/status", "Operational\n");
  node.Write("/sys/bus/pci/drivers/habanalabs/bind", "");
  node.Link(device + "/driver", "/sys/bus/pci/drivers/habanalabs");
  node.Write(absl::StrCat(directory, "/", compute, "/dev"), "1:3\n");
  node.Write(absl::StrCat(directory, "/", control, "/dev"), "1:5\n");
  node.Link(absl::StrCat(directory, "/", compute, "/device"), device);
}

TEST(FindCards, ReadsWhatSysfsTells) {
  const FakeNode node;
  AddCard(node, "/sys/class/accel", "accel3", "accel_controlD3");
  node.Write("/sys/class/accel/accel3/uevent", "MAJOR=1\nDEVNAME=accel/accel3\n");
  const std::vector<Card> cards = FindCards(node.roots());
  ASSERT_EQ(cards.size(), 1U);
  EXPECT_EQ(cards[0].pci, kPci);
  EXPECT_EQ(cards[0].compute.path, node.At("/dev/accel/accel3"));
  EXPECT_EQ(cards[0].compute.meant, makedev(1, 3));
  EXPECT_EQ(cards[0].control->meant, makedev(1, 5));
  EXPECT_EQ(cards[0].module_id, 5U);
  EXPECT_EQ(cards[0].bar_bytes, kGiB);
  EXPECT_EQ(cards[0].status, "Operational");
  EXPECT_FALSE(cards[0].legacy);
  EXPECT_EQ(cards[0].debug, node.At(absl::StrCat("/sys/kernel/debug/accel/", kPci)));
}

TEST(FindCards, KnowsTheClassOfOlderKernels) {
  const FakeNode node;
  AddCard(node, "/sys/class/habanalabs", "hl0", "hl_controlD0");
  const std::vector<Card> cards = FindCards(node.roots());
  ASSERT_EQ(cards.size(), 1U);
  EXPECT_TRUE(cards[0].legacy);
  EXPECT_EQ(cards[0].debug, node.At("/sys/kernel/debug/habanalabs/hl0"));
}

TEST(FindCards, LeavesTheCardsOfOtherDriversAlone) {
  const FakeNode node;
  node.Write("/sys/class/accel/accel0/dev", "261:0\n");
  node.Write("/sys/bus/pci/drivers/intel_vpu/bind", "");
  node.Link("/sys/class/accel/accel0/device/driver", "/sys/bus/pci/drivers/intel_vpu");
  EXPECT_TRUE(FindCards(node.roots()).empty());
}

class CardCheck : public testing::Test {
 protected:
  static DeviceFile Node(const std::string& path) {
    return {.path = path,
            .meant = makedev(261, 0),
            .is_device = true,
            .number = makedev(261, 0),
            .mode = 0660,
            .uid = 0,
            .gid = 990};
  }
  Card card_ = {.pci = kPci,
                .compute = Node("/dev/accel/accel0"),
                .control = Node("/dev/accel/accel_controlD0"),
                .attributes = "/sys/a",
                .device_type = "GAUDI2",
                .status = "Operational",
                .module_id = 5,
                .resource = "/sys/a/resource",
                .bar_bytes = 128 * kGiB};
  CardAnswers answers_ = {.module_id = 5, .dram_bytes = 95 * kGiB, .reserved_bytes = kGiB};
  const absl::Status closed_ = absl::PermissionDeniedError("/dev/x: Permission denied");
};

TEST_F(CardCheck, TakesTheStatusForWhatItIs) {
  EXPECT_EQ(JudgeStatus(card_).verdict, Verdict::kOk);
  card_.status = "In reset after device release";
  EXPECT_EQ(JudgeStatus(card_).verdict, Verdict::kWarning);
  card_.status = "Disabled";
  EXPECT_EQ(JudgeStatus(card_).verdict, Verdict::kProblem);
  EXPECT_TRUE(Contains(JudgeStatus(card_).remedy, "echo 1 > /sys/a/hard_reset"));
  card_.status = "";
  EXPECT_EQ(JudgeStatus(card_).verdict, Verdict::kUnknown);
}

TEST_F(CardCheck, WantsTheControlNodeOfTheSameCard) {
  EXPECT_EQ(JudgeControlNode(card_, answers_).verdict, Verdict::kOk);
  answers_.module_id = 4;
  const Finding other = JudgeControlNode(card_, answers_);
  EXPECT_EQ(other.verdict, Verdict::kProblem);
  EXPECT_TRUE(Contains(other.evidence, "says module 4"));
  EXPECT_EQ(JudgeControlNode(card_, closed_).verdict, Verdict::kUnknown);
  EXPECT_EQ(JudgeControlNode(card_, absl::FailedPreconditionError("x")).verdict, Verdict::kProblem);
  card_.module_id.reset();
  EXPECT_EQ(JudgeControlNode(card_, answers_).verdict, Verdict::kUnknown);
  card_.status = "Disabled";
  EXPECT_EQ(JudgeControlNode(card_, closed_).verdict, Verdict::kProblem);
  card_.control.reset();
  EXPECT_EQ(JudgeControlNode(card_, answers_).verdict, Verdict::kProblem);
}

TEST_F(CardCheck, WantsABarThatShowsAllMemory) {
  EXPECT_EQ(JudgeBar(card_, answers_).verdict, Verdict::kOk);
  card_.bar_bytes = 96 * kGiB;
  EXPECT_EQ(JudgeBar(card_, answers_).verdict, Verdict::kOk);
  card_.bar_bytes = 96 * kGiB - 1;  // what is reserved lies in it, too
  EXPECT_EQ(JudgeBar(card_, answers_).verdict, Verdict::kProblem);
  EXPECT_EQ(JudgeBar(card_, closed_).verdict, Verdict::kUnknown);
  card_.bar_bytes.reset();
  EXPECT_EQ(JudgeBar(card_, answers_).verdict, Verdict::kUnknown);
}

TEST_F(CardCheck, KnowsWhatOlderInterfacesCannotDo) {
  EXPECT_EQ(JudgeUapi(card_, answers_, "6.12.1").verdict, Verdict::kOk);
  answers_.legacy_calls = true;
  EXPECT_EQ(JudgeUapi(card_, answers_, "6.6.3").verdict, Verdict::kWarning);
  EXPECT_TRUE(Contains(JudgeUapi(card_, answers_, "6.6.3").remedy, "run Linux 6.7"));
  EXPECT_FALSE(Contains(JudgeUapi(card_, answers_, "6.12").remedy, "run Linux 6.7"));
  EXPECT_EQ(JudgeUapi(card_, answers_, "6.1.0-42-amd64").verdict, Verdict::kProblem);
  card_.device_type = "GAUDI";
  EXPECT_EQ(JudgeUapi(card_, answers_, "6.1.0-42-amd64").verdict, Verdict::kWarning);
  card_.legacy = true;
  EXPECT_TRUE(Contains(JudgeUapi(card_, closed_, "6.6").evidence, "by its class in sysfs"));
}

TEST_F(CardCheck, WantsNodesThatTheServiceMayOpen) {
  Credentials service = {.uid = 901, .gid = 901, .groups = {7, 990}, .source = "hl-bufd"};
  EXPECT_EQ(JudgeNodes(card_, service).verdict, Verdict::kOk);
  service.groups = {7};
  EXPECT_EQ(JudgeNodes(card_, service).verdict, Verdict::kProblem);
  service.overrides_modes = true;
  EXPECT_EQ(JudgeNodes(card_, service).verdict, Verdict::kOk);
  card_.compute.mode = 0666;
  const Finding open = JudgeNodes(card_, service);
  EXPECT_EQ(open.verdict, Verdict::kWarning);
  EXPECT_TRUE(Contains(open.evidence, "so may everybody"));
  EXPECT_EQ(JudgeNodes(card_, std::nullopt).verdict, Verdict::kUnknown);
}

TEST_F(CardCheck, WantsNodesThatAreTheCards) {
  const Credentials root = {.overrides_modes = true};
  card_.control->number = makedev(261, 1);
  EXPECT_TRUE(Contains(JudgeNodes(card_, root).evidence, "is device 261:1"));
  card_.control->is_device = false;
  EXPECT_TRUE(Contains(JudgeNodes(card_, root).evidence, "is no character device"));
  card_.control.reset();
  EXPECT_EQ(JudgeNodes(card_, root).verdict, Verdict::kProblem);
  card_.compute.looked = absl::NotFoundError("");
  EXPECT_TRUE(Contains(JudgeNodes(card_, root).evidence, "is not there"));
  card_.compute.looked = closed_;
  card_.control = Node("/dev/c");
  EXPECT_EQ(JudgeNodes(card_, root).verdict, Verdict::kUnknown);
}

TEST(CredentialsTest, AreReadFromProc) {
  const auto who = CredentialsIn(
      "Name:\thl-bufd\nUid:\t1\t901\t1\t1\nGid:\t2\t902\t2\t2\nGroups:\t7 8 \n"
      "CapEff:\t0000000000000002\n");
  ASSERT_TRUE(who.has_value());
  EXPECT_EQ(who->uid, 901U);
  EXPECT_EQ(who->gid, 902U);
  EXPECT_EQ(who->groups, (std::vector<gid_t>{7, 8}));
  EXPECT_TRUE(who->overrides_modes);
  EXPECT_FALSE(CredentialsIn("Uid:\tx\n").has_value());
}

TEST(CredentialsTest, AreJudgedByTheFirstClassOfBitsThatFits) {
  const DeviceFile file = {.mode = 0066, .uid = 1, .gid = 2};
  EXPECT_FALSE(MayOpen({.uid = 1, .gid = 2}, file)) << "its owner may not, whoever else may";
  EXPECT_TRUE(MayOpen({.uid = 3, .gid = 2}, file));
}

class OpenersTest : public CardCheck {
 protected:
  // A process that has the card open; /dev/null stands for it.
  void AddProcess(const std::string& pid, const std::string& program) {
    node_.LinkOutside(absl::StrCat("/proc/", pid, "/exe"), program);
    node_.LinkOutside(absl::StrCat("/proc/", pid, "/fd/0"), "/dev/zero");
    node_.LinkOutside(absl::StrCat("/proc/", pid, "/fd/3"), "/dev/null");
    node_.LinkOutside(absl::StrCat("/proc/", pid, "/fd/4"), "/nowhere (deleted)");
  }
  Finding Judge() {
    card_.compute.meant = makedev(1, 3);
    const Openers openers = FindOpeners(node_.roots(), {card_});
    return JudgeOpeners(card_, openers.of_card[0], openers.gap, answers_, service_);
  }
  FakeNode node_;
  pid_t service_ = 0;
};

TEST_F(OpenersTest, MayBeTheServiceAndItsKeeper) {
  AddProcess("40", "/usr/libexec/hl-bufd");
  AddProcess("41", "/usr/libexec/hl-bufd-keeper (deleted)");
  const Finding finding = Judge();
  EXPECT_EQ(finding.verdict, Verdict::kOk);
  EXPECT_TRUE(Contains(finding.evidence, "hl-bufd (pid 40), hl-bufd-keeper (pid 41)"));
}

TEST_F(OpenersTest, MayBeNoKeeperOfAnybodyElse) {
  AddProcess("41", "/usr/libexec/hl-bufd-keeper");
  node_.Write("/proc/41/status", "Name:\thl-keeper\nPPid:\t40\n");
  service_ = 40;
  EXPECT_EQ(Judge().verdict, Verdict::kOk);
  service_ = 39;
  EXPECT_EQ(Judge().verdict, Verdict::kProblem) << "another service's, or nobody's";
  node_.Remove("/proc/41");
  AddProcess("40", "/home/x/hl-bufd");
  EXPECT_EQ(Judge().verdict, Verdict::kProblem);
}

TEST_F(OpenersTest, MayBeAKeeperThatSystemdHasStarted) {
  AddProcess("41", "/usr/libexec/hl-bufd-keeper");
  node_.Write("/proc/41/status", "Name:\thl-keeper\nPPid:\t1\n");
  service_ = 40;
  node_.Write("/proc/41/cgroup", "0::/user.slice/hl-bufd-keeper@1-2-3.service\n");
  EXPECT_EQ(Judge().verdict, Verdict::kProblem) << "anybody makes groups there";
  node_.Write(
      "/proc/41/cgroup",
      "0::/system.slice/system-hl\\x2dbufd\\x2dkeeper.slice/hl-bufd-keeper@1-2-3.service\n");
  EXPECT_EQ(Judge().verdict, Verdict::kOk);
}

TEST_F(OpenersTest, MayBeNobodyElse) {
  AddProcess("40", "/usr/libexec/hl-bufd-keeper");
  AddProcess("77", "/usr/bin/python3.11");
  const Finding finding = Judge();
  EXPECT_EQ(finding.verdict, Verdict::kProblem);
  EXPECT_TRUE(Contains(finding.evidence, "open in python3.11 (pid 77), which"));
}

TEST_F(OpenersTest, AreUnknownAsLongAsSomebodyCouldNotBeLookedAt) {
  node_.Write("/proc/1/comm", "init");
  EXPECT_EQ(Judge().verdict, Verdict::kOk);
  EXPECT_EQ(JudgeOpeners(card_, {}, "2 processes", answers_, 0).verdict, Verdict::kUnknown);
  node_.LinkOutside("/proc/self/ns/pid", "pid:[4026532999]");
  EXPECT_TRUE(Contains(Judge().evidence, "outside of this pid namespace"));
}

TEST_F(OpenersTest, AreMissedWhenTheCardIsInUse) {
  node_.Write("/proc/1/comm", "init");
  answers_.in_use = true;
  const Finding finding = Judge();
  EXPECT_EQ(finding.verdict, Verdict::kWarning);
  EXPECT_TRUE(Contains(finding.remedy, "`hl-bufctl holders DEVICE`"));
}

TEST(IommuTest, IsJudgedByTheDomainOfTheCard) {
  const FakeNode node;
  const auto judge = [&] { return JudgeIommu(kPci, ReadIommu(node.roots(), kPci)); };
  EXPECT_EQ(judge().verdict, Verdict::kOk);
  node.Write("/sys/kernel/iommu_groups/12/type", "DMA-FQ\n");
  node.Link(absl::StrCat("/sys/bus/pci/devices/", kPci, "/iommu_group"),
            "/sys/kernel/iommu_groups/12");
  EXPECT_EQ(judge().verdict, Verdict::kWarning);
  node.Write("/sys/kernel/iommu_groups/12/type", "identity\n");
  EXPECT_EQ(judge().verdict, Verdict::kOk);
  node.Remove("/sys/kernel/iommu_groups/12/type");
  EXPECT_EQ(judge().verdict, Verdict::kUnknown);
}

TEST(WatchdogTest, IsDerivedFromTheKernel) {
  EXPECT_EQ(WindowOf(false, "6.12.1"), absl::Seconds(30));
  EXPECT_EQ(WindowOf(true, "6.6.1"), absl::Seconds(5));
  EXPECT_EQ(WindowOf(true, "6.2.0"), absl::Seconds(5));
  EXPECT_EQ(WindowOf(true, "6.1.0-42"), absl::ZeroDuration());
  EXPECT_EQ(WindowOf(true, "?"), absl::ZeroDuration());
}

Finding Watch(absl::Duration window, absl::StatusOr<std::string> seconds,
              absl::StatusOr<ServiceConfig> config = ServiceConfig()) {
  return JudgeWatchdog(kPci, {.kernel = "6.12", .window = window, .file = "/d", .seconds = seconds},
                       config);
}

TEST(WatchdogTest, HasRoomForTheClientsGrace) {
  EXPECT_EQ(Watch(absl::Seconds(30), "30").verdict, Verdict::kOk);
  EXPECT_EQ(Watch(absl::Seconds(30), "60").verdict, Verdict::kOk);
  const Finding tight =
      Watch(absl::Seconds(30), "30", ServiceConfig{.reset_grace = absl::Seconds(25)});
  EXPECT_EQ(tight.verdict, Verdict::kWarning);
  EXPECT_TRUE(Contains(tight.evidence, "clients get 22.5s"));
}

TEST(WatchdogTest, IsNotShorterThanTheServiceThinks) {
  const Finding cut = Watch(absl::Seconds(30), "5");
  EXPECT_EQ(cut.verdict, Verdict::kWarning);
  EXPECT_TRUE(Contains(cut.remedy, "echo 30 > /d"));
  EXPECT_EQ(Watch(absl::ZeroDuration(), absl::NotFoundError("/d")).verdict, Verdict::kWarning);
}

TEST(WatchdogTest, SaysWhatItCouldNotRead) {
  const Finding finding = Watch(absl::Seconds(30), absl::PermissionDeniedError("/d: no"),
                                absl::PermissionDeniedError("/etc/x: no"));
  EXPECT_EQ(finding.verdict, Verdict::kUnknown) << "somebody may have set either";
  EXPECT_TRUE(Contains(finding.remedy, "as root"));
  EXPECT_TRUE(Contains(finding.evidence, "/d: no (needs root)"));
  EXPECT_TRUE(Contains(finding.evidence, "reset_grace is unknown: /etc/x"));
  EXPECT_EQ(Watch(absl::Seconds(30), "30", absl::PermissionDeniedError("/etc/x: no")).verdict,
            Verdict::kOk);
}

}  // namespace
}  // namespace hlbuf::ctl::doctor
