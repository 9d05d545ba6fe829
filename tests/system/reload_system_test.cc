// SPDX-License-Identifier: Apache-2.0
// `systemctl reload`: what can change holds at once, and a bad configuration changes nothing.
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "daemon/observe/message_ids.h"
#include "tests/support/texts.h"
#include "tests/system/installed_service.h"

namespace hlbuf {
namespace {

constexpr std::uint64_t kBytes = 64 << 10;
constexpr const char* kNoBob =
    "[[rule]]\nname = \"no-bob\"\neffect = \"deny\"\nverbs = [\"allocate\"]\nuids = [64002]\n";

class ServiceReload : public InstalledService {
 protected:
  void SetUp() override {
    InstalledService::SetUp();
    Must({"start", kService});
    pid_ = MainPid();
  }
  void TearDown() override {
    EXPECT_EQ(MainPid(), pid_) << "the same process all the time";
    InstalledService::TearDown();
  }

 private:
  pid_t pid_ = 0;
};

TEST_F(ServiceReload, TakesNewRulesAndLeavesSessionsAlone) {
  LibraryClient alice = Alice();
  LibraryClient bob = Bob();
  const HeldBuffer made = bob.Allocate(kBytes);
  Configure(kNoBob);
  Must({"reload", kService});
  EXPECT_TRUE(Eventually([&] { return Contains(bob.RefusalToAllocate(kBytes), "rule 'no-bob'"); }));
  bob.Write(made, "still his");
  EXPECT_EQ(alice.Allocate(kBytes).size_bytes, kBytes);
  EXPECT_TRUE(Comes(kService, "StatusText", "Serving software0 (READY)"));
  EXPECT_EQ(Show(kService, "ActiveState"), "active");
}

TEST_F(ServiceReload, TakesNewLimitsAndTheLogLevel) {
  LibraryClient alice = Alice();
  const HeldBuffer first = alice.Allocate(kBytes);
  Configure("[limits.domain]\nbuffers = 1\n[log]\nlevel = \"debug\"\n");
  Must({"reload", kService});
  EXPECT_TRUE(
      Eventually([&] { return Contains(alice.RefusalToAllocate(kBytes), "has 1 of 1 buffers"); }));
  alice.Release(first);
  EXPECT_TRUE(IsLogged("BUFFER_FREED"));
}

TEST_F(ServiceReload, KeepsTheOldConfigurationWhenTheNewOneIsBadAndSaysWhere) {
  Configure(kNoBob);
  Must({"reload", kService});
  LibraryClient bob = Bob();
  EXPECT_TRUE(Eventually([&] { return Contains(bob.RefusalToAllocate(kBytes), "rule 'no-bob'"); }));
  Configure("[log]\nlevel = \"loud\"\n");
  EXPECT_NE(Systemctl({"reload", kService}).exit_status, 0) << "whoever asked is told";
  EXPECT_TRUE(Eventually([] {
    return Contains(Show(kService, "StatusText"),
                    "the configuration was refused and the old one is kept: "
                    "/etc/hl-bufd/hl-bufd.toml:2:9: log.level: found \"loud\"");
  })) << Show(kService, "StatusText");
  EXPECT_TRUE(IsLogged("/etc/hl-bufd/hl-bufd.toml:2:9: log.level: found \"loud\""));
  EXPECT_TRUE(Contains(Journal({"--catalog", absl::StrCat("MESSAGE_ID=", kConfigurationRefused)}),
                       "Subject: The configuration of hl-bufd was refused"));
  EXPECT_EQ(Show(kService, "ActiveState"), "active");
  EXPECT_TRUE(Contains(bob.RefusalToAllocate(kBytes), "rule 'no-bob'"));

  Configure("");
  Must({"reload", kService});
  EXPECT_TRUE(Comes(kService, "StatusText", "Serving software0 (READY)"));
  EXPECT_EQ(bob.Allocate(kBytes).size_bytes, kBytes);
}

TEST_F(ServiceReload, SaysWhatOnlyARestartChanges) {
  Configure("[[device]]\nname = \"other\"\nkind = \"software\"\nsize = \"1GiB\"\n");
  Must({"reload", kService});
  EXPECT_TRUE(Comes(kService, "StatusText",
                    "Serving software0 (READY); what the configuration says of device, limits, "
                    "default_device, needs a restart of the service"));
}

}  // namespace
}  // namespace hlbuf
