// SPDX-License-Identifier: Apache-2.0
#include "daemon/holders/proc_text.h"

#include <gtest/gtest.h>
#include <sys/sysmacros.h>

#include <random>

namespace hlbuf {
namespace {

using Kind = HeldFile::Kind;

TEST(ProcText, KnowsDmabufsAndMemfdsByTheirPaths) {
  EXPECT_EQ(KindOfPath("/dmabuf:"), Kind::kDmabuf);
  EXPECT_EQ(KindOfPath("/dmabuf:weights"), Kind::kDmabuf);
  EXPECT_EQ(KindOfPath("/memfd:x (deleted)"), Kind::kMemfd);
  for (const char* other :
       {"", "/dmabuf", "/home/dmabuf:x", "socket:[1]", "anon_inode:[eventpoll]"})
    EXPECT_EQ(KindOfPath(other), std::nullopt) << other;
}

TEST(ProcText, FindsTheFileOfAMapping) {
  const auto mapped = ParseMapsLine(
      "7f0e1c000000-7f0e1c010000 rw-s 00000000 00:0c 4711                       /dmabuf:a b");
  ASSERT_TRUE(mapped.has_value());
  EXPECT_EQ(mapped->file, (HeldFile{.kind = Kind::kDmabuf, .inode = 4711}));
  EXPECT_EQ(mapped->device, makedev(0, 12));
  EXPECT_TRUE(ParseMapsLine("7f00-7f01 rw-s 00000000 00:01 12   /memfd:x (deleted)").has_value());
}

TEST(ProcText, FindsNoneInOtherLines) {
  for (const char* line :
       {"", "7f00-7f01 rw-p 00000000 00:00 0", "7f00-7f01 rw-p 00000000 00:00 0   [heap]",
        "7f00-7f01 r-xp 00000000 fd:01 99   /usr/bin/cat",
        "7f00-7f01 rw-s 00000000 00:0c x /dmabuf:", "7f00-7f01 rw-s 00000000 00:0c",
        "7f00-7f01 rw-s 00000000 00-0c 1 /dmabuf:", "/dmabuf:", "a b c 0:0 1 /home/dmabuf:"})
    EXPECT_EQ(ParseMapsLine(line), std::nullopt) << line;
}

TEST(ProcText, ReadsTheCountOfADmabufOnly) {
  const auto read = ParseFdinfo(
      "pos:\t0\nflags:\t02000002\nmnt_id:\t10\nino:\t12\nsize:\t65536\ncount:\t3\n"
      "exp_name:\tudmabuf\nname:\tx\ncount:\t9\nexp_name:\tforged\n");
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->count, 3u) << "a name comes last, and may look like a line of the kernel's";
  EXPECT_EQ(read->exporter, "udmabuf");
  for (const char* other :
       {"", "pos:\t0\nflags:\t02\n", "count:\t3\n", "count:\t-1\nexp_name:\tx\n",
        "count:\t\nexp_name:\tx\n", "xcount:\t3\nexp_name:\tx\n"})
    EXPECT_EQ(ParseFdinfo(other), std::nullopt) << other;
}

TEST(ProcText, ReadsParentAndStartWhateverTheCommandIsCalled) {
  for (const char* command : {"cat", "a) S 9 9", "(x", ")) ", ""}) {
    const auto stat = ParseStat(std::string("4711 (") + command +
                                ") S 17 4711 4711 0 -1 4194304 100 0 0 0 1 2 0 0 20 0 1 0 "
                                "987654 1000 200 18446744073709551615\n");
    ASSERT_TRUE(stat.has_value()) << command;
    EXPECT_EQ(stat->parent, 17);
    EXPECT_EQ(stat->start_ticks, 987654u);
  }
  for (const char* other : {"", "4711", "4711 (x)", "4711 (x) S", "4711 (x) S y", "1 (x) S 1 2 3"})
    EXPECT_EQ(ParseStat(other), std::nullopt) << other;
}

TEST(ProcText, ReadsTheEffectiveUid) {
  EXPECT_EQ(ParseStatusUid("Name:\tx\nUid:\t1000\t1001\t1002\t1003\nGid:\t1\t2\t3\t4\n"), 1001u);
  EXPECT_EQ(ParseStatusUid("Name:\tx\n"), std::nullopt);
  EXPECT_EQ(ParseStatusUid("Uid:\t1000\n"), std::nullopt);
}

TEST(ProcText, ReadsWhetherEveryProcessIsShown) {
  EXPECT_TRUE(HasTracing("Uid:\t0\nCapEff:\t0000000000080000\nCapBnd:\t0\n"));
  EXPECT_FALSE(HasTracing("CapEff:\tfffffffffff7ffff\n"));
  EXPECT_FALSE(HasTracing("CapBnd:\t0000000000080000\n"));
  for (const char* how : {"2", "invisible", "4", "ptraceable", "1"})
    EXPECT_TRUE(HidesProcesses(
        std::string("22 27 0:21 / /proc rw,relatime - proc proc rw,hidepid=") + how));
  for (const char* line : {"", "22 27 0:21 / /proc rw,relatime - proc proc rw",
                           "22 27 0:21 / /proc", "22 27 0:21 / /proc rw - proc proc rw,hidepid=off",
                           "22 27 0:21 / /mnt/proc rw - proc proc rw,hidepid=invisible"})
    EXPECT_FALSE(HidesProcesses(line)) << line;
}

TEST(ProcText, ShowsCommandsPrintableAndNeverEmpty) {
  EXPECT_EQ(CommandOf("python3\n"), "python3");
  EXPECT_EQ(CommandOf("a b\n\n"), "a b\\x0a");
  EXPECT_EQ(CommandOf(""), "-");
  EXPECT_EQ(CommandOf("\x1b[2J\n"), "\\x1b[2J");
}

TEST(ProcText, TakesAnyBytes) {
  std::mt19937 random(1);
  for (int i = 0; i < 20'000; ++i) {
    std::string text(random() % 64, '\0');
    for (char& c : text) c = "0123456789:- \n\t/()dmabuf\xff"[random() % 25];
    static_cast<void>(ParseMapsLine(text));
    static_cast<void>(ParseFdinfo(text));
    static_cast<void>(ParseStat(text));
    static_cast<void>(ParseStatusUid(text));
    EXPECT_FALSE(CommandOf(text).empty());
  }
}

}  // namespace
}  // namespace hlbuf
