// SPDX-License-Identifier: Apache-2.0
#include "daemon/control/page.h"

#include <gtest/gtest.h>

#include <climits>

#include "absl/strings/escaping.h"
#include "daemon/core/error.h"
#include "hlbuf/v1/control.pb.h"

namespace hlbuf {
namespace {

ErrorCode CodeOfPage(absl::string_view token, absl::string_view query = "q") {
  const absl::StatusOr<Page> page = ReadPage(0, token, query);
  EXPECT_FALSE(page.ok()) << token;
  return ErrorCodeOf(page.status());
}

TEST(Page, HasASizeThatTheServerBounds) {
  EXPECT_EQ(ReadPage(0, "", "q")->size, kPageDefault);
  EXPECT_EQ(ReadPage(7, "", "q")->size, 7u);
  EXPECT_EQ(ReadPage(1001, "", "q")->size, 1000u);
  EXPECT_EQ(ReadPage(INT_MAX, "", "q")->size, 1000u);
  EXPECT_EQ(ErrorCodeOf(ReadPage(-1, "", "q").status()), ErrorCode::kInvalidArgument);
}

TEST(Page, StartsAfterTheKeyOfItsToken) {
  EXPECT_EQ(ReadPage(0, "", "q")->after, "");
  EXPECT_EQ(ReadPage(0, PageToken("q", "a/b.c"), "q")->after, "a/b.c");
}

TEST(Page, TokenIsGoodForItsOwnQuestionOnly) {
  EXPECT_EQ(CodeOfPage(PageToken("other", "a")), ErrorCode::kInvalidArgument);
  hlbuf::v1::ListBuffersRequest buffers;
  hlbuf::v1::ListSessionsRequest sessions;
  EXPECT_NE(QueryOf(buffers), QueryOf(sessions));
  const std::string all = QueryOf(buffers);
  buffers.set_page_size(5);
  buffers.set_page_token("x");
  EXPECT_EQ(QueryOf(buffers), all);
  buffers.set_owner_uid(0);
  EXPECT_NE(QueryOf(buffers), all);
}

TEST(Page, TokenThatNobodyMadeIsRefused) {
  for (const absl::string_view token : {"x", "!!!!", "AAAA", "MS4w", "="})
    EXPECT_EQ(CodeOfPage(token), ErrorCode::kInvalidArgument) << token;
  std::string cut = PageToken("q", "");
  EXPECT_EQ(CodeOfPage(cut), ErrorCode::kInvalidArgument);
  EXPECT_EQ(CodeOfPage(std::string(100'000, 'A')), ErrorCode::kInvalidArgument);
}

TEST(Page, TokenIsTheSameInEveryLifeOfTheDaemon) {
  EXPECT_EQ(PageToken("q", "1f"), absl::WebSafeBase64Escape("1.af63ec4c860207bc.1f"));
}

TEST(Page, KeyThatIsNoIdIsRefused) {
  EXPECT_EQ(*AfterId({.after = ""}), 0u);
  EXPECT_EQ(*AfterId({.after = "1f"}), 0x1fu);
  EXPECT_EQ(ErrorCodeOf(AfterId({.after = "1g"}).status()), ErrorCode::kInvalidArgument);
}

TEST(Page, IsFullWhenEnoughWasTakenOrExamined) {
  const Caller viewer = {.role = Role::kViewer};
  PageFill taken({.size = 2}, viewer);
  taken.Taken();
  EXPECT_TRUE(taken.HasRoom());
  taken.Taken();
  EXPECT_FALSE(taken.HasRoom());
  PageFill examined({.size = 2}, viewer);
  for (std::size_t i = 0; i < kExaminedMax; ++i) {
    EXPECT_TRUE(examined.HasRoom());
    examined.Examined();
  }
  EXPECT_FALSE(examined.HasRoom());
}

TEST(Page, IsSoonerFullForACallerWithoutARole) {
  PageFill fill({.size = 2}, Caller());
  fill.Examined(kExaminedMaxWithoutRole - 1);
  EXPECT_TRUE(fill.HasRoom());
  fill.Examined(1'000'000);  // all at once, and no less than nothing is left
  EXPECT_FALSE(fill.HasRoom());
}

}  // namespace
}  // namespace hlbuf
