// SPDX-License-Identifier: Apache-2.0
#include "daemon/core/names.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <algorithm>

#include "daemon/core/error.h"

namespace hlbuf {
namespace {

bool IsName(absl::string_view text) { return CheckName("name", text).ok(); }
bool AreLabels(const std::vector<std::string>& labels) { return CheckLabels(labels).ok(); }

TEST(Name, HasOneToSixtyThreeBytes) {
  EXPECT_FALSE(IsName(""));
  EXPECT_TRUE(IsName("a"));
  EXPECT_TRUE(IsName(std::string(63, 'a')));
  EXPECT_FALSE(IsName(std::string(64, 'a')));
}

TEST(Name, IsMadeOfLettersDigitsAndFourSigns) {
  EXPECT_TRUE(IsName("Model-7/layer_0.weights"));
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    const bool allowed = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                         (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '/' || c == '-';
    EXPECT_EQ(IsName(std::string(1, c)), allowed) << byte;
  }
}

TEST(Name, IsRefusedWithWhatItIsAndWhatItShouldBe) {
  const absl::Status refused = CheckName("device name", "two words\n");
  EXPECT_EQ(ErrorCodeOf(refused), ErrorCode::kInvalidArgument);
  EXPECT_EQ(refused.message(),
            "device name 'two words?' has 10 bytes; it must have 1 to 63 of [A-Za-z0-9._/-]");
}

TEST(Labels, AreKeysWithPrintableValues) {
  EXPECT_TRUE(AreLabels({}));
  EXPECT_TRUE(AreLabels({"job=train 7", "team=", "url=a=b"}));
  EXPECT_FALSE(AreLabels({"no equals"}));
  EXPECT_FALSE(AreLabels({"=value"}));
  EXPECT_FALSE(AreLabels({"key with space=1"}));
  EXPECT_FALSE(AreLabels({"key=line\nfeed"}));
  EXPECT_FALSE(AreLabels({"key=\x7f"}));
  EXPECT_FALSE(AreLabels({std::string("key=\0", 5)}));
}

TEST(Labels, HaveEachKeyOnce) {
  EXPECT_FALSE(AreLabels({"a=1", "b=2", "a=3"}));
  EXPECT_TRUE(AreLabels({"a=1", "A=1"}));
}

TEST(Labels, AreAtMostEight) {
  std::vector<std::string> labels;
  for (int i = 0; i < 8; ++i) labels.push_back("key" + std::to_string(i) + "=v");
  EXPECT_TRUE(AreLabels(labels));
  labels.push_back("key8=v");
  EXPECT_FALSE(AreLabels(labels));
}

TEST(Labels, HaveAtMost256BytesTogether) {
  EXPECT_TRUE(AreLabels({"a=" + std::string(126, 'x'), "b=" + std::string(126, 'x')}));
  EXPECT_FALSE(AreLabels({"a=" + std::string(126, 'x'), "b=" + std::string(127, 'x')}));
}

TEST(Printable, CutsWhatIsTooLong) {
  EXPECT_EQ(Printable("abcdef", 3), "abc");
  EXPECT_EQ(Printable(std::string(100, 'a')).size(), kNameBytesMax);
}

RC_GTEST_PROP(Printable, LeavesNothingThatATerminalOrALogWouldObey, (const std::string& text)) {
  const std::string printable = Printable(text);
  RC_ASSERT(std::all_of(printable.begin(), printable.end(),
                        [](char c) { return c >= 0x20 && c < 0x7f; }));
}

}  // namespace
}  // namespace hlbuf
