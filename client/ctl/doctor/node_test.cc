// SPDX-License-Identifier: Apache-2.0
// What is said of the node as a whole: driver, kernel, debugfs.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "client/ctl/doctor/debugfs.h"
#include "client/ctl/doctor/driver.h"
#include "client/ctl/doctor/fake_node.h"
#include "client/ctl/doctor/files.h"
#include "client/ctl/doctor/p2pdma.h"
#include "tests/support/texts.h"

namespace hlbuf::ctl::doctor {
namespace {

TEST(KernelVersions, AreTheFirstTwoNumbers) {
  EXPECT_EQ(KernelVersion("6.12.95+deb12-amd64"), std::pair(6U, 12U));
  EXPECT_EQ(KernelVersion("6.2-rc1"), std::pair(6U, 2U));
  for (const char* none : {"", "6", "six.one", "..", "99999999999.1"})
    EXPECT_EQ(KernelVersion(none), std::nullopt) << none;
}

TEST(FileBytesTest, DoesNotOpenWhatIsNoFile) {
  EXPECT_TRUE(absl::IsFailedPrecondition(FileBytes("/dev/zero").status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(FileBytes("/proc").status()));
  EXPECT_TRUE(absl::IsNotFound(FileBytes("/nowhere").status()));
  EXPECT_FALSE(FileBytes("/proc/self/status")->empty());
}

TEST(ErrorAtTest, NeedsRootOnlyWhereRootWouldHelp) {
  const absl::Status refused = ErrorAt("/a", EACCES);
  EXPECT_EQ(absl::IsPermissionDenied(refused), ::geteuid() != 0);
  EXPECT_TRUE(StartsWith(WhyUnknown(refused), "/a: Permission denied"));
  EXPECT_TRUE(absl::IsNotFound(ErrorAt("/a", ENOENT)));
}

class DriverTest : public testing::Test {
 protected:
  void Load() {
    node_.Write("/sys/module/habanalabs/parameters/memory_scrub", "Y\n");
    node_.Write("/proc/sys/kernel/osrelease", "6.12.1\n");
  }
  Driver Read() { return ReadDriver(node_.roots()); }
  FakeNode node_;
};

TEST_F(DriverTest, IsTheKernelsOwnWithoutAVersion) {
  Load();
  const Finding finding = JudgeDriver(Read());
  EXPECT_EQ(finding.verdict, Verdict::kOk);
  EXPECT_TRUE(Contains(finding.evidence, "Linux 6.12.1"));
}

TEST_F(DriverTest, IsTheVendorsWithOne) {
  Load();
  node_.Write("/sys/module/habanalabs/version", "1.20.0-abc\n");
  EXPECT_TRUE(Read().is_vendors());
  const Finding finding = JudgeDriver(Read());
  EXPECT_EQ(finding.verdict, Verdict::kWarning);
  EXPECT_TRUE(Contains(finding.evidence, "1.20.0-abc"));
}

TEST_F(DriverTest, IsMissedWithTheCardsThatWaitForIt) {
  node_.Write("/sys/bus/pci/devices/0000:19:00.0/vendor", "0x1da3\n");
  node_.Write("/sys/bus/pci/devices/0000:1a:00.0/vendor", "0x8086\n");
  const Finding finding = JudgeDriver(Read());
  EXPECT_EQ(finding.verdict, Verdict::kProblem);
  EXPECT_TRUE(Contains(finding.evidence, "0000:19:00.0 has no driver"));
  EXPECT_TRUE(Contains(finding.remedy, "modprobe habanalabs"));
}

TEST_F(DriverTest, ScrubsOnlyWhenItsParameterSaysSo) {
  Load();
  EXPECT_EQ(JudgeMemoryScrub(Read()).verdict, Verdict::kOk);
  for (const char* off : {"N\n", "0\n", "\n"}) {
    node_.Write("/sys/module/habanalabs/parameters/memory_scrub", off);
    EXPECT_EQ(JudgeMemoryScrub(Read()).verdict, Verdict::kWarning) << off;
  }
  node_.Remove("/sys/module/habanalabs/parameters");
  EXPECT_EQ(JudgeMemoryScrub(Read()).verdict, Verdict::kUnknown);
}

class P2pdmaTest : public testing::Test {
 protected:
  Finding Judge(bool vendors = false) {
    return JudgeP2pdma(ReadP2pdma(node_.roots(), "6.12"), vendors);
  }
  FakeNode node_;
};

TEST_F(P2pdmaTest, IsWhatTheConfigurationInBootSays) {
  node_.Write("/boot/config-6.12", "CONFIG_PCI=y\nCONFIG_PCI_P2PDMA=y\n");
  EXPECT_EQ(Judge().verdict, Verdict::kOk);
  node_.Write("/boot/config-6.12", "CONFIG_PCI=y\n# CONFIG_PCI_P2PDMA is not set\n");
  const Finding off = Judge();
  EXPECT_EQ(off.verdict, Verdict::kProblem);
  EXPECT_TRUE(Contains(off.evidence, "/boot/config-6.12: CONFIG_PCI_P2PDMA is not set"));
  EXPECT_TRUE(Contains(off.evidence, "EPERM"));
  EXPECT_EQ(Judge(/*vendors=*/true).verdict, Verdict::kWarning);
}

TEST_F(P2pdmaTest, IsOffWhenTheConfigurationDoesNotKnowIt) {
  node_.Write("/boot/config-6.12", "CONFIG_PCI=y\nCONFIG_PCI_P2PDMA_OF_ANOTHER=y\n");
  EXPECT_EQ(Judge().verdict, Verdict::kProblem);
}

TEST_F(P2pdmaTest, IsReadFromTheRunningKernelsOwnCopy) {
  node_.Write("/proc/config", "CONFIG_PCI=y\nCONFIG_PCI_P2PDMA=y\n");
  ASSERT_EQ(std::system(absl::StrCat("gzip ", node_.At("/proc/config")).c_str()), 0);
  const Finding on = Judge();
  EXPECT_EQ(on.verdict, Verdict::kOk) << on.evidence;
  EXPECT_TRUE(Contains(on.evidence, "/proc/config.gz: CONFIG_PCI_P2PDMA=y"));
}

TEST_F(P2pdmaTest, IsToldByTheKernelsSymbolsWhenNothingElseIsThere) {
  node_.Write("/proc/kallsyms", "0000000000000000 T pci_enable_device\n");
  EXPECT_EQ(Judge().verdict, Verdict::kProblem);
  // The stub of a kernel without it is no symbol of this type.
  node_.Write("/proc/kallsyms", "0 T pci_enable_device\n0 t pci_p2pdma_distance_many\n");
  EXPECT_EQ(Judge().verdict, Verdict::kProblem);
  node_.Write("/proc/kallsyms", "0 T pci_p2pdma_distance_many\n0 T pci_enable_device\n");
  EXPECT_EQ(Judge().verdict, Verdict::kOk);
}

TEST_F(P2pdmaTest, IsUnknownWithoutASourceThatMakesSense) {
  EXPECT_EQ(Judge().verdict, Verdict::kUnknown);
  node_.Write("/boot/config-6.12", std::string("\0\xff", 2));
  node_.Write("/proc/config.gz", "this is not compressed");
  node_.Write("/proc/kallsyms", "");
  EXPECT_EQ(Judge().verdict, Verdict::kUnknown);
}

TEST(DebugfsTest, IsOkWhenBufinfoCanBeRead) {
  const FakeNode node;
  EXPECT_EQ(JudgeDebugfs(ReadDebugfs(node.roots())).verdict, Verdict::kWarning);
  std::filesystem::create_directories(node.At("/sys/kernel/debug"));
  const Finding empty = JudgeDebugfs(ReadDebugfs(node.roots()));
  EXPECT_TRUE(Contains(empty.evidence, "not mounted"));
  EXPECT_TRUE(Contains(empty.remedy, "mount -t debugfs"));
  node.Write("/sys/kernel/debug/other", "");
  EXPECT_TRUE(Contains(JudgeDebugfs(ReadDebugfs(node.roots())).evidence, "bufinfo"));
  node.Write("/sys/kernel/debug/dma_buf/bufinfo", "");
  EXPECT_EQ(JudgeDebugfs(ReadDebugfs(node.roots())).verdict, Verdict::kOk);
}

TEST(DebugfsTest, IsUnknownToWhoMayNotEnterIt) {
  const Finding finding = JudgeDebugfs({.names = absl::PermissionDeniedError("/d: no"),
                                        .bufinfo_read = absl::PermissionDeniedError("/d/b: no")});
  EXPECT_EQ(finding.verdict, Verdict::kUnknown);
  EXPECT_TRUE(Contains(finding.evidence, "needs root"));
}

}  // namespace
}  // namespace hlbuf::ctl::doctor
