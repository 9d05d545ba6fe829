// SPDX-License-Identifier: Apache-2.0
#include "daemon/observe/event_log.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace hlbuf {
namespace {

using Numbers = std::vector<std::uint64_t>;

constexpr bool kWithLeases = true;
constexpr bool kWithoutLeases = false;
constexpr std::size_t kAll = 1'000'000;

class RecordingSink final : public EventSink {
 public:
  void OnEvent(const NumberedEvent& event) override { told.push_back(event.sequence); }
  Numbers told;
};

Numbers NumbersOf(const EventLog::Batch& batch) {
  Numbers numbers;
  for (const NumberedEvent& event : batch.events) numbers.push_back(event.sequence);
  return numbers;
}

void Allocate(EventLog& log, int times = 1) {
  for (int i = 0; i < times; ++i) log.OnEvent({.kind = EventKind::kBufferAllocated});
}
void Grant(EventLog& log, int times = 1) {
  for (int i = 0; i < times; ++i) log.OnEvent({.kind = EventKind::kLeaseGranted});
}

bool IsIn(const std::optional<EventLog::Gap>& gap, std::uint64_t number) {
  return gap.has_value() && gap->from <= number && number <= gap->to;
}

TEST(EventLog, NumbersEventsFromOne) {
  EventLog log(7, 4);
  EXPECT_EQ(log.life(), 7u);
  EXPECT_EQ(log.next(), 1u);
  log.OnEvent({.kind = EventKind::kDeviceState, .device = "software0"});
  Allocate(log);
  const EventLog::Batch batch = log.Read(1, kAll, kWithoutLeases);
  EXPECT_EQ(batch.gap, std::nullopt);
  EXPECT_EQ(NumbersOf(batch), (Numbers{1, 2}));
  EXPECT_EQ(batch.events[0].event.device, "software0");
  EXPECT_EQ(batch.next, 3u);
}

TEST(EventLog, TellsSubscribersUntilTheyLeave) {
  EventLog log(1, 4);
  RecordingSink stays, leaves;
  const EventLog::Subscription kept = log.Subscribe(stays, kWithoutLeases);
  {
    const EventLog::Subscription dropped = log.Subscribe(leaves, kWithoutLeases);
    Allocate(log);
  }
  Allocate(log);
  EXPECT_EQ(stays.told, (Numbers{1, 2}));
  EXPECT_EQ(leaves.told, (Numbers{1}));
}

TEST(EventLog, KeepsASubscriptionThatMoves) {
  EventLog log(1, 4);
  RecordingSink first, second;
  EventLog::Subscription subscription = log.Subscribe(first, kWithoutLeases);
  EventLog::Subscription moved = std::move(subscription);
  Allocate(log);
  moved = log.Subscribe(second, kWithoutLeases);
  Allocate(log);
  EXPECT_EQ(first.told, (Numbers{1}));
  EXPECT_EQ(second.told, (Numbers{2}));
}

TEST(EventLog, ResumesWhereAWatcherWas) {
  EventLog log(1, 10);
  Allocate(log, 8);
  EXPECT_EQ(NumbersOf(log.Read(6, kAll, kWithoutLeases)), (Numbers{6, 7, 8}));
}

TEST(EventLog, SaysWhichNumbersAreLost) {
  EventLog log(1, 4);
  Allocate(log, 10);
  const EventLog::Batch batch = log.Read(3, kAll, kWithoutLeases);
  EXPECT_EQ(batch.gap, (EventLog::Gap{.from = 3, .to = 6}));
  EXPECT_EQ(NumbersOf(batch), (Numbers{7, 8, 9, 10}));
}

TEST(EventLog, HasNoGapRightBehindWhatIsLost) {
  EventLog log(1, 4);
  Allocate(log, 10);
  EXPECT_EQ(log.Read(7, kAll, kWithoutLeases).gap, std::nullopt);
  EXPECT_NE(log.Read(6, kAll, kWithoutLeases).gap, std::nullopt);
}

TEST(EventLog, IsReadInBatches) {
  EventLog log(1, 10);
  Allocate(log, 5);
  Numbers read;
  std::uint64_t next = 1;
  while (next != log.next()) {
    const EventLog::Batch batch = log.Read(next, 2, kWithoutLeases);
    for (const std::uint64_t number : NumbersOf(batch)) read.push_back(number);
    next = batch.next;
  }
  EXPECT_EQ(read, (Numbers{1, 2, 3, 4, 5}));
}

TEST(EventLog, ReadsNothingOfTheFuture) {
  EventLog log(1, 10);
  Allocate(log, 2);
  for (const std::uint64_t from : {std::uint64_t{3}, std::uint64_t{1000}, UINT64_MAX}) {
    const EventLog::Batch batch = log.Read(from, kAll, kWithoutLeases);
    EXPECT_EQ(batch.gap, std::nullopt);
    EXPECT_TRUE(batch.events.empty());
    EXPECT_EQ(batch.next, 3u);
  }
}

TEST(EventLog, TakesZeroForTheBeginning) {
  EventLog log(1, 10);
  Allocate(log, 2);
  EXPECT_EQ(NumbersOf(log.Read(0, kAll, kWithoutLeases)), (Numbers{1, 2}));
}

TEST(EventLog, WantsGrantsOnlyWhileSomebodySubscribesToThem) {
  EventLog log(1, 4);
  RecordingSink plain, curious;
  const EventLog::Subscription one = log.Subscribe(plain, kWithoutLeases);
  EXPECT_FALSE(log.wants_leases());
  {
    const EventLog::Subscription two = log.Subscribe(curious, kWithLeases);
    EXPECT_TRUE(log.wants_leases());
    Grant(log);
    Allocate(log);
  }
  EXPECT_FALSE(log.wants_leases());
  EXPECT_EQ(plain.told, (Numbers{2}));
  EXPECT_EQ(curious.told, (Numbers{1, 2}));
}

TEST(EventLog, MergesGrantsIntoTheirPlace) {
  EventLog log(1, 10);
  RecordingSink sink;
  const EventLog::Subscription subscription = log.Subscribe(sink, kWithLeases);
  Allocate(log);
  Grant(log, 2);
  Allocate(log);
  Grant(log);
  EXPECT_EQ(NumbersOf(log.Read(1, kAll, kWithLeases)), (Numbers{1, 2, 3, 4, 5}));
  EXPECT_EQ(NumbersOf(log.Read(1, 3, kWithLeases)), (Numbers{1, 2, 3}));
  const EventLog::Batch without = log.Read(1, kAll, kWithoutLeases);
  EXPECT_EQ(NumbersOf(without), (Numbers{1, 4}));
  EXPECT_EQ(without.next, 6u);
}

TEST(EventLog, DoesNotLoseWhatMattersToManyGrants) {
  EventLog log(1, 10);
  RecordingSink sink;
  const EventLog::Subscription subscription = log.Subscribe(sink, kWithLeases);
  Allocate(log);
  Grant(log, 1000);
  EXPECT_EQ(NumbersOf(log.Read(1, kAll, kWithoutLeases)), (Numbers{1}));
  const EventLog::Batch with = log.Read(1, kAll, kWithLeases);
  EXPECT_EQ(with.gap, (EventLog::Gap{.from = 1, .to = 991}));
  EXPECT_EQ(with.events.size(), 11u);  // the newest ten grants, and what is older and not lost
}

TEST(EventLog, CountsGrantsFromBeforeAnybodyAskedAsLost) {
  EventLog log(1, 10);
  Allocate(log, 3);
  EXPECT_EQ(log.Read(2, kAll, kWithLeases).gap, (EventLog::Gap{.from = 2, .to = 3}));
  RecordingSink sink;
  const EventLog::Subscription subscription = log.Subscribe(sink, kWithLeases);
  Grant(log);
  const EventLog::Batch batch = log.Read(2, kAll, kWithLeases);
  EXPECT_EQ(batch.gap, (EventLog::Gap{.from = 2, .to = 3}));
  EXPECT_EQ(NumbersOf(batch), (Numbers{2, 3, 4}));
}

TEST(EventLog, ReadsWhatIsLeftWhereGrantsAreLost) {
  EventLog log(1, 4);
  {
    RecordingSink sink;
    const EventLog::Subscription subscription = log.Subscribe(sink, kWithLeases);
    Allocate(log);
    Grant(log, 2);
    Allocate(log);
  }
  const EventLog::Batch first = log.Read(1, 1, kWithLeases);
  EXPECT_EQ(first.gap, (EventLog::Gap{.from = 1, .to = 4}));
  EXPECT_EQ(NumbersOf(first), (Numbers{1}));
  const EventLog::Batch second = log.Read(first.next, kAll, kWithLeases);
  EXPECT_EQ(second.gap, (EventLog::Gap{.from = 2, .to = 4}));
  EXPECT_EQ(NumbersOf(second), (Numbers{4}));
  EXPECT_EQ(second.next, 5u);
}

TEST(EventLog, TellsEachReaderOfEachNumberOnceOrInAGapWhateverTheHistory) {
  for (const std::size_t capacity : {1, 2, 3, 7}) {
    for (const std::size_t batch_max : {1, 2, 5}) {
      EventLog log(1, capacity);
      RecordingSink sink;
      const EventLog::Subscription subscription = log.Subscribe(sink, kWithLeases);
      std::uint64_t next = 1;
      for (int step = 0; step < 200; ++step) {
        if (step * 7 % 3 == 0) Allocate(log, step % 4);
        if (step * 5 % 4 == 0) Grant(log, step % 3);
        const EventLog::Batch batch = log.Read(next, batch_max, kWithLeases);
        for (const std::uint64_t number : NumbersOf(batch)) {
          for (; next < number; ++next) EXPECT_TRUE(IsIn(batch.gap, next)) << next;
          EXPECT_EQ(next++, number);
        }
        for (; next < batch.next; ++next) EXPECT_TRUE(IsIn(batch.gap, next)) << next;
        EXPECT_EQ(next, batch.next);
      }
    }
  }
}

}  // namespace
}  // namespace hlbuf
