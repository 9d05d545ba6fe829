// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "client/ctl/commands.h"

namespace hlbuf::ctl {
namespace {

using testing::internal::CaptureStderr;
using testing::internal::CaptureStdout;
using testing::internal::GetCapturedStderr;
using testing::internal::GetCapturedStdout;

struct Ran {
  ExitCode code;
  std::string out;
  std::string error;
};

Ran Ctl(std::vector<const char*> words) {
  words.insert(words.begin(), "hl-bufctl");
  CaptureStdout();
  CaptureStderr();
  const ExitCode code = Main(static_cast<int>(words.size()), words.data());
  return {code, GetCapturedStdout(), GetCapturedStderr()};
}

bool Has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(CommandLine, ExplainsItselfAndEachCommand) {
  const Ran all = Ctl({"--help"});
  EXPECT_EQ(all.code, ExitCode::kOk);
  EXPECT_TRUE(Has(all.out, "Exit status: 0 done"));
  for (const char* command :
       {"devices", "buffers", "leases", "sessions", "revoke", "drain", "undrain", "plan-reset",
        "simulate-reset", "watch", "journal", "doctor"}) {
    EXPECT_TRUE(Has(all.out, "\n  " + std::string(command) + " ")) << command;
    const Ran one = Ctl({command, "--help"});
    EXPECT_EQ(one.code, ExitCode::kOk) << command;
    EXPECT_TRUE(Has(one.out, "Usage: hl-bufctl " + std::string(command))) << one.out;
  }
}

TEST(CommandLine, IsRefusedWhenItMakesNoSense) {
  const std::vector<std::vector<const char*>> wrong = {
      {},
      {"bufers"},
      {"devices", "--output", "xml"},
      {"buffers", "--state", "nope"},
      {"buffers", "--state", "live,nope"},
      {"buffers", "--owner", "-1"},
      {"buffers", "--owner", "4294967296"},
      {"buffers", "--device", ""},
      {"buffers", "--owner", "1", "--uid", "1"},
      {"leases", "--session", ""},
      {"leases", "--buffer", ""},
      {"watch", "--device", ""},
      {"plan-reset", ""},
      {"holders", ""},
      {"journal"},
      {"journal", "mend"},
      {"journal", "dump", ""},
      {"journal", "dump", "a", "b"},
      {"journal", "verify", "--output", "xml"},
      {"revoke"},
      {"revoke", "a1", "--grace", "soon"},
      {"revoke", "a1", "--grace", "-1s"},
      {"revoke", "a1", "--grace", "inf"},
      {"drain"},
      {"drain", "dev0", "--uid", "1"},
      {"drain", "--uid", "1", "--job", "2"},
      {"drain", "--job", "x"},
      {"drain", "dev0", "--timeout", "1s"},
      {"drain", "--job", "2", "--wait", "--timeout", "1s"},
      {"drain", "dev0", "--wait", "--timeout", "soon"},
      {"undrain"},
      {"metrics", "--format", "xml"},
      {"plan-reset"},
      {"doctor", "0000:19:00.0"},
      {"simulate-reset"},
      {"simulate-reset", "dev0", "--drill", "x"},
      {"devices", "--server", "node7:9443"},
      {"devices", "--server", "node7:9443", "--ca", "/a", "--cert", "/b"},
      {"devices", "--ca", "/a", "--cert", "/b", "--key", "/c"},
      {"devices", "--server", "node7", "--ca", "/a", "--cert", "/b", "--key", "/c"},
      {"devices", "--server", "::1:9443", "--ca", "/a", "--cert", "/b", "--key", "/c"},
      {"devices", "--server", "node7:0", "--ca", "/a", "--cert", "/b", "--key", "/c"},
      {"devices", "--server", "node7:65536", "--ca", "/a", "--cert", "/b", "--key", "/c"},
      {"watch", "--since", "12"},
      {"watch", "--kind", "lease"}};
  for (const auto& words : wrong) {
    const Ran ran = Ctl(words);
    EXPECT_EQ(ran.code, ExitCode::kBadUsage) << testing::PrintToString(words);
    EXPECT_TRUE(Has(ran.error, "hl-bufctl: ")) << ran.error;
    EXPECT_TRUE(Has(ran.error, "--help` for more information")) << ran.error;
  }
}

TEST(CommandLine, NamesACommandThatItDoesNotKnow) {
  for (const Ran& ran : {Ctl({"bogus"}), Ctl({"bogus", "--help"}), Ctl({"--help", "bogus"}),
                         Ctl({"--output", "json", "bogus", "more"})}) {
    EXPECT_EQ(ran.code, ExitCode::kBadUsage);
    EXPECT_EQ(ran.error,
              "hl-bufctl: unknown command 'bogus'\n"
              "Run `hl-bufctl --help` for more information.\n");
    EXPECT_EQ(ran.out, "");
  }
}

TEST(CommandLine, TakesGlobalOptionsBeforeAndAfterTheCommand) {
  for (const Ran& ran : {Ctl({"--socket", "/nowhere/a", "--output", "json", "devices"}),
                         Ctl({"devices", "--socket", "/nowhere/a", "--output", "json"}),
                         Ctl({"revoke", "a1", "b2", "--grace", "0", "--socket", "/nowhere/a"})}) {
    EXPECT_EQ(ran.code, ExitCode::kUnreachable);
    EXPECT_TRUE(Has(ran.error, "cannot connect to /nowhere/a: No such file or directory"))
        << ran.error;
  }
}

TEST(CommandLine, TakesWhatACommandCanBeNarrowedTo) {
  for (const std::vector<const char*>& words : std::vector<std::vector<const char*>>{
           {"buffers", "--owner", "0", "--container", ""},
           {"leases", "--owner", "0", "--holder", "1", "--container", "c0ffee"},
           {"sessions", "--container", "c0ffee"},
           {"watch", "--kind", "lease-granted,device_state", "--kind", "Buffer-Freed"},
           {"revoke", "a1", "--no-wait"},
           {"drain", "dev0"},
           {"drain", "dev0", "--grace", "5s", "--wait", "--timeout", "1h"},
           {"drain", "--uid", "0", "--wait"},
           {"drain", "--job", "77", "--grace", "5s", "--wait"},
           {"undrain", "dev0"},
           {"plan-reset", "dev0"},
           {"simulate-reset", "dev0", "--no-wait"}}) {
    std::vector<const char*> all = words;
    all.insert(all.end(), {"--socket", "/nowhere/a"});
    EXPECT_EQ(Ctl(all).code, ExitCode::kUnreachable) << testing::PrintToString(words);
  }
}

TEST(CommandLine, NamesTheOptionThatWasWritten) {
  EXPECT_TRUE(Has(Ctl({"buffers", "--uid", "abc"}).error, "--uid: 'abc' is no uid"));
  EXPECT_TRUE(Has(Ctl({"buffers", "--owner", "abc"}).error, "--owner: 'abc' is no uid"));
  EXPECT_TRUE(Has(Ctl({"leases", "--uid", "abc"}).error, "--uid: 'abc' is no uid"));
}

TEST(CommandLine, NamesTheFileThatItCannotReadForAServer) {
  const Ran ran = Ctl({"devices", "--server", "[::1]:9443", "--ca", "/nowhere/ca", "--cert",
                       "/nowhere/b", "--key", "/nowhere/c"});
  EXPECT_EQ(ran.code, ExitCode::kFailed);
  EXPECT_EQ(ran.error, "hl-bufctl: cannot read --ca /nowhere/ca: No such file or directory\n");
  const Ran garbage = Ctl({"devices", "--server", "node7:9443", "--ca", "/dev/null", "--cert",
                           "/nowhere/b", "--key", "/nowhere/c"});
  EXPECT_EQ(garbage.error, "hl-bufctl: cannot read --ca /dev/null: it has nothing in PEM form\n");
}

TEST(CommandLine, LooksAtThisMachineForWhatOnlyThisMachineCanTell) {
  for (const std::vector<const char*>& words : std::vector<std::vector<const char*>>{
           {"holders", "dev0"}, {"doctor"}, {"journal", "dump"}}) {
    std::vector<const char*> all = words;
    all.insert(all.end(), {"--server", "node7:9443", "--ca", "/a", "--cert", "/b", "--key", "/c"});
    const Ran ran = Ctl(all);
    EXPECT_EQ(ran.code, ExitCode::kBadUsage);
    EXPECT_TRUE(Has(ran.error, "run it on the machine of the service, without --server"));
  }
}

TEST(CommandLine, SaysThatASocketsNameIsTooLong) {
  const std::string path(200, 'a');
  const Ran ran = Ctl({"devices", "--socket", path.c_str()});
  EXPECT_EQ(ran.code, ExitCode::kUnreachable);
  EXPECT_TRUE(Has(ran.error, "File name too long")) << ran.error;
}

}  // namespace
}  // namespace hlbuf::ctl
