// SPDX-License-Identifier: Apache-2.0
// WatchEvents over real sockets.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/control_calls.h"
#include "tests/support/control_rig.h"

namespace hlbuf {
namespace {

namespace v1 = hlbuf::v1;
using Stub = ControlRig::Stub;

// A watcher with a connection of its own.
class Watcher {
 public:
  Watcher(ControlRig& rig, const Peer& peer, const v1::WatchEventsRequest& request = {})
      : stub_(rig.Ask(peer)) {
    context_.set_deadline(CallDeadline() + std::chrono::seconds(60));
    reader_ = stub_->WatchEvents(&context_, request);
  }
  ~Watcher() {
    context_.TryCancel();
    while (Read()) {
    }
    if (!finished_) reader_->Finish();
  }

  bool Read() { return reader_->Read(&last_); }
  const v1::WatchEventsResponse& last() const { return last_; }
  // Reads until a response has an event with this text.
  bool ReadUntil(absl::string_view text) {
    while (Read()) {
      if (last_.has_gap()) gaps.push_back(last_.gap());
      seen.insert(seen.end(), last_.events().begin(), last_.events().end());
      if (std::any_of(last_.events().begin(), last_.events().end(),
                      [text](const v1::Event& event) { return event.text() == text; }))
        return true;
    }
    return false;
  }
  void Cancel() { context_.TryCancel(); }
  grpc::Status Finish() {
    finished_ = true;
    return reader_->Finish();
  }

  std::vector<v1::Event> seen;
  std::vector<v1::Gap> gaps;

