// SPDX-License-Identifier: Apache-2.0
// hl-bufd-journal and what it shows of the journal that hl-bufd 0.1.0 wrote.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "daemon/journal/journal_json.h"
#include "daemon/journal/journal_look.h"
#include "daemon/journal/journal_source.h"
#include "daemon/journal/journal_text.h"
#include "daemon/persist/journal_layout.h"
#include "tests/support/child.h"

namespace hlbuf {
namespace {

std::string SamplePath() {
  const char* source = std::getenv("HLBUF_SOURCE_DIR");
  return absl::StrCat(source == nullptr ? "." : source, "/daemon/persist/testdata/journal-0.1.0");
}

JournalLook Sample() {
  absl::StatusOr<JournalLook> look = LookInto(*OpenJournal(SamplePath()));
  EXPECT_TRUE(look.ok()) << look.status();
  return *std::move(look);
}

std::string All(const JournalLook& look) {
  return absl::StrCat(VerifyText(look, ""), VerifyJson(look, ""), DumpText(look), DumpJson(look));
}

class JournalProgram : public testing::Test {
 protected:
  Finished Run(const std::vector<std::string>& words, std::optional<uid_t> uid = std::nullopt) {
    std::vector<std::string> arguments = {BuiltPath("daemon/hl-bufd-journal")};
    arguments.insert(arguments.end(), words.begin(), words.end());
    return RunToEnd({.arguments = arguments, .output = directory_.path() + "/output", .uid = uid});
  }
  // The sample with one byte changed.
  std::string Damaged(std::streamoff at) {
    const std::string path = directory_.path() + "/damaged";
    std::filesystem::copy_file(SamplePath(), path,
                               std::filesystem::copy_options::overwrite_existing);
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(at);
    const int byte = file.get();
    file.seekp(at);
    file.put(static_cast<char>(byte ^ 0x5a));
    return path;
  }

