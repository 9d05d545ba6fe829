// SPDX-License-Identifier: Apache-2.0
#include "daemon/control/watchers.h"

#include <gtest/gtest.h>

#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "daemon/core/error.h"
#include "daemon/event_log_feed.h"
#include "tests/support/fake_clock.h"

namespace hlbuf {
namespace {

namespace v1 = hlbuf::v1;

constexpr std::uint64_t kLife = 0x77;

class FakeSink final : public WatchSink {
 public:
  void Send(v1::WatchEventsResponse response) override {
    EXPECT_FALSE(on_the_way) << "two responses at a time";
    EXPECT_FALSE(end.has_value());
    on_the_way = true;
    responses.push_back(std::move(response));
  }
  void End(const absl::Status& status) override {
    EXPECT_FALSE(on_the_way) << "ended while a response is on its way";
    EXPECT_FALSE(end.has_value()) << "ended twice";
    end = status;
  }

  std::vector<std::uint64_t> Sequences() const {
    std::vector<std::uint64_t> sequences;
    for (const v1::WatchEventsResponse& response : responses)
      for (const v1::Event& event : response.events()) sequences.push_back(event.sequence());
    return sequences;
  }
  // The first and last number of each gap.
  std::vector<std::pair<std::uint64_t, std::uint64_t>> Gaps() const {
    std::vector<std::pair<std::uint64_t, std::uint64_t>> gaps;
    for (const v1::WatchEventsResponse& response : responses)
      if (response.has_gap()) gaps.emplace_back(response.gap().from(), response.gap().to());
    return gaps;
  }

  bool on_the_way = false;
  std::vector<v1::WatchEventsResponse> responses;
  std::optional<absl::Status> end;
};

Caller ViewerCaller() { return {.peer = {.uid = 2001, .pid = 1}, .role = Role::kViewer}; }

class WatchersTest : public testing::Test {
 protected:
  std::shared_ptr<Watch> Begin(FakeSink& sink, const v1::WatchEventsRequest& request = {},
                               Caller caller = ViewerCaller()) {
    auto watch = std::make_shared<Watch>(sink);
    const absl::Status begun = watchers.Begin(watch, std::move(caller), request);
    EXPECT_TRUE(begun.ok()) << begun;
    return watch;
  }
  void Refused(const v1::WatchEventsRequest& request) {
    FakeSink sink;
    const auto watch = std::make_shared<Watch>(sink);
    const absl::Status begun = watchers.Begin(watch, ViewerCaller(), request);
    EXPECT_EQ(ErrorCodeOf(begun), ErrorCode::kInvalidArgument) << request.ShortDebugString();
    watch->End(begun);
    EXPECT_EQ(watchers.size(), 0u);
  }
  void Happen(int times, EventKind kind = EventKind::kBufferAllocated) {
    for (int i = 0; i < times; ++i) log.OnEvent({.kind = kind, .time = clock.Now()});
  }
  // The other end takes what was sent, again and again, for `duration`.
  void Take(FakeSink& sink, const std::shared_ptr<Watch>& watch,
            absl::Duration duration = absl::Seconds(10)) {
    const absl::Time end = clock.Now() + duration;
    for (;;) {
      if (std::exchange(sink.on_the_way, false)) watchers.OnTaken(watch, true);
      if (deadlines.Next() > end) break;
      clock.AdvanceTo(deadlines.Next());
      deadlines.Run(clock.Now());
    }
    clock.AdvanceTo(end);
  }
  static std::vector<std::uint64_t> Range(std::uint64_t from, std::uint64_t to) {
    std::vector<std::uint64_t> range;
    for (std::uint64_t i = from; i <= to; ++i) range.push_back(i);
    return range;
  }

  FakeSink& NewSink() { return sinks.emplace_back(); }

