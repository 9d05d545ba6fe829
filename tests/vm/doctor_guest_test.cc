// SPDX-License-Identifier: Apache-2.0
// `hl-bufctl doctor` on a node with a card, healthy and otherwise. The card is the stand-in of
// tests/vm/hlsim; the kernel is the guest's own, which is Debian's.
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <map>
#include <optional>

#include "absl/strings/str_cat.h"
#include "tests/support/daemon_process.h"
#include "tests/support/library_client.h"
#include "tests/support/texts.h"
#include "tests/vm/hlsim_rig.h"

namespace hlbuf {
namespace {

constexpr const char* kCard = "0000:a0:00.0";
constexpr const char* kNode = "";
constexpr int kLongMs = 120'000;  // an emulated kernel takes its time to list its symbols
constexpr int kPrivate = 60'001;  // a uid without any rights

struct Seen {
  std::string verdict, evidence, remedy;
};

class Doctor : public DaemonTest {
 protected:
  void StartService() { Start({.kind = "habanalabs", .device_keys = ""}); }
  // Examines the node; what it said is in `seen_`.
  void Examine(std::optional<uid_t> uid = std::nullopt) {
    Program program{.arguments = {BuiltPath("client/ctl/hl-bufctl"), "--output", "json", "--socket",
                                  has_service_ ? daemon().control_socket() : "/nowhere", "doctor"},
                    .output = directory_.path() + "/output",
                    .uid = uid,
                    .gid = kPrivate};
    Child child(program);
    ASSERT_TRUE(child.Wait(kLongMs).has_value());
    exit_status_ = child.ExitStatus();
    output_ = ReadAll(program.output);
    google::protobuf::Struct document;
    ASSERT_TRUE(google::protobuf::util::JsonStringToMessage(output_, &document).ok()) << output_;
    seen_.clear();
    for (const auto& value : document.fields().at("findings").list_value().values()) {
      const auto& fields = value.struct_value().fields();
      const auto text = [&](const char* key) { return fields.at(key).string_value(); };
      seen_[{text("check"), text("on")}] = {text("verdict"), text("evidence"), text("remedy")};
    }
  }
  // Asserts on one finding.
  void Expect(const std::string& check, const std::string& on, const std::string& verdict,
              const std::string& evidence) {
    ASSERT_EQ(seen_.count({check, on}), 1U) << check << " of " << on << " in " << output_;
    const Seen& seen = seen_[{check, on}];
    EXPECT_EQ(seen.verdict, verdict) << check << ": " << seen.evidence;
    EXPECT_TRUE(Contains(seen.evidence, evidence)) << check;
    EXPECT_EQ(seen.remedy.empty(), verdict == "ok") << check << ": " << seen.remedy;
  }
  void Load(const std::string& parameters = "") { sim_.emplace(parameters); }
  void ExamineWithoutService() {
    has_service_ = false;
    Examine();
  }