  const TemporaryDirectory directory_;
};

TEST(JournalText, SaysWhoWroteAJournalAndWhatItHas) {
  const std::string text = VerifyText(Sample(), "");
  for (const char* part :
       {"Written by: hl-bufd ", ", not this one", "1 devices, 2 sessions, 1 buffers, 2 leases, ",
        "0 damaged\n", "Consistent: yes\n"})
    EXPECT_TRUE(absl::StrContains(text, part)) << part << "\n" << text;
  const JournalLook look = Sample();
  EXPECT_TRUE(absl::StrContains(VerifyText(look, look.boot_id), ", this one"));
}

TEST(JournalText, ShowsWhatIsInAJournal) {
  const JournalLook look = Sample();
  const std::string text = DumpText(look);
  for (const char* part : {"DEVICE ", "fake0", "NOTE ", "5000", "SESSION ", "pod-1", "BUFFER ",
                           "weights", "REVOKING", "LEASE ", "REVOCATION ", "OPERATOR"})
    EXPECT_TRUE(absl::StrContains(text, part)) << part << "\n" << text;
  EXPECT_TRUE(absl::StrContains(text, IdText(look.kept.sessions.at(0).id)));
}

TEST(JournalJson, HasEverythingByName) {
  const JournalLook look = Sample();
  const std::string json = DumpJson(look);
  EXPECT_TRUE(absl::StrContains(
      json, absl::StrCat("\"session_id\": \"", IdText(look.kept.leases.at(0).session), "\"")))
      << json;
  for (const char* part : {"\"devices\": [", "\"bytes\": 5000", "\"size_bytes\": \"", "\"a=b\"",
                           "\"uid 2039\"", "\"deadline_boottime_ns\": \""})
    EXPECT_TRUE(absl::StrContains(json, part)) << part << "\n" << json;
  EXPECT_TRUE(absl::StrContains(VerifyJson(look, ""), "\"consistent\": true"));
}

TEST(JournalDump, ShowsNoSecretNorWhetherThereIsOne) {
  JournalLook look = Sample();
  const std::string shown = All(look);
  EXPECT_FALSE(absl::StrContains(absl::AsciiStrToLower(shown), "secret"));
  for (KeptSession& session : look.kept.sessions) {
    for (const SessionSecret& secret : {session.secret, session.secret_before}) {
      const absl::string_view bytes(reinterpret_cast<const char*>(secret.bytes.data()),
                                    secret.bytes.size());
      EXPECT_TRUE(secret.empty() || !absl::StrContains(shown, bytes));
      EXPECT_TRUE(secret.empty() || !absl::StrContains(shown, absl::BytesToHexString(bytes)));
    }
    session.secret.bytes.fill('s');
    session.secret_before = {};
  }
  EXPECT_EQ(All(look), shown);
}

TEST(JournalDump, ShowsNoByteOfANote) {
  JournalLook look = Sample();
  EXPECT_FALSE(absl::StrContains(All(look), "nnnn"));
}

TEST(JournalText, SteersNoTerminal) {
  JournalLook look = Sample();
  look.kept.sessions.at(0).client = "\x1b[2J";
  look.written_by = "\x1b[2J";
  EXPECT_FALSE(absl::StrContains(All(look), "\x1b"));
}

TEST_F(JournalProgram, ShowsAFile) {
  const Finished verified = Run({"verify", SamplePath()});
  EXPECT_EQ(verified.exit_status, 0) << verified.output;
  EXPECT_TRUE(absl::StrContains(verified.output, "Consistent: yes"));
  const Finished dumped = Run({"dump", "--output", "json", SamplePath()});
  EXPECT_EQ(dumped.exit_status, 0);
  EXPECT_EQ(dumped.output, DumpJson(Sample()));
}

TEST_F(JournalProgram, SaysWhatIsDamaged) {
  const std::string path = Damaged(journal::kHeaderBytes + 40);
  const Finished verified = Run({"verify", path});
  EXPECT_EQ(verified.exit_status, 1);
  EXPECT_TRUE(absl::StrContains(verified.output, "1 damaged")) << verified.output;
  EXPECT_TRUE(absl::StrContains(verified.output, "Consistent: no: ")) << verified.output;
  const Finished dumped = Run({"dump", path});
  EXPECT_EQ(dumped.exit_status, 1);
  EXPECT_TRUE(absl::StrContains(dumped.output, "`journal verify` tells")) << dumped.output;
}

TEST_F(JournalProgram, RefusesWhatIsNoJournal) {
  EXPECT_TRUE(absl::StrContains(Run({"verify", Damaged(30)}).output, "its header is damaged"));
  const Finished other = Run({"verify", BuiltPath("daemon/hl-bufd-journal")});
  EXPECT_EQ(other.exit_status, 1);
  EXPECT_TRUE(absl::StrContains(other.output, "it is no journal of hl-bufd")) << other.output;
  const std::string fifo = directory_.path() + "/fifo";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  EXPECT_TRUE(absl::StrContains(Run({"dump", fifo}).output, "is no regular file"));
  EXPECT_TRUE(absl::StrContains(Run({"dump", "0"}).output, "there is no process 0"));
  EXPECT_EQ(Run({"mend", fifo}).exit_status, 2);
}

TEST_F(JournalProgram, SaysWhoMayLook) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, to be somebody else";
  const std::string path = Damaged(0);
  ASSERT_EQ(::chmod(path.c_str(), 0600), 0);
  ASSERT_EQ(::chmod(directory_.path().c_str(), 0755), 0);
  for (const std::string& where : {path, std::to_string(::getpid())}) {
    const Finished refused = Run({"verify", where}, 65'534);
    EXPECT_EQ(refused.exit_status, 1);
    EXPECT_TRUE(absl::StrContains(refused.output, "Permission denied; run this as root"))
        << refused.output;
  }
}

}  // namespace
}  // namespace hlbuf
