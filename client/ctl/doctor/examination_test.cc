// SPDX-License-Identifier: Apache-2.0
// The whole of it, on nodes made of files.
#include "client/ctl/doctor/examination.h"

#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "absl/strings/str_cat.h"
#include "client/ctl/doctor/fake_node.h"
#include "client/ctl/doctor/report.h"
#include "client/ctl/doctor/service_config.h"
#include "tests/support/texts.h"

namespace hlbuf::ctl::doctor {
namespace {

constexpr const char* kDevice = "/sys/devices/pci0000:16/0000:19:00.0";

class ExaminationTest : public testing::Test {
 protected:
  ExaminationTest() {
    patient_.roots = node_.roots();
    patient_.socket = "/s";
    patient_.program_directories = {node_.At("/libexec")};
    patient_.ask_card = [](const DeviceFile&) {
      return CardAnswers{.module_id = 5, .dram_bytes = 1 << 20};
    };
    patient_.ask_service = [](const std::string&) {
      return ServiceAnswer{
          .listener = 40,
          .devices = {{.name = "gaudi0", .kind = "habanalabs", .state = "READY", .failure = ""}}};
    };
    patient_.look_for = [](const std::string& path) {
      return path == kDefaultHoldersSocket ? absl::OkStatus() : absl::NotFoundError(path);
    };
    patient_.user = [](const std::string&) { return std::optional<Credentials>(); };
  }

  // A node that can do the job; /dev/null and /dev/zero stand for the card's nodes.
  void MakeWell() {
    for (const auto& [path, text] : std::map<std::string, std::string>{
             {"/proc/sys/kernel/osrelease", "6.12\n"},
             {"/boot/config-6.12", "CONFIG_PCI=y\nCONFIG_PCI_P2PDMA=y\n"},
             {"/sys/module/habanalabs/parameters/memory_scrub", "Y\n"},
             {"/sys/kernel/debug/dma_buf/bufinfo", ""},
             {"/sys/kernel/debug/accel/0000:19:00.0/device_release_watchdog_timeout", "30\n"},
             {absl::StrCat(kDevice, "/pci_addr"), "0000:19:00.0\n"},
             {absl::StrCat(kDevice, "/device_type"), "GAUDI2\n"},
             {absl::StrCat(kDevice, "/module_id"), "5\n"},
             {absl::StrCat(kDevice, "/status"), "Operational\n"},
             {absl::StrCat(kDevice, "/config"), std::string(4096, '\0')},
             {absl::StrCat(kDevice, "/resource"), "0 0\n0 0\n0 0\n0 0\n0x100000 0x1fffff\n"},
             {"/sys/bus/pci/drivers/habanalabs/bind", ""},
             {"/sys/class/accel/accel0/dev", "1:3\n"},
             {"/sys/class/accel/accel_controlD0/dev", "1:5\n"},
             {"/sys/devices/pci0000:16/0000:1a:00.0/config", std::string(4096, '\0')},
             {"/sys/devices/pci0000:16/0000:16:00.0/vendor", "0x8086\n"},
             {"/sys/devices/pci0000:16/0000:16:00.0/device", "0x09a2\n"},
             {"/proc/40/comm", "hl-bufd\n"},
             {"/proc/40/status",
              "Uid:\t901\t901\t1\t1\nGid:\t901\t901\t1\t1\nGroups:\t\n"
              "CapEff:\t2\nNSpid:\t40\n"},
             {"/proc/40/limits", "Max open files  1024  524288  files\n"},
             {"/proc/40/uid_map", "0 0 4294967295\n"},
             {"/proc/40/gid_map", "0 0 4294967295\n"},
             {"/libexec/hl-bufd-keeper", ""},
             {"/libexec/hl-bufd-holders", ""}})
      node_.Write(path, text);
    node_.Link(absl::StrCat(kDevice, "/driver"), "/sys/bus/pci/drivers/habanalabs");
    node_.Link("/sys/class/accel/accel0/device", kDevice);
    node_.Link("/sys/bus/pci/devices/0000:19:00.0", kDevice);
    node_.Link("/sys/bus/pci/devices/0000:1a:00.0", "/sys/devices/pci0000:16/0000:1a:00.0");
    node_.Link("/sys/class/infiniband/mlx5_0/device", "/sys/devices/pci0000:16/0000:1a:00.0");
    node_.LinkOutside("/dev/accel0", "/dev/null");
    node_.LinkOutside("/dev/accel_controlD0", "/dev/zero");
    node_.Link("/proc/40/exe", "/libexec/hl-bufd");
    node_.LinkOutside("/proc/40/fd/3", "/dev/null");
    node_.LinkOutside("/proc/40/ns/pid", "pid:[4026531836]");
  }
  static const Finding* Find(const std::vector<Finding>& findings, const std::string& check) {
    const auto found = std::find_if(findings.begin(), findings.end(),
                                    [&](const Finding& finding) { return finding.check == check; });
    return found == findings.end() ? nullptr : &*found;
  }

