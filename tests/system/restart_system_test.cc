// SPDX-License-Identifier: Apache-2.0
// What each way to end the service leaves to clients that hold something: the table of README.md.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "daemon/persist/journal_layout.h"
#include "tests/support/descriptors.h"
#include "tests/system/kept_scene.h"

namespace hlbuf {
namespace {

constexpr const char* kPrograms = "/usr/local/libexec/";

class ServiceRestart : public KeptScene {
 protected:
  // Another file under the same name, as a package puts it there.
  static void Upgrade(const std::string& program) {
    const std::string path = kPrograms + program, next = path + ".next";
    std::filesystem::copy_file(path, next);
    std::filesystem::rename(next, path);
  }
  static ino_t InodeOf(const std::string& path) {
    struct stat status = {};
    EXPECT_EQ(::stat(path.c_str(), &status), 0) << path;
    return status.st_ino;
  }
  static ino_t ProgramOf(pid_t pid) { return InodeOf(absl::StrCat("/proc/", pid, "/exe")); }
  // Buffers.
  static std::size_t KeptBy(pid_t keeper) {
    std::size_t kept = 0;
    for (const auto& [number, file] : DescriptorsOf(keeper))
      if (file.rfind("/memfd:hlbuf-", 0) == 0) ++kept;
    return kept;
  }
  // As a later version might, of which this one cannot know what it means.
  static void MakeTheJournalALaterOne() {
    const pid_t pid = MainPid();
    UniqueFd file;
    for (const auto& [number, name] : DescriptorsOf(pid))
      if (name.rfind("/memfd:hl-bufd-journal", 0) == 0)
        file = UniqueFd(
            ::open(absl::StrCat("/proc/", pid, "/fd/", number).c_str(), O_RDWR | O_CLOEXEC));
    ASSERT_TRUE(file);
    journal::Header header = {};
    ASSERT_EQ(::pread(file.get(), &header, sizeof(header), 0), ssize_t{sizeof(header)});
    header.incompatible |= std::uint64_t{1} << 63;
    header.hash = HashOf(header);
    ASSERT_EQ(::pwrite(file.get(), &header, sizeof(header), 0), ssize_t{sizeof(header)});
  }
};

TEST_F(ServiceRestart, KeepsWhatIsHeld) {
  HoldABuffer();
  const pid_t first = MainPid(), keeper = KeeperPid();
  Must({"restart", kService});
  EXPECT_NE(MainPid(), first);
  ExpectKept();
  EXPECT_EQ(KeeperPid(), keeper);
}

TEST_F(ServiceRestart, KeepsWhatIsHeldOverManyKills) {
  HoldABuffer();
  const pid_t keeper = KeeperPid();
  for (int i = 0; i < 3; ++i) {
    Crash();
    ExpectKept();
  }
  EXPECT_EQ(KeeperPid(), keeper);
  EXPECT_EQ(StoredCount(), kAllStored);
}

TEST_F(ServiceRestart, KeepsWhatIsHeldWhenTheWatchdogKillsIt) {
  DropIn("WatchdogSec=2s");
  HoldABuffer();
  ASSERT_EQ(::kill(MainPid(), SIGSTOP), 0);
  EXPECT_TRUE(IsLogged("Watchdog timeout"));
  EXPECT_TRUE(Comes(kService, "NRestarts", "1"));
  EXPECT_TRUE(Comes(kService, "ActiveState", "active"));
  ExpectKept();
}

TEST_F(ServiceRestart, OfAllThatBelongsToTheTargetKeepsWhatIsHeld) {
  Must({"start", kTarget});
  HoldABuffer();
  const pid_t first = MainPid(), keeper = KeeperPid();
  Must({"restart", kTarget});
  EXPECT_TRUE(Comes(kService, "ActiveState", "active"));
  EXPECT_NE(MainPid(), first);
  ExpectKept();
  EXPECT_EQ(KeeperPid(), keeper);
}

// The new service talks to a keeper that the old one's package brought.
TEST_F(ServiceRestart, KeepsWhatIsHeldOverAnUpgrade) {
  HoldABuffer();
  const pid_t keeper = KeeperPid();
  const std::string service = std::string(kPrograms) + "hl-bufd";
  Upgrade("hl-bufd");
  Upgrade("hl-bufd-keeper");
  ASSERT_NE(ProgramOf(MainPid()), InodeOf(service));
  Must({"restart", kService});
  EXPECT_EQ(ProgramOf(MainPid()), InodeOf(service));
  ExpectKept();
  EXPECT_EQ(KeeperPid(), keeper);
  EXPECT_NE(ProgramOf(keeper), InodeOf(service + "-keeper")) << "it is of the version before";
}

TEST_F(ServiceRestart, KeepsWhatIsHeldWhileABadConfigurationKeepsItAway) {
  HoldABuffer();
  Configure("[log]\nlevel = \"loud\"\n");
  EXPECT_NE(Systemctl({"restart", kService}).exit_status, 0);
  EXPECT_TRUE(IsLogged("/etc/hl-bufd/hl-bufd.toml:2:9: log.level: found \"loud\""));
  EXPECT_TRUE(Eventually([] { return std::stoi(Show(kService, "NRestarts")) >= 3; }));
  Configure("");
  EXPECT_TRUE(Comes(kService, "ActiveState", "active"));
  ExpectKept();
}

TEST_F(ServiceRestart, KeepsTheEpochAndWhatIsChargedToWhom) {
  Configure("[limits.domain]\nbuffers = 1\n");
  HoldABuffer();
  const std::uint64_t epoch = Control().EpochOf("software0");
  Crash();
  EXPECT_EQ(Control().EpochOf("software0"), epoch);
  EXPECT_TRUE(Contains(alice().RefusalToAllocate(kBytes), "has 1 of 1 buffers"));
  ExpectKept();
}

// systemd forgets what it keeps for a service that is stopped, and its keeper ends with that.
TEST_F(ServiceRestart, KeepsNothingWhenTheServiceAloneWasStoppedAndSaysSo) {
  HoldABuffer();
  const pid_t keeper = KeeperPid();
  Must({"stop", kService});
  EXPECT_EQ(StoredCount(), "0");
  EXPECT_TRUE(Eventually([keeper] { return ::kill(keeper, 0) != 0; }));
  ExpectOver("SERVICE_GONE");  // by a new process, which its library has started
  ExpectEmptyAndHealthy();
}

TEST_F(ServiceRestart, KeepsNothingWhenTheTargetWasStoppedAndSaysSo) {
  Must({"start", kTarget});
  HoldABuffer();
  Must({"stop", kTarget});
  EXPECT_TRUE(Comes(kService, "NFileDescriptorStore", "0"));
  EXPECT_TRUE(Eventually([] { return KeeperUnits().empty(); }));
  Must({"start", kTarget});
  ExpectOver("SERVICE_GONE");
  ExpectEmptyAndHealthy();
}

TEST_F(ServiceRestart, SetsAJournalAsideThatItCannotReadAndSaysSo) {
  HoldABuffer();
  EXPECT_EQ(KeptBy(KeeperPid()), 1U);
  MakeTheJournalALaterOne();
  Crash();
  EXPECT_TRUE(IsLogged("the journal of an earlier process cannot be read: it is of hl-bufd"));
  EXPECT_TRUE(IsLogged("this service begins with nothing, and what clients had is revoked"));
  ExpectOver("SERVICE_GONE");
  ExpectEmptyAndHealthy();
  EXPECT_EQ(KeptBy(KeeperPid()), 0U) << "it keeps what is over";
  Crash();
  ExpectEmptyAndHealthy();
  EXPECT_FALSE(IsAlarmed());
}

}  // namespace
}  // namespace hlbuf