  std::optional<Hlsim> sim_;
  bool has_service_ = true;
  TemporaryDirectory directory_;
  std::map<std::pair<std::string, std::string>, Seen> seen_;
  int exit_status_ = -1;
  std::string output_;
};

TEST_F(Doctor, FindsNothingWrongWithAHealthyCardButDebiansKernel) {
  Load("memory_scrub=1 watchdog_ms=30000");
  StartService();
  Examine();
  Expect("p2pdma", kNode, "problem", "/proc/kallsyms has no pci_p2pdma_distance_many");
  EXPECT_EQ(exit_status_, 1);
  Expect("cards", kNode, "ok", absl::StrCat(kCard, " is /dev/accel/accel0"));
  Expect("driver", kNode, "ok", "the kernel's own");
  Expect("memory-scrub", kNode, "ok", "memory_scrub is Y");
  Expect("debugfs", kNode, "ok", "/sys/kernel/debug/dma_buf/bufinfo can be read");
  Expect("status", kCard, "ok", "status is Operational");
  Expect("uapi", kCard, "ok", "DRM ioctls");
  Expect("nodes", kCard, "ok", "may open both");
  Expect("control-node", kCard, "ok", "module_id is 0");
  Expect("opener", kCard, "ok", "hl-bufd-keeper (pid ");
  Expect("bar", kCard, "ok", "BAR 4 has 128MiB, the card 128MiB");
  Expect("iommu", kCard, "ok", "none is in use");
  Expect("watchdog", kCard, "ok", "device_release_watchdog_timeout is 30; reset_grace is 20s");
  Expect("service", kNode, "ok", "dev0 (habanalabs) is READY");
  Expect("user-namespace", kNode, "ok", "all ids");
  Expect("pid-namespace", kNode, "ok", "ns/pid is pid:[4026531836]");
  Expect("keeper", kNode, "ok", "daemon/hl-bufd-keeper");
}

TEST_F(Doctor, NamesWhatIsWrongWithACard) {
  Load("bar_mib=32 cards=2 swap_control=1");
  ExamineWithoutService();
  EXPECT_EQ(exit_status_, 1);
  Expect("memory-scrub", kNode, "warning", "memory_scrub is N");
  Expect("bar", kCard, "problem", "BAR 4 has 40MiB, the card 128MiB");
  Expect("control-node", kCard, "problem", "says module 1 (HW_IP_INFO)");
  Expect("control-node", "0000:a1:00.0", "problem", "says module 0 (HW_IP_INFO)");
  Expect("watchdog", kCard, "warning", "hl-bufd counts on 30s");
  Expect("opener", kCard, "ok", "open in no process");
  Expect("service", kNode, "problem", "/nowhere");
}

TEST_F(Doctor, NamesTheProcessThatHasTheCard) {
  Load();
  const HlNode node(sim_->Node());
  ExamineWithoutService();
  Expect("opener", kCard, "problem", absl::StrCat("doctor_guest_test (pid ", ::getpid(), ")"));
}

TEST_F(Doctor, SeesAnExportThatOutlivesItsOpener) {
  Load();
  HlNode node(sim_->Node());
  const UniqueFd dmabuf = node.ExportFd(node.Chunk(4096), 4096);
  node.Close();
  ExamineWithoutService();
  Expect("opener", kCard, "warning", "a dma-buf of an earlier opener is out");
}

TEST_F(Doctor, KnowsTheInterfacesOfOlderKernels) {
  for (const char* legacy : {"legacy=61", "legacy=66"}) {
    sim_.reset();
    Load(absl::StrCat(legacy, " memory_scrub=1 watchdog_ms=5000"));
    ExamineWithoutService();
    Expect("cards", kNode, "ok", absl::StrCat(kCard, " is /dev/hl0"));
    Expect("uapi", kCard, "warning", "before 6.7");
    Expect("control-node", kCard, "ok", "/dev/hl_controlD0 says module 0");
    Expect("watchdog", kCard, "warning", "habanalabs/hl0/device_release_watchdog_timeout is 5");
    Expect("watchdog", kCard, "warning", "of which clients get 3.75s");
  }
}

TEST_F(Doctor, SaysThatADisabledCardNeedsAReset) {
  Load();
  { std::ofstream(sim_->DebugFile("device")) << "disable"; }
  ExamineWithoutService();
  Expect("status", kCard, "problem", "status is Disabled");
  Expect("control-node", kCard, "problem", "the card is disabled");
}

TEST_F(Doctor, SaysWhatItCannotKnowWithoutRoot) {
  Load("memory_scrub=1");
  StartService();
  Examine(kPrivate);
  Expect("opener", kCard, "unknown", "(needs root of the node)");
  Expect("control-node", kCard, "unknown", "/dev/accel/accel_controlD0: Permission denied");
  Expect("bar", kCard, "unknown", "(needs root)");
  Expect("debugfs", kNode, "unknown", "(needs root)");
  Expect("pid-namespace", kNode, "unknown", "(needs root)");
  Expect("driver", kNode, "ok", "the kernel's own");
  Expect("nodes", kCard, "ok", "may open both");
}

TEST_F(Doctor, SaysThatTheServicesUserMayNotOpenTheCard) {
  Load("memory_scrub=1");
  Start({.kind = "software", .uid = DaemonProcess::kServiceUid});
  Examine();
  Expect("nodes", kCard, "problem", "may not open /dev/accel/accel0");
  Expect("service", kNode, "warning", "so the card is not served");
}

}  // namespace
}  // namespace hlbuf