  FakeClock clock;
  Deadlines deadlines;
  std::deque<FakeSink> sinks;
  EventLog log{kLife, 1000};
  EventLogFeed feed{log};
  Watchers watchers{feed, clock, deadlines};
};

TEST_F(WatchersTest, SayAtOnceWhereTheStreamBegins) {
  Happen(4);
  FakeSink& sink = NewSink();
  const auto watch = Begin(sink);
  ASSERT_EQ(sink.responses.size(), 1u);
  EXPECT_EQ(sink.responses[0].life(), "77");
  EXPECT_EQ(sink.responses[0].next(), 5u);
  EXPECT_EQ(sink.responses[0].events_size(), 0);
}

TEST_F(WatchersTest, TellWhatHappensFromNowOn) {
  Happen(3);
  FakeSink& sink = NewSink();
  const auto watch = Begin(sink);
  Take(sink, watch);
  Happen(2);
  Take(sink, watch);
  EXPECT_EQ(sink.Sequences(), Range(4, 5));
  EXPECT_EQ(sink.responses.back().next(), 6u);
}

TEST_F(WatchersTest, ResumeWithoutLossAndWithoutRepetition) {
  Happen(10);
  v1::WatchEventsRequest request;
  request.set_life("77");
  request.set_next(4);
  FakeSink& sink = NewSink();
  const auto watch = Begin(sink, request);
  Happen(5);
  Take(sink, watch);
  EXPECT_EQ(sink.Sequences(), Range(4, 15));
  EXPECT_TRUE(sink.Gaps().empty());
}

TEST_F(WatchersTest, TellAWatcherOfAnotherLifeEverythingOfThisOne) {
  Happen(3);
  v1::WatchEventsRequest request;
  request.set_life("76");
  request.set_next(4000);
  FakeSink& sink = NewSink();
  const auto watch = Begin(sink, request);
  EXPECT_EQ(sink.responses[0].next(), 1u);
  Take(sink, watch);
  EXPECT_EQ(sink.Sequences(), Range(1, 3));
}

TEST_F(WatchersTest, RefusePositionsThatCannotBe) {
  Happen(3);
  v1::WatchEventsRequest request;
  request.set_next(1);
  Refused(request);  // without a life
  request.set_life("77");
  request.set_next(0);
  Refused(request);
  request.set_next(5);
  Refused(request);  // 4 is the next
  request.set_life("life");
  Refused(request);
  v1::WatchEventsRequest kinds;
  kinds.add_kinds(static_cast<v1::EventKind>(4711));
  Refused(kinds);
}

TEST_F(WatchersTest, TellALaggardWhatItMissedAndGoOn) {
  FakeSink& sink = NewSink();
  const auto watch = Begin(sink);  // does not take even the first response
  Happen(2500);
  Take(sink, watch);
  ASSERT_EQ(sink.Gaps().size(), 1u);
  EXPECT_EQ(sink.Gaps()[0], std::pair(std::uint64_t{1}, std::uint64_t{1500}));
  EXPECT_EQ(sink.Sequences(), Range(1501, 2500));
  Happen(1);
  Take(sink, watch);
  EXPECT_EQ(sink.Sequences().back(), 2501u);
}

TEST_F(WatchersTest, TellNoGapToAWatcherThatKeepsUpWithWhatItDoesNotWant) {
  v1::WatchEventsRequest request;
  request.add_kinds(v1::EVENT_KIND_DEVICE_STATE);
  FakeSink& sink = NewSink();
  const auto watch = Begin(sink, request);
  Take(sink, watch);
  Happen(2500);  // far more than are kept
  Happen(1, EventKind::kDeviceState);
  Take(sink, watch);
  EXPECT_TRUE(sink.Gaps().empty());
  EXPECT_EQ(sink.Sequences(), Range(2501, 2501));
}

TEST_F(WatchersTest, TellWhatIsLeftOfAGapOfLeaseEvents) {
  Happen(300);  // while nobody asked for leases
  v1::WatchEventsRequest request;
  request.set_life("77");
  request.set_next(1);
  request.add_kinds(v1::EVENT_KIND_BUFFER_ALLOCATED);
  request.add_kinds(v1::EVENT_KIND_LEASE_GRANTED);
  FakeSink& sink = NewSink();
  const auto watch = Begin(sink, request);
  Happen(1, EventKind::kLeaseGranted);
  Take(sink, watch);
  ASSERT_EQ(sink.Gaps().size(), 1u);  // once, though it takes several responses to pass it
  EXPECT_EQ(sink.Gaps()[0], std::pair(std::uint64_t{1}, std::uint64_t{300}));
  EXPECT_EQ(sink.Sequences(), Range(1, 301));
}

TEST_F(WatchersTest, SendOneBoundedResponseAtATime) {
  FakeSink& sink = NewSink();
  const auto watch = Begin(sink);
  Happen(900);
  EXPECT_EQ(sink.responses.size(), 1u);
  Take(sink, watch);
  EXPECT_EQ(sink.Sequences(), Range(1, 900));
  for (const v1::WatchEventsResponse& response : sink.responses)
    EXPECT_LE(response.events_size(), static_cast<int>(Watchers::kEventsPerResponse));
}

TEST_F(WatchersTest, GatherWhatHappensWithinTheirPace) {
  FakeSink& sink = NewSink();
  const auto watch = Begin(sink);
  Take(sink, watch);
  const std::size_t before = sink.responses.size();
  for (int i = 0; i < 100; ++i) {
    Happen(1);
    Take(sink, watch, absl::Milliseconds(1));
  }
  Take(sink, watch);
  EXPECT_EQ(sink.Sequences(), Range(1, 100));
  EXPECT_LE(sink.responses.size() - before, 7u);  // 100 ms, one in 20 ms
}

TEST_F(WatchersTest, TellAWatcherThatIsBehindAsFastAsItTakes) {
  FakeSink& sink = NewSink();
  const auto watch = Begin(sink);
  Happen(900);
  Take(sink, watch, Watchers::kPace);  // that of its first response
  EXPECT_EQ(sink.Sequences().size(), 900u);
}

TEST_F(WatchersTest, TellTheFirstEventAfterAQuietTimeAtOnce) {
  FakeSink& sink = NewSink();
  const auto watch = Begin(sink);
  Take(sink, watch);
  Happen(1);
  EXPECT_EQ(deadlines.Next(), clock.Now());
}

TEST_F(WatchersTest, FilterByKindAndDevice) {
  v1::WatchEventsRequest request;
  request.add_kinds(v1::EVENT_KIND_DEVICE_STATE);
  request.set_device("gaudi0");
  FakeSink& sink = NewSink();
  const auto watch = Begin(sink, request);
  log.OnEvent({.kind = EventKind::kDeviceState, .device = "gaudi1"});
  log.OnEvent({.kind = EventKind::kBufferFreed, .device = "gaudi0"});
  log.OnEvent({.kind = EventKind::kDeviceState, .device = "gaudi0"});
  Take(sink, watch);
  EXPECT_EQ(sink.Sequences(), Range(3, 3));
  EXPECT_EQ(sink.responses.back().next(), 4u);
}

TEST_F(WatchersTest, TellLeaseEventsOnlyToWhomNamesThem) {
  EXPECT_FALSE(log.wants_leases());
  FakeSink &plain_sink = NewSink(), &lease_sink = NewSink();
  const auto plain = Begin(plain_sink);
  EXPECT_FALSE(log.wants_leases());
  v1::WatchEventsRequest request;
  request.add_kinds(v1::EVENT_KIND_LEASE_GRANTED);
  const auto leases = Begin(lease_sink, request);
  EXPECT_TRUE(log.wants_leases());
  Happen(2, EventKind::kLeaseGranted);
  Happen(1, EventKind::kLeaseEnded);
  Take(plain_sink, plain);
  Take(lease_sink, leases);
  EXPECT_TRUE(plain_sink.Sequences().empty());
  EXPECT_EQ(lease_sink.Sequences(), Range(1, 2));
  watchers.End(leases, absl::CancelledError());
  EXPECT_FALSE(log.wants_leases());
}

TEST_F(WatchersTest, TellACallerWithoutARoleWhatIsItsOwn) {
  const Caller user = {.peer = {.uid = 1000, .pid = 1, .container = "c0ffee"}};
  FakeSink& sink = NewSink();
  const auto watch = Begin(sink, {}, user);
  const Domain other = {.uid = 1000}, own = {.uid = 1000, .container = "c0ffee"};
  log.OnEvent({.kind = EventKind::kBufferAllocated, .domain = other});
  log.OnEvent({.kind = EventKind::kBufferAllocated, .domain = own});
  log.OnEvent({.kind = EventKind::kRevocationBegan});
  log.OnEvent({.kind = EventKind::kDeviceState, .device = "gaudi0"});
  // Of its own buffer, but of processes that are none of its affair.
  log.OnEvent({.kind = EventKind::kHoldersFound, .domain = own});
  Take(sink, watch);
  EXPECT_EQ(sink.Sequences(), (std::vector<std::uint64_t>{2, 4}));
}

TEST_F(WatchersTest, TellNobodyNothing) {
  FakeSink& sink = NewSink();
  const auto watch = Begin(sink, {}, {.peer = {.uid = kNobodyUid, .pid = 0}});
  log.OnEvent({.kind = EventKind::kDeviceState, .device = "gaudi0"});
  log.OnEvent({.kind = EventKind::kRequestRefused});  // its domain is nobody's, too
  Take(sink, watch);
  EXPECT_TRUE(sink.Sequences().empty());
}

TEST_F(WatchersTest, EndAWatchOnlyWhenNothingIsOnItsWay) {
  FakeSink &idle = NewSink(), &busy = NewSink();
  const auto idle_watch = Begin(idle);
  const auto busy_watch = Begin(busy);
  Take(idle, idle_watch);
  watchers.EndAll(Error(ErrorCode::kShuttingDown, "over"));
  ASSERT_TRUE(idle.end.has_value());
  EXPECT_EQ(ErrorCodeOf(*idle.end), ErrorCode::kShuttingDown);
  EXPECT_FALSE(busy.end.has_value());
  busy.on_the_way = false;
  watchers.OnTaken(busy_watch, true);
  ASSERT_TRUE(busy.end.has_value());
  EXPECT_EQ(ErrorCodeOf(*busy.end), ErrorCode::kShuttingDown);
  EXPECT_EQ(watchers.size(), 0u);
  EXPECT_EQ(deadlines.Next(), absl::InfiniteFuture());
}

TEST_F(WatchersTest, EndTheWatchOfAPeerThatIsGone) {
  FakeSink& sink = NewSink();
  const auto watch = Begin(sink);
  Happen(5);
  sink.on_the_way = false;
  watchers.OnTaken(watch, false);
  EXPECT_TRUE(sink.end.has_value());
  EXPECT_EQ(watchers.size(), 0u);
  Happen(5);
  EXPECT_EQ(sink.responses.size(), 1u);
}

TEST_F(WatchersTest, EndAWatchThatEverybodyForgot) {
  FakeSink sink;
  std::make_shared<Watch>(sink).reset();
  ASSERT_TRUE(sink.end.has_value());
  EXPECT_EQ(ErrorCodeOf(*sink.end), ErrorCode::kShuttingDown);
}

}  // namespace
}  // namespace hlbuf
