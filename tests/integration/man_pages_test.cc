// SPDX-License-Identifier: Apache-2.0
// The manual pages, against what they are about.
#include <gtest/gtest.h>

#include <filesystem>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "tests/support/child.h"
#include "tests/support/texts.h"

namespace hlbuf {
namespace {

std::string SourcePath(const std::string& name) {
  const char* const source = std::getenv("HLBUF_SOURCE_DIR");
  return absl::StrCat(source != nullptr ? source : ".", "/", name);
}

// Without the backslash that keeps a hyphen one.
std::string Page(const std::string& name) {
  const std::string page = ReadAll(SourcePath("deploy/man/" + name));
  EXPECT_NE(page, "") << name;
  return absl::StrReplaceAll(page, {{"\\-", "-"}});
}

std::string HelpOf(const std::string& program) {
  const TemporaryDirectory directory;
  return RunToEnd(
             {.arguments = {BuiltPath(program), "--help"}, .output = directory.path() + "/output"})
      .output;
}

// The first words of the indented lines below `heading`, up to an empty line: "--config",
// "devices".
std::vector<std::string> NamesBelow(const std::string& heading, const std::string& help) {
  std::istringstream lines(help.substr(help.find("\n" + heading + "\n") + heading.size() + 2));
  std::vector<std::string> names;
  for (std::string line; std::getline(lines, line) && !line.empty();) {
    if (!absl::StartsWith(line, "  ") || line[2] == ' ') continue;
    const std::vector<std::string> words =
        absl::StrSplit(line, absl::ByAnyChar(" ,"), absl::SkipEmpty());
    for (const std::string& word : words)
      if (absl::StartsWith(word, "-") || word == words[0]) names.push_back(word);
  }
  EXPECT_FALSE(names.empty()) << help;
  return names;
}

TEST(ManPages, HaveEveryOptionOfTheService) {
  const std::string page = Page("hl-bufd.8");
  for (const std::string& name : NamesBelow("Options:", HelpOf("daemon/hl-bufd")))
    EXPECT_TRUE(Contains(page, name));
}

TEST(ManPages, HaveEveryUnit) {
  const std::string page = Page("hl-bufd.8");
  for (const auto& entry : std::filesystem::directory_iterator(SourcePath("systemd"))) {
    const std::string name = absl::StrReplaceAll(entry.path().filename().string(), {{".in", ""}});
    const bool is_unit = absl::EndsWith(name, ".service") || absl::EndsWith(name, ".socket") ||
                         absl::EndsWith(name, ".target");
    EXPECT_TRUE(!is_unit || Contains(page, name)) << name;
  }
}

TEST(ManPages, HaveEveryCommandAndOptionOfHlBufctl) {
  const std::string page = Page("hl-bufctl.1");
  const std::string help = HelpOf("client/ctl/hl-bufctl");
  for (const std::string& command : NamesBelow("Subcommands:", help))
    EXPECT_TRUE(Contains(page, absl::StrCat("\n.TP\n.B ", command, "\n")));
  for (const std::string& option : NamesBelow("Options:", help))
    EXPECT_TRUE(Contains(page, option));
}

// Those of the example, which has them all.
TEST(ManPages, HaveEverySectionAndKeyOfTheConfiguration) {
  const std::string page = Page("hl-bufd.toml.5");
  std::istringstream lines(ReadAll(SourcePath("deploy/config/hl-bufd.toml")));
  std::size_t keys = 0;
  for (std::string line; std::getline(lines, line);) {
    const bool explains = line.size() > 1 && line[0] == '#' && line[1] == ' ';
    if (explains || line.empty()) continue;
    const std::string name = line.substr(line[0] == '#' ? 1 : 0);
    const std::size_t end = name.find(name[0] == '[' ? '#' : ' ');
    if (name.empty()) continue;
    EXPECT_TRUE(
        Contains(page, std::string(absl::StripTrailingAsciiWhitespace(name.substr(0, end)))));
    ++keys;
  }
  EXPECT_GT(keys, 30u);
}

TEST(ManPages, AreUnderstoodByGroff) {
  const TemporaryDirectory directory;
  if (!std::filesystem::exists("/usr/bin/groff")) GTEST_SKIP() << "there is no groff";
  for (const char* const name : {"hl-bufd.8", "hl-bufctl.1", "hl-bufd.toml.5"})
    EXPECT_EQ(RunToEnd({.arguments = {"/usr/bin/groff", "-man", "-Tutf8", "-ww", "-z",
                                      SourcePath(absl::StrCat("deploy/man/", name))},
                        .output = directory.path() + "/output"})
                  .output,
              "");
}

}  // namespace
}  // namespace hlbuf
