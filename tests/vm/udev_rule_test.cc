// SPDX-License-Identifier: Apache-2.0
// The udev rule as installed: what it makes of a card's nodes, and that a card starts the service.
// Needs udev, which tests/vm/fetch.sh gets for the guest.
#include <grp.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/vm/card_units.h"

namespace hlbuf {
namespace {

constexpr const char* kUdev = "systemd-udevd.service";

class UdevRule : public InstalledInGuest, public testing::WithParamInterface<const char*> {
 protected:
  void SetUp() override {
    const char* const unpacked = std::getenv("HLBUF_UDEV");
    if (unpacked == nullptr) GTEST_SKIP() << "tests/vm/fetch.sh found no udev for the guest";
    InstalledInGuest::SetUp();
    // As its package would put them there; its table of hardware is large, and is nobody's
    // business.
    MustRun(absl::StrCat("cd ", unpacked, " && cp -a --remove-destination bin/udevadm /bin/ && ",
                         "cp -a --remove-destination lib/systemd/systemd-udevd /lib/systemd/ && ",
                         "cp -a lib/systemd/system/systemd-udevd* /lib/systemd/system/ && ",
                         "mkdir -p /lib/udev && cp -a lib/udev/rules.d /lib/udev/"));
    Must({"daemon-reload"});
    Must({"start", kUdev});
  }
  void TearDown() override {
    if (IsSkipped()) return;
    InstalledInGuest::TearDown();
    Must({"stop", kUdev, "systemd-udevd-control.socket", "systemd-udevd-kernel.socket"});
  }
  void Load() { card_.emplace(absl::StrCat("memory_scrub=1 ", GetParam())); }

  static testing::AssertionResult IsTheServices(const std::string& node) {
    const group* const own = ::getgrnam("hl-bufd");
    struct stat at = {};
    const bool is = Eventually([&] {
      return ::stat(node.c_str(), &at) == 0 && at.st_gid == own->gr_gid &&
             (at.st_mode & 07777) == 0660;
    });
    if (is) return testing::AssertionSuccess();
    return testing::AssertionFailure()
           << node << " has group " << at.st_gid << " and mode " << std::oct << at.st_mode;
  }

  std::optional<Hlsim> card_;
};

TEST_P(UdevRule, GivesACardToTheServiceAndStartsIt) {
  ASSERT_EQ(Show(kTarget, "ActiveState"), "inactive");
  Load();
  ASSERT_TRUE(IsTheServices(card_->Node()));
  ASSERT_TRUE(IsTheServices(card_->ControlNode()));
  EXPECT_TRUE(Comes(kTarget, "ActiveState", "active"));
  ASSERT_TRUE(Serves());
  EXPECT_EQ(Alice().Allocate(kBytes).size_bytes, kBytes);
}

// The rule came after the driver: what README.md has an administrator do then.
TEST_P(UdevRule, IsAppliedByATriggerToACardThatIsThere) {
  constexpr const char* kRule = "/usr/local/lib/udev/rules.d/70-hl-bufd.rules";
  MustRun(absl::StrCat("mv ", kRule, " /tmp/rule && udevadm control --reload"));
  Load();
  MustRun("udevadm settle");
  MustRun(absl::StrCat("mv /tmp/rule ", kRule,
                       " && udevadm control --reload && udevadm trigger --settle "
                       "--subsystem-match=accel --subsystem-match=habanalabs"));
  ASSERT_TRUE(IsTheServices(card_->Node()));
  ASSERT_TRUE(IsTheServices(card_->ControlNode()));
  EXPECT_TRUE(Serves());
}

INSTANTIATE_TEST_SUITE_P(OfNodes, UdevRule, testing::Values("", "legacy=66"),
                         [](const testing::TestParamInfo<const char*>& nodes) {
                           return *nodes.param == '\0' ? "OfLinux67" : "OfLinux66";
                         });

}  // namespace
}  // namespace hlbuf
