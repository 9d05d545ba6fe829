// SPDX-License-Identifier: Apache-2.0
#include "daemon/holders/bufinfo.h"

#include <gtest/gtest.h>

#include <random>

#include "daemon/holders/words.h"

namespace hlbuf {
namespace {

// As Linux 6.12 writes it.
constexpr const char* kText =
    "\nDma-buf Objects:\n"
    "size    \tflags   \tmode    \tcount   \texp_name\tino     \tname\n"
    "00065536\t00000002\t00080007\t00000003\tudmabuf\t00000012\t<none>\n"
    "\tkernel fence: drv tl seq 4 unsignalled\n"
    "\tAttached Devices:\n"
    "\thlimport\n"
    "\t0000:17:00.0\n"
    "Total 2 devices attached\n"
    "\n"
    "805306368\t00000002\t00080007\t00000001\thabanalabs\t1234567890\tweights\n"
    "\tAttached Devices:\n"
    "Total 0 devices attached\n"
    "\n"
    "\nTotal 2 objects, 805371904 bytes\n";

using Names = std::vector<std::string>;

std::map<std::uint64_t, BufinfoEntry> ParseBufinfo(std::string_view text,
                                                   std::set<std::uint64_t> wanted = {12,
                                                                                     1234567890}) {
  BufinfoReader reader(std::move(wanted));
  while (!text.empty()) reader.Read(TakeUntil(text, '\n'));
  return reader.objects();
}

TEST(Bufinfo, KeepsOnlyWhatIsWanted) {
  EXPECT_TRUE(ParseBufinfo(kText, {}).empty());
  const auto objects = ParseBufinfo(kText, {1234567890});
  ASSERT_EQ(objects.size(), 1u);
  EXPECT_TRUE(objects.at(1234567890).attached.empty()) << "those are another object's";
}

TEST(Bufinfo, HasCountExporterAndAttachments) {
  const auto objects = ParseBufinfo(kText);
  ASSERT_EQ(objects.size(), 2u);
  EXPECT_EQ(objects.at(12).count, 3u);
  EXPECT_EQ(objects.at(12).exporter, "udmabuf");
  EXPECT_EQ(objects.at(12).attached, (Names{"hlimport", "0000:17:00.0"}));
  EXPECT_EQ(objects.at(1234567890).count, 1u);
  EXPECT_TRUE(objects.at(1234567890).attached.empty());
}

std::string Named(const std::string& name) {
  return "00004096\t00000002\t00080007\t00000004\tudmabuf\t00000012\t" + name +
         "\n\tAttached Devices:\n\tmlx5_0\nTotal 1 devices attached\n\n";
}

// Whoever has a dma-buf names it, with up to 31 bytes of any kind.
TEST(Bufinfo, IsNotFooledByNames) {
  for (const std::string& name :
       {std::string("x\n1\t1\t1\t1\tx\t12\ty"), std::string("\n00000000\t0\t0\t0\tx\t00000012"),
        std::string("\n\tAttached Devices:\n\tforged"), std::string("\nTotal 0 devices attached"),
        std::string("\t\t\n\n"), std::string("\n\tAttached Devices:\nTotal 0")}) {
    ASSERT_LE(name.size(), 31u);
    const auto objects = ParseBufinfo(Named(name));
    ASSERT_EQ(objects.size(), 1u) << name;
    EXPECT_EQ(objects.at(12).count, 4u) << name;
    EXPECT_EQ(objects.at(12).attached, Names{"mlx5_0"}) << name;
  }
}

TEST(Bufinfo, SaysNothingOfWhatIsCutShort) {
  EXPECT_TRUE(ParseBufinfo("").empty());
  EXPECT_TRUE(ParseBufinfo("00004096\t00000002\t00080007\t00000004\tudmabuf").empty());
  EXPECT_TRUE(ParseBufinfo("00004096\t00000002\t00080007\t-0000001\tudmabuf\t00000012\tx").empty());
  EXPECT_TRUE(ParseBufinfo("\tAttached Devices:\n\tmlx5_0\nTotal 1 devices attached\n").empty());
  const std::string text(kText);
  for (std::size_t bytes = 0; bytes < text.size(); ++bytes)
    EXPECT_LE(ParseBufinfo(text.substr(0, bytes)).size(), 2u);
}

TEST(Bufinfo, TakesAnyBytes) {
  std::mt19937 random(1);
  for (int i = 0; i < 5'000; ++i) {
    std::string text(kText);
    for (int changes = 0; changes < 20; ++changes)
      text[random() % text.size()] = static_cast<char>(random());
    for (const auto& [inode, entry] : ParseBufinfo(text))
      for (const std::string& name : entry.attached)
        for (const char c : name) EXPECT_TRUE(c >= ' ' && c <= '~');
  }
}

}  // namespace
}  // namespace hlbuf
