// SPDX-License-Identifier: Apache-2.0
#include "daemon/holders/answer.h"

#include <gtest/gtest.h>

#include <random>

#include "daemon/holders/holders_wire.h"

namespace hlbuf {
namespace {

HoldersAnswer Sample() {
  HoldersAnswer answer;
  answer.scope = {.processes = 312,
                  .fd_unreadable = 3,
                  .maps_unreadable = 2,
                  .bufinfo_errno = 13,
                  .whole = true,
                  .pid_namespace = 4026531836,
                  .asker = 99};
  FileHolders& dmabuf = answer.files.emplace_back();
  dmabuf.file.inode = 17;
  dmabuf.count = 5;
  dmabuf.exporter = "habanalabs";
  dmabuf.processes.push_back({.pid = 4711,
                              .parent = 1,
                              .uid = 1000,
                              .start_ticks = 123456,
                              .descriptors = 2,
                              .mappings = 1,
                              .command = "my prog"});
  dmabuf.importers = {"0000:17:00.0", "mlx5_0"};
  answer.files.push_back({.file = {.kind = HeldFile::Kind::kMemfd, .inode = 18}});
  return answer;
}

constexpr const char* kSample =
    "hl-bufd-holders 1\n"
    "scan 312 3 2 13 1 4026531836 99\n"
    "file dmabuf 17 5 habanalabs\n"
    "process 4711 1 1000 123456 2 1 my prog\n"
    "importer 0000:17:00.0\n"
    "importer mlx5_0\n"
    "file memfd 18 - -\n"
    "end\n";

TEST(HoldersAnswer, IsWrittenAsItsHeaderSays) { EXPECT_EQ(FormatAnswer(Sample()), kSample); }

TEST(HoldersAnswer, ReadsWhatWasWritten) {
  const auto read = ParseAnswer(kSample);
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(FormatAnswer(*read), kSample);
  EXPECT_EQ(read->scope.asker, 99);
  ASSERT_EQ(read->files.size(), 2u);
  EXPECT_EQ(read->files[0].count, 5u);
  EXPECT_EQ(read->files[0].processes.at(0).command, "my prog");
  EXPECT_EQ(read->files[1].count, std::nullopt);
}

TEST(HoldersAnswer, SaysApartWhatWasCutShortAndWhatWasHidden) {
  for (const bool whole : {false, true})
    for (const bool hidden : {false, true}) {
      HoldersAnswer answer;
      answer.scope.whole = whole;
      answer.scope.hidden = hidden;
      const auto read = ParseAnswer(FormatAnswer(answer));
      ASSERT_TRUE(read.has_value());
      EXPECT_EQ(read->scope.whole, whole);
      EXPECT_EQ(read->scope.hidden, hidden);
    }
}

TEST(HoldersAnswer, CountsWhatItLeavesOut) {
  FileHolders file;
  for (int i = 0; i < HLBUF_HOLDERS_PROCESSES_MAX + 3; ++i)
    AddProcess(file, {.pid = i + 1, .descriptors = 2, .mappings = 1, .command = "x"});
  for (int i = 0; i < HLBUF_HOLDERS_IMPORTERS_MAX + 2; ++i) AddImporter(file, "mlx5_0");
  EXPECT_EQ(file.processes.size(), std::size_t{HLBUF_HOLDERS_PROCESSES_MAX});
  EXPECT_EQ(file.more_processes, 3u);
  EXPECT_EQ(file.more_descriptors, 6u);
  EXPECT_EQ(file.more_mappings, 3u);
  EXPECT_EQ(file.more_attachments, 2u);
  HoldersAnswer answer;
  answer.files.push_back(file);
  const auto read = ParseAnswer(FormatAnswer(answer));
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->files[0].more_descriptors, 6u);
  EXPECT_EQ(read->files[0].more_attachments, 2u);
}

TEST(HoldersAnswer, IsNeverLongerThanItsAskersRead) {
  FileHolders full;
  for (int i = 0; i < HLBUF_HOLDERS_PROCESSES_MAX; ++i)
    AddProcess(full, {.pid = INT32_MAX,
                      .parent = INT32_MAX,
                      .uid = UINT32_MAX,
                      .start_ticks = UINT64_MAX,
                      .descriptors = UINT32_MAX,
                      .mappings = UINT32_MAX,
                      .command = std::string(60, 'x')});
  for (int i = 0; i < HLBUF_HOLDERS_IMPORTERS_MAX; ++i) AddImporter(full, std::string(255, 'x'));
  full.exporter = std::string(255, 'x');
  const HoldersAnswer answer = {.files = std::vector(HLBUF_HOLDERS_FILES_MAX, full)};
  const std::string text = FormatAnswer(answer);
  EXPECT_LE(text.size(), std::size_t{HLBUF_HOLDERS_ANSWER_BYTES_MAX});
  const auto read = ParseAnswer(text);
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->files.back().more_processes, unsigned{HLBUF_HOLDERS_PROCESSES_MAX});
}

