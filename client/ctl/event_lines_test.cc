// SPDX-License-Identifier: Apache-2.0
#include "client/ctl/event_lines.h"

#include <gtest/gtest.h>

#include <limits>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace hlbuf::ctl {
namespace {

v1::WatchEventsResponse Beginning() {
  v1::WatchEventsResponse response;
  response.set_life("5f3a");
  response.set_next(8);
  return response;
}

v1::WatchEventsResponse GapAndTwoEvents() {
  v1::WatchEventsResponse response = Beginning();
  response.set_next(12);
  response.mutable_gap()->set_from(5);
  response.mutable_gap()->set_to(7);
  v1::Event& freed = *response.add_events();
  freed.set_sequence(8);
  freed.set_kind(v1::EVENT_KIND_BUFFER_FREED);
  freed.set_buffer_id("a1");
  v1::Event& verdict = *response.add_events();
  verdict.set_sequence(10);
  verdict.set_kind(v1::EVENT_KIND_BUFFER_VERDICT);
  verdict.set_device("dev0");
  verdict.mutable_verdict()->set_kind(v1::VERDICT_KIND_HELD);
  verdict.mutable_verdict()->set_references(2);
  verdict.set_text("still\nout");
  return response;
}

TEST(EventTableLines, BeginWithAHead) {
  EXPECT_TRUE(absl::StartsWith(EventTableLines(Beginning()), "POSITION "));
}

TEST(EventTableLines, AreOneForTheGapAndEachEvent) {
  const std::string lines = EventTableLines(GapAndTwoEvents());
  EXPECT_EQ(std::count(lines.begin(), lines.end(), '\n'), 3);
  EXPECT_TRUE(absl::StartsWith(lines, "5f3a:7 "));
  EXPECT_TRUE(absl::StrContains(lines, "events from 5 to 7 were forgotten"));
  EXPECT_TRUE(absl::StrContains(lines, "\n5f3a:8 "));
  EXPECT_TRUE(absl::StrContains(lines, "device dev0, HELD, 2 references: still\\x0aout\n"));
}

TEST(EventTableLines, TellAVerdictOnce) {
  v1::WatchEventsResponse response = GapAndTwoEvents();
  v1::Event& verdict = *response.mutable_events(1);
  verdict.set_text("HELD: 2 references and 1 lease are still out");
  EXPECT_TRUE(absl::StrContains(EventTableLines(response),
                                "device dev0: HELD: 2 references and 1 lease are still out\n"));
  verdict.mutable_verdict()->set_kind(v1::VERDICT_KIND_ACKNOWLEDGED);
  verdict.set_text("ACKNOWLEDGED");
  EXPECT_TRUE(absl::StrContains(EventTableLines(response), "device dev0: ACKNOWLEDGED\n"));
}

TEST(EventJsonLines, AreOneForTheGapAndEachEvent) {
  EXPECT_EQ(EventJsonLines(GapAndTwoEvents()),
            "{\"life\":\"5f3a\",\"next\":\"8\",\"gap\":{\"from\":\"5\",\"to\":\"7\"}}\n"
            "{\"life\":\"5f3a\",\"next\":\"9\",\"events\":[{\"sequence\":\"8\","
            "\"kind\":\"EVENT_KIND_BUFFER_FREED\",\"buffer_id\":\"a1\"}]}\n"
            "{\"life\":\"5f3a\",\"next\":\"11\",\"events\":[{\"sequence\":\"10\","
            "\"kind\":\"EVENT_KIND_BUFFER_VERDICT\",\"device\":\"dev0\",\"text\":\"still\\nout\","
            "\"verdict\":{\"kind\":\"VERDICT_KIND_HELD\",\"references\":2}}]}\n");
}

TEST(EventJsonLines, ResumeBehindAGapBeforeWhatIsLeftOfIt) {
  v1::WatchEventsResponse response = GapAndTwoEvents();
  response.mutable_gap()->set_to(9);  // but 8 is still known
  EXPECT_TRUE(absl::StartsWith(
      EventJsonLines(response),
      "{\"life\":\"5f3a\",\"next\":\"8\",\"gap\":{\"from\":\"5\",\"to\":\"9\"}}\n"));
  response.clear_events();  // looked at up to 6 so far, and nothing of it was wanted
  response.set_next(7);
  EXPECT_TRUE(absl::StartsWith(EventTableLines(response), "5f3a:6 "));
}

TEST(EventJsonLines, SayWhereTheStreamBegins) {
  EXPECT_EQ(EventJsonLines(Beginning()), "{\"life\":\"5f3a\",\"next\":\"8\"}\n");
}

TEST(ResumeAfter, AsksForTheEventAfterThePosition) {
  v1::WatchEventsRequest request;
  ASSERT_TRUE(ResumeAfter("5f3a:7", request));
  EXPECT_EQ(request.life(), "5f3a");
  EXPECT_EQ(request.next(), 8U);
  EXPECT_TRUE(ResumeAfter("5f3a:0", request));
}

TEST(ResumeAfter, RefusesWhatIsNoPosition) {
  v1::WatchEventsRequest request;
  for (const char* position : {"", "5f3a", ":7", "5f3a:", "5f3a:x", "5f3a:-1"})
    EXPECT_FALSE(ResumeAfter(position, request)) << position;
  EXPECT_FALSE(
      ResumeAfter(absl::StrCat("5f3a:", std::numeric_limits<std::uint64_t>::max()), request));
}

}  // namespace
}  // namespace hlbuf::ctl