 private:
  std::unique_ptr<Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReader<v1::WatchEventsResponse>> reader_;
  v1::WatchEventsResponse last_;
  bool finished_ = false;
};

TEST(WatchEvents, EndsAtOnceForADeviceThatThereIsNot) {
  ControlRig rig;
  v1::WatchEventsRequest request;
  request.set_device("nosuch");
  Watcher watcher(rig, ControlRig::User(1000), request);
  EXPECT_FALSE(watcher.Read());
  EXPECT_EQ(watcher.Finish().error_code(), grpc::StatusCode::NOT_FOUND);
}

void Happen(ControlRig& rig, int times, std::size_t text_bytes) {
  rig.OnLoop([&] {
    for (int i = 0; i < times; ++i)
      rig.broker().Tell({.kind = EventKind::kSessionBegan, .text = std::string(text_bytes, 'x')});
  });
}

void Tell(ControlRig& rig, std::string text) {
  rig.Tell({.kind = EventKind::kSessionBegan, .text = std::move(text)});
}

TEST(WatchEvents, TellsWhatHappens) {
  ControlRig rig;
  Watcher watcher(rig, ControlRig::Viewer());
  ASSERT_TRUE(watcher.Read());
  EXPECT_EQ(watcher.last().events_size(), 0);
  const BufferId buffer = rig.Allocate(rig.AddSession(ControlRig::User(1000)), "weights");
  ASSERT_TRUE(watcher.ReadUntil("weights"));
  EXPECT_EQ(watcher.seen.front().kind(), v1::EVENT_KIND_SESSION_BEGAN);
  EXPECT_EQ(watcher.seen.back().kind(), v1::EVENT_KIND_BUFFER_ALLOCATED);
  EXPECT_EQ(watcher.seen.back().buffer_id(), IdText(buffer));
  EXPECT_EQ(watcher.seen.back().domain().uid(), 1000u);
}

TEST(WatchEvents, ResumesWhereItsLastResponseEnded) {
  ControlRig rig;
  v1::WatchEventsRequest request;
  {
    Watcher first(rig, ControlRig::Viewer());
    ASSERT_TRUE(first.Read());
    Tell(rig, "one");
    ASSERT_TRUE(first.ReadUntil("one"));
    request.set_life(first.last().life());
    request.set_next(first.last().next());
  }
  Tell(rig, "two");
  Watcher second(rig, ControlRig::Viewer(), request);
  Tell(rig, "three");
  ASSERT_TRUE(second.ReadUntil("three"));
  ASSERT_EQ(second.seen.size(), 2u);
  EXPECT_EQ(second.seen[0].text(), "two");
  EXPECT_EQ(second.seen[0].sequence(), request.next());
}

TEST(WatchEvents, RefusesAPositionThatCannotBe) {
  ControlRig rig;
  v1::WatchEventsRequest request;
  request.set_next(7);
  Watcher watcher(rig, ControlRig::Viewer(), request);
  EXPECT_FALSE(watcher.Read());
  EXPECT_EQ(ReasonOf(watcher.Finish()), "INVALID_ARGUMENT");
}

TEST(WatchEvents, MakesLeaseEventsOnlyWhileSomebodyAsks) {
  ControlRig rig;
  SessionRecord* session = rig.AddSession(ControlRig::User(1000));
  const BufferId buffer = rig.Allocate(session);
  {
    v1::WatchEventsRequest request;
    request.add_kinds(v1::EVENT_KIND_LEASE_ENDED);
    Watcher watcher(rig, ControlRig::Viewer(), request);
    ASSERT_TRUE(watcher.Read());
    rig.OnLoop([&] { EXPECT_TRUE(rig.log().wants_leases()); });
    rig.Open(session, buffer);
    rig.ReleaseAll(session);
    ASSERT_TRUE(watcher.ReadUntil("released"));
    EXPECT_EQ(watcher.seen.front().kind(), v1::EVENT_KIND_LEASE_ENDED);
  }
  EXPECT_TRUE(rig.Until([&] { return !rig.log().wants_leases(); }));
}

TEST(WatchEvents, TellsALaggardItsGapAndGoesOn) {
  ControlRigOptions options;
  options.events_kept = 200;
  ControlRig rig(options);
  Watcher watcher(rig, ControlRig::Viewer());
  ASSERT_TRUE(watcher.Read());
  const std::uint64_t first = watcher.last().next();
  Happen(rig, 5000, 400);  // far more than the connection and the log can hold
  Tell(rig, "last");
  ASSERT_TRUE(watcher.ReadUntil("last"));
  EXPECT_FALSE(watcher.gaps.empty());
  std::uint64_t told = watcher.seen.size();
  for (const v1::Gap& gap : watcher.gaps) told += gap.to() - gap.from() + 1;
  EXPECT_EQ(told, watcher.seen.back().sequence() - first + 1) << "each number once";
  Tell(rig, "after");
  EXPECT_TRUE(watcher.ReadUntil("after"));
}

// Sanitizers keep what was freed, and are slow.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

std::size_t ResidentBytes() {
  std::size_t total = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> total >> resident;
  return resident * 4096;
}

TEST(WatchEvents, CostsTheSameForEveryWatcherThatDoesNotRead) {
  ControlRigOptions options;
  options.events_kept = 2000;
  options.settings.connections = {.uid = 100, .all = 100};
  ControlRig rig(options);
  std::vector<std::unique_ptr<Watcher>> stalled;
  for (int i = 0; i < 50; ++i)
    stalled.push_back(std::make_unique<Watcher>(rig, ControlRig::Viewer()));
  Watcher reader(rig, ControlRig::Viewer());
  ASSERT_TRUE(reader.Read());
  for (int round = 0; round < 3; ++round) Happen(rig, 2000, 400);
  Tell(rig, "warm");
  ASSERT_TRUE(reader.ReadUntil("warm"));
  const std::size_t before = ResidentBytes();
  for (int round = 0; round < (kSanitized ? 2 : 20); ++round) {
    Happen(rig, 2000, 400);
    Tell(rig, absl::StrCat("round ", round));
    ASSERT_TRUE(reader.ReadUntil(absl::StrCat("round ", round))) << "held up by the stalled ones";
    reader.seen.clear();
  }
  // Queues without a bound would hold 50 times 16 MB by now.
  if (!kSanitized) {
    EXPECT_LT(ResidentBytes(), before + (64u << 20));
  }
  Tell(rig, "end");
  EXPECT_TRUE(stalled.front()->ReadUntil("end"));
  EXPECT_FALSE(stalled.front()->gaps.empty());
}

TEST(WatchEvents, EndsWhenItsCallerLeaves) {
  ControlRig rig;
  {
    Watcher watcher(rig, ControlRig::Viewer());
    ASSERT_TRUE(watcher.Read());
    watcher.Cancel();
    EXPECT_FALSE(watcher.Read());
    EXPECT_EQ(watcher.Finish().error_code(), grpc::StatusCode::CANCELLED);
  }
  EXPECT_TRUE(rig.Until([&] { return rig.server().watcher_count() == 0; }));
}

}  // namespace
}  // namespace hlbuf
