// SPDX-License-Identifier: Apache-2.0
#include "client/ctl/holders_program.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "absl/strings/match.h"

namespace hlbuf::ctl {
namespace {

// A program in the place of hl-bufd-holders.
class Script {
 public:
  explicit Script(const std::string& body) {
    char directory[] = "/tmp/ctl-holders-XXXXXX";
    directory_ = ::mkdtemp(directory);
    std::ofstream(path()) << "#!/bin/sh\n" << body;
    ::chmod(path().c_str(), 0755);
  }
  ~Script() { std::filesystem::remove_all(directory_); }
  std::string path() const { return directory_ + "/program"; }

 private:
  std::string directory_;
};

constexpr const char* kReadAll = "while read -r line && [ \"$line\" != end ]; do :; done\n";

TEST(AskHolders, GivesWhatTheProgramAnswers) {
  const Script program(std::string(kReadAll) +
                       "printf 'hl-bufd-holders 1\\nscan 5 0 0 13 1 7 0\\nfile dmabuf 17 2 x\\n"
                       "process 4711 1 1000 99 1 0 python3\\nend\\n'\n");
  const auto answer = AskHolders(program.path(), {{.inode = 17}});
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->scope.bufinfo_errno, 13);
  EXPECT_EQ(answer->files.at(0).processes.at(0).pid, 4711);
}

TEST(AskHolders, GivesTheProgramNothingOfItsEnvironment) {
  ::setenv("SECRET", "x", 1);
  const Script program(
      std::string(kReadAll) +
      "printf 'hl-bufd-holders 1\\nscan %s 0 0 0 1 7 0\\nend\\n' \"${SECRET:+9}\"\n");
  EXPECT_FALSE(AskHolders(program.path(), {}).ok()) << "it would have said 9";
}

TEST(AskHolders, AsksInPortions) {
  const Script program(
      "n=0; while read -r kind inode && [ \"$kind\" != end ]; do n=$((n+1)); last=$inode; done\n"
      "printf 'hl-bufd-holders 1\\nscan %s 0 %s 0 1 7 0\\nfile dmabuf %s - -\\nend\\n' "
      "$n \"$((n % 2))\" \"$last\"\n");
  std::vector<HeldFile> files;
  for (std::uint64_t i = 1; i <= 4100; ++i) files.push_back({.inode = i});
  const auto answer = AskHolders(program.path(), files);
  ASSERT_TRUE(answer.ok()) << answer.status();
  ASSERT_EQ(answer->files.size(), 2u);
  EXPECT_EQ(answer->files[0].file.inode, 4096u);
  EXPECT_EQ(answer->files[1].file.inode, 4100u);
  EXPECT_EQ(answer->scope.maps_unreadable, 1u) << "what one could not read counts for all";
}

TEST(AskHolders, SaysInWordsThatThereIsNoAnswer) {
  const auto missing = AskHolders("/nonexistent/hl-bufd-holders", {});
  EXPECT_TRUE(absl::StrContains(missing.status().message(), "No such file"));
  const Script silent("exit 3\n");
  EXPECT_TRUE(absl::StrContains(AskHolders(silent.path(), {}).status().message(), "no answer"));
  const Script garbage(std::string(kReadAll) + "echo hello\n");
  EXPECT_FALSE(AskHolders(garbage.path(), {}).ok());
}

TEST(AskHolders, GivesUpOnAProgramThatNeitherReadsNorAnswers) {
  const Script deaf("exec sleep 1000\n");
  std::vector<HeldFile> files;
  for (std::uint64_t i = 1; i <= 4096; ++i) files.push_back({.inode = UINT64_MAX - i});
  EXPECT_FALSE(AskHolders(deaf.path(), files, absl::Milliseconds(50)).ok());
}

}  // namespace
}  // namespace hlbuf::ctl
