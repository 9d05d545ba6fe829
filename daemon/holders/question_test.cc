// SPDX-License-Identifier: Apache-2.0
#include "daemon/holders/question.h"

#include <gtest/gtest.h>

#include "daemon/holders/holders_wire.h"

namespace hlbuf {
namespace {

using Kind = HeldFile::Kind;

TEST(HoldersQuestion, ReadsWhatWasWritten) {
  const std::vector<HeldFile> files = {{.kind = Kind::kDmabuf, .inode = 17},
                                       {.kind = Kind::kMemfd, .inode = UINT64_MAX}};
  EXPECT_EQ(FormatQuestion(files),
            "hl-bufd-holders 1\ndmabuf 17\nmemfd 18446744073709551615\nend\n");
  EXPECT_EQ(ParseQuestion(FormatQuestion(files)), files);
  EXPECT_EQ(ParseQuestion(FormatQuestion({})), std::vector<HeldFile>());
}

TEST(HoldersQuestion, TellsOneInodeOfTwoKindsApart) {
  const std::vector<HeldFile> files = {{.kind = Kind::kDmabuf, .inode = 17},
                                       {.kind = Kind::kMemfd, .inode = 17}};
  EXPECT_EQ(ParseQuestion(FormatQuestion(files)), files);
}

TEST(HoldersQuestion, IsNoneWhenAnythingIsWrong) {
  for (const char* text :
       {"", "end\n", "hl-bufd-holders 1\n", "hl-bufd-holders 2\nend\n", "hl-bufd-holders 1\nend",
        "hl-bufd-holders 1\r\nend\n", "hl-bufd-holders 1\ndmabuf 1\n",
        "hl-bufd-holders 1\ndmabuf\nend\n", "hl-bufd-holders 1\ndmabuf \nend\n",
        "hl-bufd-holders 1\ndmabuf -1\nend\n", "hl-bufd-holders 1\ndmabuf  1\nend\n",
        "hl-bufd-holders 1\ndmabuf 1 \nend\n", "hl-bufd-holders 1\nfile 1\nend\n",
        "hl-bufd-holders 1\ndmabuf 18446744073709551616\nend\n",
        "hl-bufd-holders 1\ndmabuf 1\ndmabuf 1\nend\n", "hl-bufd-holders 1\n\nend\n",
        "hl-bufd-holders 1\nend\ndmabuf 1\n", "hl-bufd-holders 1\nend\nend\n"})
    EXPECT_EQ(ParseQuestion(text), std::nullopt) << text;
}

TEST(HoldersQuestion, HasALimit) {
  std::vector<HeldFile> files;
  for (std::uint64_t i = 0; i < HLBUF_HOLDERS_FILES_MAX; ++i)
    files.push_back({.inode = UINT64_MAX - i});
  EXPECT_EQ(ParseQuestion(FormatQuestion(files)), files);
  files.push_back({.inode = 1});
  EXPECT_EQ(ParseQuestion(FormatQuestion(files)), std::nullopt);
}

}  // namespace
}  // namespace hlbuf
