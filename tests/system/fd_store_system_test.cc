// SPDX-License-Identifier: Apache-2.0
// What systemd keeps for the next life of the service, under the service's own unit.
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "tests/support/texts.h"
#include "tests/system/installed_service.h"

namespace hlbuf {
namespace {

constexpr const char* kProbe = "/usr/local/libexec/hl-bufd-fd-store-probe";

// fd_store_probe in the place of the service.
class FdStoreUnit : public InstalledService {
 protected:
  void SetUp() override {
    InstalledService::SetUp();
    std::filesystem::copy_file(BuiltPath("tests/system/fd_store_probe"), kProbe,
                               std::filesystem::copy_options::overwrite_existing);
  }
  void Store(const std::string& names, const std::string& more = "") {
    DropIn(absl::StrCat("ExecStart=\nExecStart=", kProbe, " ", names, "\nWatchdogSec=0\n", more));
  }
  static std::string Status() { return Show(kService, "StatusText"); }
  static std::string Count() { return Show(kService, "NFileDescriptorStore"); }
};

TEST_F(FdStoreUnit, GivesWhatWasStoredToTheNextLifeAfterAKillAndARestart) {
  Store("journal epochs");
  Must({"start", kService});
  const pid_t first = MainPid();
  EXPECT_EQ(Status(), "journal new; epochs new; verified");
  EXPECT_EQ(Count(), "2");
  const std::string again = absl::StrCat("journal of ", first, "; epochs of ", first, "; verified");
  ASSERT_EQ(::kill(first, SIGKILL), 0);
  EXPECT_TRUE(Comes(kService, "NRestarts", "1"));
  EXPECT_TRUE(Comes(kService, "StatusText", again));
  Must({"restart", kService});
  EXPECT_EQ(Status(), again);
  EXPECT_EQ(Count(), "2");
}

TEST_F(FdStoreUnit, ForgetsWhatWasStoredWithAStop) {
  Store("journal");
  Must({"start", kService});
  Must({"stop", kService});
  EXPECT_EQ(Count(), "0");
  Must({"start", kService});
  EXPECT_EQ(Status(), "journal new; verified");
}

TEST_F(FdStoreUnit, LosesWhatTheNextLifeDoesNotKnow) {
  Store("journal old");
  Must({"start", kService});
  const pid_t first = MainPid();
  Store("journal");
  Must({"restart", kService});
  EXPECT_EQ(Status(), absl::StrCat("journal of ", first, "; old removed; verified"));
  EXPECT_EQ(Count(), "1");
}

TEST_F(FdStoreUnit, Scenario15_HasOneUnderANameThatWasStoredAgain) {
  Store("journal");
  Must({"start", kService});
  Store("+journal");
  Must({"restart", kService});
  const pid_t second = MainPid();
  EXPECT_EQ(Status(), "journal new; verified");
  EXPECT_EQ(Count(), "1");
  Store("journal");
  Must({"restart", kService});
  EXPECT_EQ(Status(), absl::StrCat("journal of ", second, "; verified"));
}

// systemd leaves a file that it has where it is, and says nothing.
TEST_F(FdStoreUnit, Scenario15_SaysWhenAFileIsStoredUnderAnotherName) {
  Store("journal=epochs");
  Must({"start", kService});
  EXPECT_EQ(Count(), "1");
  EXPECT_TRUE(Contains(Status(),
                       "journal new; epochs new; the service manager keeps 1 "
                       "descriptors, not 2"));
}

TEST_F(FdStoreUnit, Scenario16_SaysWhenThereIsNoRoom) {
  Store("journal epochs", "FileDescriptorStoreMax=1");
  Must({"start", kService});
  EXPECT_TRUE(Contains(Status(), "keeps 1 descriptors, not 2"));
}

TEST_F(FdStoreUnit, IsNotVerifiedWhereNobodyCanCount) {
  Store("journal", "InaccessiblePaths=/run/dbus");
  Must({"start", kService});
  EXPECT_TRUE(Contains(Status(), "connect to the system bus")) << Status();
}

}  // namespace
}  // namespace hlbuf
