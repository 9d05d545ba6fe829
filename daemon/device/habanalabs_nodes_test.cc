// SPDX-License-Identifier: Apache-2.0
#include "daemon/device/habanalabs_nodes.h"

#include <gtest/gtest.h>
#include <sys/sysmacros.h>

#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "daemon/core/error.h"
#include "daemon/device/fake_habanalabs.h"

namespace hlbuf {
namespace {

class HabanalabsNodesTest : public testing::Test {
 protected:
  absl::StatusOr<HabanalabsNodes> Find(absl::string_view pci = "") {
    return FindHabanalabsCard(machine_, machine_.roots(), pci);
  }
  FakeHabanalabs machine_;
};

TEST_F(HabanalabsNodesTest, FindsTheOnlyCardWithoutBeingToldWhichOne) {
  const FakeHabanalabsCard& card = machine_.Add({.module_id = 5, .bar_bytes = 8 << 20});
  const auto found = Find();
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->compute.path, machine_.roots().dev + "/accel/accel0");
  EXPECT_EQ(found->compute.number, makedev(261, 0));
  ASSERT_TRUE(found->control.has_value());
  EXPECT_EQ(found->control->path, machine_.roots().dev + "/accel/accel_controlD0");
  EXPECT_EQ(found->pci, "0000:19:00.0");
  EXPECT_EQ(found->device_type, "GAUDI2");
  EXPECT_EQ(found->module_id, 5u);
  EXPECT_EQ(found->bar_bytes, std::uint64_t{8 << 20});
  EXPECT_TRUE(std::filesystem::equivalent(found->attributes, machine_.SysfsOf(card)));
}

TEST_F(HabanalabsNodesTest, FindsTheNodesOfKernelsBefore67) {
  machine_.Add({.module_id = 2, .legacy = true});
  const auto found = Find();
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->compute.path, machine_.roots().dev + "/hl0");
  EXPECT_EQ(found->control->path, machine_.roots().dev + "/hl_controlD0");
  EXPECT_EQ(found->attributes, machine_.roots().sys + "/class/habanalabs/hl0");
  EXPECT_EQ(found->pci, "0000:19:00.0");
  EXPECT_EQ(found->module_id, 2u);
}

TEST_F(HabanalabsNodesTest, KnowsNothingThatSysfsDoesNotSay) {
  const FakeHabanalabsCard& card = machine_.Add();
  std::filesystem::remove(machine_.SysfsOf(card) + "/module_id");
  std::filesystem::remove_all(machine_.roots().sys + "/class/accel/accel_controlD0");
  const auto found = Find();
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->module_id, std::nullopt);
  EXPECT_EQ(found->bar_bytes, std::nullopt);
  EXPECT_FALSE(found->control.has_value());
}

TEST_F(HabanalabsNodesTest, TakesABarThatIsNotThereForUnknown) {
  const FakeHabanalabsCard& card = machine_.Add();
  const std::string none = "0x0000000000000000 0x0000000000000000 0x0000000000000000\n";
  machine_.WriteSysfs(absl::StrCat("bus/pci/devices/", card.pci, "/resource"),
                      absl::StrCat(none, none, none, none, none, none));
  EXPECT_EQ(Find()->bar_bytes, std::nullopt);
  machine_.WriteSysfs(absl::StrCat("bus/pci/devices/", card.pci, "/resource"), "nonsense");
  EXPECT_EQ(Find()->bar_bytes, std::nullopt);
}

TEST_F(HabanalabsNodesTest, ListsCardsByTheirAddress) {
  machine_.Add({.pci = "0000:b3:00.0"});
  machine_.Add({.pci = "0000:19:00.0"});
  const auto cards = FindHabanalabsCards(machine_, machine_.roots());
  ASSERT_EQ(cards.size(), 2u);
  EXPECT_EQ(cards[0].pci, "0000:19:00.0");
  EXPECT_EQ(cards[1].pci, "0000:b3:00.0");
  EXPECT_EQ(Find("0000:b3:00.0")->compute.path, machine_.roots().dev + "/accel/accel0");
}

TEST_F(HabanalabsNodesTest, WantsToKnowWhichOneOfSeveral) {
  machine_.Add({.pci = "0000:b3:00.0"});
  machine_.Add({.pci = "0000:19:00.0"});
  const absl::Status refused = Find().status();
  EXPECT_EQ(ErrorCodeOf(refused), ErrorCode::kInvalidArgument);
  EXPECT_TRUE(absl::EndsWith(refused.message(), "pci = \"...\": 0000:19:00.0, 0000:b3:00.0"))
      << refused;
}

TEST_F(HabanalabsNodesTest, SaysWhatToDoWhereThereIsNoCard) {
  const absl::Status refused = Find().status();
  EXPECT_EQ(ErrorCodeOf(refused), ErrorCode::kDeviceUnavailable);
  EXPECT_TRUE(absl::StrContains(refused.message(), "modprobe habanalabs")) << refused;
}

TEST_F(HabanalabsNodesTest, LeavesTheNodesOfOtherDriversAlone) {
  machine_.Add({.pci = "0000:00:0b.0", .driver = "intel_vpu"});
  machine_.Add({.pci = "0000:19:00.0"});
  EXPECT_EQ(Find()->compute.path, machine_.roots().dev + "/accel/accel1");
  const absl::Status refused = Find("0000:00:0b.0").status();
  EXPECT_EQ(ErrorCodeOf(refused), ErrorCode::kDeviceUnavailable);
  EXPECT_EQ(refused.message(),
            "there is no Gaudi card at 0000:00:0b.0: it belongs to the driver intel_vpu, not to "
            "habanalabs; there are cards at 0000:19:00.0");
}

TEST_F(HabanalabsNodesTest, SaysWhatIsAtTheAddressInstead) {
  EXPECT_TRUE(absl::StrContains(Find("0000:01:00.0").status().message(), "`lspci -D`"));
  const std::string device = "bus/pci/devices/0000:01:00.0";
  machine_.WriteSysfs(device + "/vendor", "0x1da3\n");
  EXPECT_TRUE(absl::StrContains(Find("0000:01:00.0").status().message(), "no driver is bound"));
  machine_.WriteSysfs("bus/pci/drivers/habanalabs/bind", "");
  std::filesystem::create_directory_symlink(
      machine_.roots().sys + "/bus/pci/drivers/habanalabs",
      absl::StrCat(machine_.roots().sys, "/", device, "/driver"));
  EXPECT_TRUE(absl::StrContains(Find("0000:01:00.0").status().message(), "made no node"));
}

TEST_F(HabanalabsNodesTest, RejectsANodeThatIsNotTheDeviceThatSysfsMeans) {
  machine_.Add();
  const auto found = Find();
  ASSERT_TRUE(found.ok());
  const UniqueFd fd = machine_.Open(found->compute.path, 0);
  EXPECT_TRUE(CheckDeviceNode(machine_, fd.get(), found->compute).ok());
  machine_.number_shift = makedev(247, 0);
  const absl::Status refused = CheckDeviceNode(machine_, fd.get(), found->compute);
  EXPECT_EQ(ErrorCodeOf(refused), ErrorCode::kDeviceError);
  EXPECT_TRUE(absl::StrContains(refused.message(), "sysfs says that the card is 261:0")) << refused;
}

}  // namespace
}  // namespace hlbuf
