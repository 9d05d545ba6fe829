// SPDX-License-Identifier: Apache-2.0
// A program stands in the place of hl-bufd-journal.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <string>
#include <vector>

#include "client/ctl/commands.h"
#include "tests/support/child.h"

namespace hlbuf::ctl {
namespace {

class JournalCommand : public testing::Test {
 protected:
  ExitCode Ctl(const std::string& script, std::vector<const char*> words) {
    const std::string program = directory_.path() + "/program";
    std::ofstream(program) << "#!/bin/sh\n" << script;
    ::chmod(program.c_str(), 0755);
    words.insert(words.begin(), {"hl-bufctl", "journal"});
    words.insert(words.end(), {"--program", program.c_str()});
    testing::internal::CaptureStderr();
    const ExitCode code = Main(static_cast<int>(words.size()), words.data());
    error_ = testing::internal::GetCapturedStderr();
    return code;
  }

  const TemporaryDirectory directory_;
  std::string error_;
};

TEST_F(JournalCommand, PassesOnWhatIsAsked) {
  EXPECT_EQ(Ctl("[ \"$*\" = 'dump --output json /a b' ]", {"dump", "/a b", "--output", "json"}),
            ExitCode::kOk);
  EXPECT_EQ(Ctl("[ \"$*\" = 'verify --output table 4711' ]", {"verify", "4711"}), ExitCode::kOk);
}

TEST_F(JournalCommand, FailsAsTheProgramDoes) {
  EXPECT_EQ(Ctl("exit 1", {"verify", "/a"}), ExitCode::kFailed);
  EXPECT_EQ(Ctl("kill -9 $$", {"verify", "/a"}), ExitCode::kFailed);
  EXPECT_NE(error_.find("was ended by a signal"), std::string::npos) << error_;
}

TEST_F(JournalCommand, GivesTheProgramNothingOfItsEnvironment) {
  ::setenv("SECRET", "x", 1);
  EXPECT_EQ(Ctl("[ -z \"$SECRET\" ]", {"dump", "/a"}), ExitCode::kOk);
}

TEST_F(JournalCommand, SaysWhatToDoWhereNobodyServes) {
  EXPECT_EQ(Ctl("", {"dump", "--socket", "/nowhere/a"}), ExitCode::kUnreachable);
  EXPECT_EQ(error_,
            "hl-bufctl: nobody serves at /nowhere/a; name another by --socket, a file, or the pid "
            "of hl-bufd\n");
}

}  // namespace
}  // namespace hlbuf::ctl