TEST(HoldersAnswer, IsNoneWhenItIsCutAnywhere) {
  const std::string whole(kSample);
  for (std::size_t bytes = 0; bytes < whole.size(); ++bytes)
    EXPECT_EQ(ParseAnswer(whole.substr(0, bytes)), std::nullopt) << bytes;
}

TEST(HoldersAnswer, IsNoneWhenALineIsWrong) {
  const std::string head = "hl-bufd-holders 1\nscan 1 0 0 0 1 7 0\n";
  ASSERT_TRUE(ParseAnswer(head + "end\n").has_value());
  for (const std::string& lines :
       {std::string("process 1 1 1 1 1 1 x\n"), std::string("importer x\n"),
        std::string("file dmabuf 1 2\n"), std::string("file dmabuf 1 x exporter\n"),
        std::string("file dmabuf 1 4294967296 exporter\n"), std::string("file file 1 2 exporter\n"),
        std::string("file dmabuf 1 2 udmabuf\nprocess 1 1 1 1 1 1\n"),
        std::string("file dmabuf 1 2 udmabuf\nprocess 1 1 1 1 1 1 \n"),
        std::string("file dmabuf 1 2 udmabuf\nprocess 1 1 -1 1 1 1 x\n"),
        std::string("file dmabuf 1 2 udmabuf\nprocess 1 1 1 1 1 1 a\x1b[2J\n"),
        std::string("file dmabuf 1 2 udmabuf\nimporter \n"),
        std::string("file dmabuf 1 2 udmabuf\nimporter ") + std::string(256, 'x') + "\n",
        std::string("file dmabuf 1 2 udmabuf\nmore 1 2 3\n"),
        std::string("file dmabuf 1 2 udmabuf\nmore 1 2 3 4 5\n"),
        std::string("file dmabuf 1 2 udmabuf\nsomething else\n")})
    EXPECT_EQ(ParseAnswer(head + lines + "end\n"), std::nullopt) << lines;
  EXPECT_EQ(ParseAnswer("hl-bufd-holders 1\nscan 1 0 0 0 4 7 0\nend\n"), std::nullopt);
  EXPECT_EQ(ParseAnswer("hl-bufd-holders 1\nend\n"), std::nullopt);
}

TEST(HoldersAnswer, TakesAnyBytes) {
  std::mt19937 random(1);
  for (int i = 0; i < 20'000; ++i) {
    std::string text(kSample);
    for (int changes = 0; changes < 3; ++changes)
      text[random() % text.size()] = static_cast<char>(random());
    const auto read = ParseAnswer(text);
    EXPECT_TRUE(!read.has_value() || ParseAnswer(FormatAnswer(*read)).has_value()) << text;
  }
}

TEST(EscapedText, IsPrintableAndUnambiguous) {
  EXPECT_EQ(EscapedText("a b~"), "a b~");
  EXPECT_EQ(EscapedText(std::string("\n\0\\\x7f\xff", 5)), "\\x0a\\x00\\x5c\\x7f\\xff");
}

}  // namespace
}  // namespace hlbuf