  FakeNode node_;
  Patient patient_;
};

TEST_F(ExaminationTest, FindsNothingWrongWithANodeThatCanDoTheJob) {
  MakeWell();
  const std::vector<Finding> findings = Examine(patient_);
  for (const Finding& finding : findings) {
    // Everybody may open /dev/null.
    const bool open_to_all = finding.check == "nodes";
    EXPECT_EQ(finding.verdict, open_to_all ? Verdict::kWarning : Verdict::kOk)
        << finding.check << ": " << finding.evidence;
  }
  EXPECT_EQ(findings.size(), 21U);
  EXPECT_EQ(ExitCodeOf(findings), ExitCode::kOk);
}

TEST_F(ExaminationTest, GoesOnWithoutAnything) {
  patient_.ask_service = [](const std::string&) {
    return ServiceAnswer{.status = absl::UnavailableError("cannot connect")};
  };
  const std::vector<Finding> findings = Examine(patient_);
  EXPECT_EQ(Find(findings, "cards")->verdict, Verdict::kProblem);
  EXPECT_EQ(Find(findings, "driver"), nullptr) << "said of the cards already";
  EXPECT_EQ(ExitCodeOf(findings), ExitCode::kFailed);
}

TEST_F(ExaminationTest, DoesNotMissACardThatNobodyWants) {
  node_.Write("/etc/hl-bufd/hl-bufd.toml", "[[device]]\nname = \"h\"\nkind = \"udmabuf\"\n");
  std::vector<Finding> findings = Examine(patient_);
  EXPECT_EQ(Find(findings, "cards")->verdict, Verdict::kWarning);
  EXPECT_EQ(Find(findings, "p2pdma"), nullptr);
  EXPECT_EQ(ExitCodeOf(findings), ExitCode::kOk);
  node_.Write("/sys/bus/pci/devices/0000:19:00.0/vendor", "0x1da3\n");
  findings = Examine(patient_);
  EXPECT_EQ(Find(findings, "cards")->verdict, Verdict::kProblem) << "there is one, and no driver";
}

// Whatever stands in the files, and whether they are files at all.
TEST_F(ExaminationTest, SurvivesNonsense) {
  MakeWell();
  std::vector<std::string> paths;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(node_.At("")))
    if (entry.is_regular_file() && !entry.is_symlink()) paths.push_back(entry.path());
  for (const std::string& text :
       {std::string(), std::string("\0\xff\x1b[2J\n", 8), std::string(100'000, '9'),
        std::string("-1"), std::string(":::\n\t \n0x"), std::string("\n\n\n\n\n\n")})
    for (const std::string& path : paths) {
      const std::string before = ReadAll(path);
      std::ofstream(path) << text;
      EXPECT_GE(Examine(patient_).size(), 5U) << path;
      std::ofstream(path) << before;
    }
  for (const std::string& path : paths) {
    std::filesystem::remove(path);
    std::filesystem::create_directory(path);
    EXPECT_GE(Examine(patient_).size(), 5U) << path;
  }
}

const std::vector<Finding> kThree = {
    {.check = "p2pdma", .verdict = Verdict::kProblem, .evidence = "off", .remedy = "switch it on"},
    {.check = "bar", .on = "0000:19:00.0", .verdict = Verdict::kOk, .evidence = "large"},
    {.check = "opener",
     .on = "0000:19:00.0",
     .verdict = Verdict::kUnknown,
     .evidence = "needs root",
     .remedy = "be \"root\" \\ \x1b"}};

TEST(Report, IsATableWithWhatToDoBelow) {
  EXPECT_EQ(ReportText(kThree),
            "CHECK   ON            VERDICT  EVIDENCE\n"
            "p2pdma  -             problem  off\n"
            "bar     0000:19:00.0  ok       large\n"
            "opener  0000:19:00.0  unknown  needs root\n"
            "\n"
            "What to do:\n"
            "  p2pdma (problem):\n"
            "    switch it on\n"
            "  opener of 0000:19:00.0 (unknown):\n"
            "    be \"root\" \\ \\x1b\n"
            "\n"
            "1 problem, 0 warnings, 1 unknown, 1 ok\n");
}

TEST(Report, IsJsonForPrograms) {
  google::protobuf::Struct document;
  ASSERT_TRUE(google::protobuf::util::JsonStringToMessage(ReportJson(kThree), &document).ok());
  EXPECT_EQ(document.fields().at("problems").number_value(), 1);
  const auto& findings = document.fields().at("findings").list_value();
  ASSERT_EQ(findings.values_size(), 3);
  const auto& last = findings.values(2).struct_value().fields();
  EXPECT_EQ(last.at("check").string_value(), "opener");
  EXPECT_EQ(last.at("on").string_value(), "0000:19:00.0");
  EXPECT_EQ(last.at("verdict").string_value(), "unknown");
  EXPECT_EQ(last.at("remedy").string_value(), "be \"root\" \\ \\x1b");
  EXPECT_TRUE(google::protobuf::util::JsonStringToMessage(ReportJson({}), &document).ok());
}

TEST(Report, FailsForProblemsAlone) {
  EXPECT_EQ(ExitCodeOf(kThree), ExitCode::kFailed);
  EXPECT_EQ(ExitCodeOf({kThree[1], kThree[2]}), ExitCode::kOk);
  EXPECT_EQ(ExitCodeOf({{.check = "x", .verdict = Verdict::kWarning}}), ExitCode::kOk);
}

}  // namespace
}  // namespace hlbuf::ctl::doctor
