// SPDX-License-Identifier: Apache-2.0
// The tier `hardware` tries itself: on the stand-in, which keeps to each rule in one of its shapes,
// every rule has to be confirmed, and one that the stand-in is made to break has to be noticed.
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <regex>

#include "absl/strings/str_cat.h"
#include "tests/card/card_nodes.h"
#include "tests/support/child.h"
#include "tests/support/texts.h"
#include "tests/vm/hlsim_rig.h"

namespace hlbuf {
namespace {

constexpr int kProgramMs = 240'000;
constexpr const char* kPatient = "pending_ms=10000 retries_max=60 ";

struct Examined {
  int exit_status = -1;
  std::map<std::string, std::string> verdicts;  // by number: "D1", "C10"
  std::string output;
};

// Runs the rules on the first card that there is, as if it were a real one.
Examined Examine(const TemporaryDirectory& directory, bool drill, const std::string& filter = "*") {
  const std::string xml = directory.path() + "/card_rules_test.xml";
  Child child({.arguments = {BuiltPath("tests/hardware/card_rules_test"),
                             "--gtest_output=xml:" + xml, "--gtest_filter=" + filter},
               .environment = {"HLBUF_CARD=" + FindCards().front().pci,
                               absl::StrCat("HLBUF_DRILL=", drill ? "1" : "0")},
               .output = directory.path() + "/log"});
  EXPECT_TRUE(child.Wait(kProgramMs).has_value()) << ReadAll(directory.path() + "/log");
  Examined examined = {.exit_status = child.ExitStatus(),
                       .output = ReadAll(directory.path() + "/log")};
  const std::string text = ReadAll(xml);
  const std::regex verdict(R"re(testcase name="([CD][0-9]+)_|name="verdict" value="([a-z ]+)")re");
  std::string number;
  for (std::sregex_iterator at(text.begin(), text.end(), verdict), end; at != end; ++at) {
    if ((*at)[1].matched) number = (*at)[1];
    if ((*at)[2].matched) examined.verdicts[number] = (*at)[2];
  }
  return examined;
}

TEST(HardwareTier, ConfirmsEachRuleThatTheStandInKeepsTo) {
  const TemporaryDirectory directory;
  std::map<std::string, std::string> all;
  for (const char* shape :
       {"memory_scrub=0", "cards=2 swap_control=1", "legacy=66", "asic=gaudi"}) {
    const Hlsim sim(absl::StrCat(kPatient, shape));
    const Importer importer;
    const Examined examined = Examine(directory, /* drill= */ true);
    EXPECT_EQ(examined.exit_status, 0) << shape << "\n" << examined.output;
    for (const auto& [number, verdict] : examined.verdicts)
      if (all[number] != "confirmed") all[number] = verdict;
  }
  EXPECT_EQ(all.size(), 18U);
  for (const auto& [number, verdict] : all) EXPECT_EQ(verdict, "confirmed") << number;
}

TEST(HardwareTier, NoticesARuleThatDoesNotHold) {
  const TemporaryDirectory directory;
  const Hlsim sim(kPatient);
  const Importer importer;
  sim.Inject("import EBUSY 1 1");  // the second one, in the reset
  const Examined examined = Examine(directory, /* drill= */ true, "*.D5_*");
  EXPECT_EQ(examined.exit_status, 1);
  EXPECT_EQ(examined.verdicts.at("D5"), "contradicted") << examined.output;
}

TEST(HardwareTier, ResetsNothingUnlessItIsTold) {
  const TemporaryDirectory directory;
  const Hlsim sim(kPatient);
  const Importer importer;
  const Examined examined = Examine(directory, /* drill= */ false);
  EXPECT_EQ(examined.exit_status, 0) << examined.output;
  EXPECT_EQ(sim.HardResets(), 0U);
  EXPECT_EQ(examined.verdicts.at("D4"), "not tested");
}

TEST(HardwareTier, LeavesACardAloneThatSomebodyHas) {
  const TemporaryDirectory directory;
  const Hlsim sim(kPatient);
  const HlNode user(sim.Node());
  const Examined examined = Examine(directory, /* drill= */ true);
  EXPECT_EQ(sim.HardResets(), 0U);
  EXPECT_EQ(examined.verdicts.at("D4"), "not tested") << examined.output;
}

// As an owner of a card calls it; the service's own scenarios and a card in use are part of it.
TEST(HardwareTier, ReportsWhatItFound) {
  const TemporaryDirectory directory;
  const Hlsim sim(absl::StrCat(kPatient, "memory_scrub=1 watchdog_ms=30000"));
  const Importer importer;
  const char* sources = std::getenv("HLBUF_SOURCE_DIR");
  ASSERT_NE(sources, nullptr);
  Child child({.arguments = {"/bin/bash", absl::StrCat(sources, "/tests/hardware/run.sh"),
                             BuiltPath(""), directory.path() + "/results"},
               .environment = {"HLBUF_DRILL=1", "HLBUF_RESETS=3"},
               .output = directory.path() + "/log"});
  EXPECT_TRUE(child.Wait(kProgramMs).has_value());
  EXPECT_EQ(child.ExitStatus(), 0) << ReadAll(directory.path() + "/log");
  const std::string text = ReadAll(directory.path() + "/results/report.txt");
  const std::string json = ReadAll(directory.path() + "/results/report.json");
  for (const char* word :
       {"kernel 6.", "card device_type: GAUDI2", "parameters memory_scrub: Y", "confirmed     D4: ",
        "not tested    D2: ", "passed        ProvesThatEverybodyLetGo (card_service_test)"})
    EXPECT_TRUE(Contains(text, word)) << word << "\n" << text;
  EXPECT_TRUE(Contains(json, "\"reset_completed\": \"3\"")) << json;
  EXPECT_FALSE(Contains(json, "contradicted")) << json;
}

}  // namespace
}  // namespace hlbuf
