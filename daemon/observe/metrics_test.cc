// SPDX-License-Identifier: Apache-2.0
#include "daemon/observe/metrics.h"

#include <gtest/gtest.h>

#include <map>
#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "daemon/observe/open_metrics.h"
#include "tests/support/fake_backend.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_notices.h"

namespace hlbuf {
namespace {

TEST(OpenMetrics, SaysWhatEachMetricIs) {
  OpenMetrics out;
  out.Counter("hlbuf_things", "Things.");
  out.Sample({{"a", "x"}, {"b", "y"}}, 7);
  out.Gauge("hlbuf_size_bytes", "Size.");
  out.Sample({}, 9);
  EXPECT_EQ(std::move(out).Finish(),
            "# TYPE hlbuf_things counter\n"
            "# HELP hlbuf_things Things.\n"
            "hlbuf_things_total{a=\"x\",b=\"y\"} 7\n"
            "# TYPE hlbuf_size_bytes gauge\n"
            "# UNIT hlbuf_size_bytes bytes\n"
            "# HELP hlbuf_size_bytes Size.\n"
            "hlbuf_size_bytes 9\n"
            "# EOF\n");
}

TEST(OpenMetrics, EscapesLabels) {
  OpenMetrics out;
  out.Gauge("g", "G.");
  out.Sample({{"a", "1\"2\\3\n4"}}, 0);
  EXPECT_TRUE(absl::StrContains(std::move(out).Finish(), "g{a=\"1\\\"2\\\\3\\n4\"} 0\n"));
}

class MetricsTest : public testing::Test {
 protected:
  MetricsTest() { AddDevice("gaudi1"); }
  ~MetricsTest() override {
    for (FakeBackend* device : backends_) device->LetGo();
    if (session_ != nullptr) {
      broker_.Park(*session_, SessionEvent::kPeerGone, "the test ends");
      broker_.Forget(*session_);
    }
    Run();
  }
  FakeBackend& AddDevice(std::string name) {
    BackendTraits traits = FakeBackend::DefaultTraits();
    traits.total_bytes = 1 << 20;
    auto backend = std::make_unique<FakeBackend>(traits);
    backends_.push_back(backend.get());
    broker_.AddDevice(std::move(name), std::move(backend));
    Run();
    return *backends_.back();
  }
  void Run() {
    for (int i = 0; i < 4; ++i)
      for (FakeBackend* device : backends_) device->Run();
    clock_.Advance(absl::Seconds(2));
    broker_.RunDeadlines();
    for (FakeBackend* device : backends_) device->Run();
  }
  LeaseId Allocate() {
    if (session_ == nullptr) {
      session_ = *broker_.Connect({.uid = 1000, .pid = 4711}, notices_);
      EXPECT_TRUE(broker_.Greet(*session_, "test").ok());
    }
    LeaseId made;
    broker_.Allocate(*session_, {.size_bytes = 4096, .device = "gaudi1"},
                     [&](absl::StatusOr<LeaseId> lease) { made = *lease; });
    Run();
    return made;
  }
  std::string Text() const { return metrics_.Text(broker_); }
  bool Has(const std::string& line) const {
    return absl::StrContains(Text(), absl::StrCat("\n", line, "\n"));
  }

  static BrokerSettings Unlimited() {
    BrokerSettings settings;
    settings.limits.service.fill(kUnlimited);
    settings.limits.uid.fill(kUnlimited);
    settings.limits.domain.fill(kUnlimited);
    return settings;
  }
  FakeClock clock_;
  EventLog log_ = EventLog(1);
  Metrics metrics_ = Metrics(log_);
  FakeNotices notices_;
  Broker broker_ =
      Broker(Unlimited(), Policy({{.name = "all", .allow = true, .verbs = {Verb::kAllocate}}}, {}),
             clock_, log_);
  std::vector<FakeBackend*> backends_;
  SessionRecord* session_ = nullptr;
};

constexpr const char* kNothingHasHappened = R"(# TYPE hlbuf_events counter
# HELP hlbuf_events Events by kind; those of single grants are not counted.
hlbuf_events_total{kind="DEVICE_STATE"} 2
hlbuf_events_total{kind="BUFFER_ALLOCATED"} 0
hlbuf_events_total{kind="BUFFER_FREED"} 0
hlbuf_events_total{kind="REVOCATION_BEGAN"} 0
hlbuf_events_total{kind="BUFFER_VERDICT"} 0
hlbuf_events_total{kind="REVOCATION_ENDED"} 0
hlbuf_events_total{kind="SESSION_BEGAN"} 0
hlbuf_events_total{kind="SESSION_ENDED"} 0
hlbuf_events_total{kind="REQUEST_REFUSED"} 0
hlbuf_events_total{kind="PROTOCOL_BROKEN"} 0
hlbuf_events_total{kind="PING_UNANSWERED"} 0
hlbuf_events_total{kind="REFERENCES_OUTLIVE_LEASES"} 0
hlbuf_events_total{kind="OPERATOR_REQUEST"} 0
hlbuf_events_total{kind="HOLDERS_FOUND"} 0
hlbuf_events_total{kind="HOLDER_SIGNALLED"} 0
hlbuf_events_total{kind="OPENER_LOST"} 0
hlbuf_events_total{kind="STATE_LOST"} 0
hlbuf_events_total{kind="BUFFERS_LOST"} 0
hlbuf_events_total{kind="LEASES_LOST"} 0
hlbuf_events_total{kind="HANDLES_LOST"} 0
hlbuf_events_total{kind="JOURNAL_FAILED"} 0
hlbuf_events_total{kind="STATE_UNKEPT"} 0
hlbuf_events_total{kind="KEEPER_LOST"} 0
# TYPE hlbuf_lost counter
# HELP hlbuf_lost What was lost since the service was started: buffers, leases, descriptors, keepers, or all that was written down.
hlbuf_lost_total{kind="OPENER_LOST"} 0
hlbuf_lost_total{kind="STATE_LOST"} 0
hlbuf_lost_total{kind="BUFFERS_LOST"} 0
hlbuf_lost_total{kind="LEASES_LOST"} 0
hlbuf_lost_total{kind="HANDLES_LOST"} 0
hlbuf_lost_total{kind="KEEPER_LOST"} 0
# TYPE hlbuf_state_risks counter
# HELP hlbuf_state_risks How often what is held was found not to survive the end of the service.
hlbuf_state_risks_total{kind="JOURNAL_FAILED"} 0
hlbuf_state_risks_total{kind="STATE_UNKEPT"} 0
# TYPE hlbuf_verdicts counter
# HELP hlbuf_verdicts Verdicts on buffers that were asked back.
hlbuf_verdicts_total{verdict="PROVEN"} 0
hlbuf_verdicts_total{verdict="ACKNOWLEDGED"} 0
hlbuf_verdicts_total{verdict="HELD"} 0
# TYPE hlbuf_resets counter
# HELP hlbuf_resets Resets of the device that got as far as closing it, drills included.
hlbuf_resets_total{device="gaudi1"} 0
# TYPE hlbuf_device_failures counter
# HELP hlbuf_device_failures How often the device could not be opened or reset.
hlbuf_device_failures_total{device="gaudi1"} 0
# TYPE hlbuf_openers_lost counter
# HELP hlbuf_openers_lost Deaths of the process that had opened the device, without a reset.
hlbuf_openers_lost_total{device="gaudi1"} 0
# TYPE hlbuf_buffers_outlived counter
# HELP hlbuf_buffers_outlived Buffers whose references outlived every lease by more than a second.
hlbuf_buffers_outlived_total{device="gaudi1"} 0
# TYPE hlbuf_device_state gauge
# HELP hlbuf_device_state 1 for the state that the device is in, 0 for the others.
hlbuf_device_state{device="gaudi1",state="ABSENT"} 0
hlbuf_device_state{device="gaudi1",state="OPENING"} 0
hlbuf_device_state{device="gaudi1",state="READY"} 1
hlbuf_device_state{device="gaudi1",state="DRAINED"} 0
hlbuf_device_state{device="gaudi1",state="REVOKING"} 0
hlbuf_device_state{device="gaudi1",state="CLOSING"} 0
hlbuf_device_state{device="gaudi1",state="RESETTING"} 0
hlbuf_device_state{device="gaudi1",state="FAILED"} 0
# TYPE hlbuf_device_epoch gauge
# HELP hlbuf_device_epoch Counts the lives of the device; every reset begins a new one.
hlbuf_device_epoch{device="gaudi1"} 1
# TYPE hlbuf_device_warning gauge
# HELP hlbuf_device_warning 1 while the device works with something that operators should know.
hlbuf_device_warning{device="gaudi1"} 0
# TYPE hlbuf_device_total_bytes gauge
# UNIT hlbuf_device_total_bytes bytes
# HELP hlbuf_device_total_bytes Memory of the device; 0 where it has no bound of its own.
hlbuf_device_total_bytes{device="gaudi1"} 1048576
# TYPE hlbuf_device_used_bytes gauge
# UNIT hlbuf_device_used_bytes bytes
# HELP hlbuf_device_used_bytes Memory of buffers in every state.
hlbuf_device_used_bytes{device="gaudi1"} 0
# TYPE hlbuf_device_draining_bytes gauge
# UNIT hlbuf_device_draining_bytes bytes
# HELP hlbuf_device_draining_bytes Part of the used memory: of buffers that wait until everybody has let go.
hlbuf_device_draining_bytes{device="gaudi1"} 0
# TYPE hlbuf_device_reserved_bytes gauge
# UNIT hlbuf_device_reserved_bytes bytes
# HELP hlbuf_device_reserved_bytes Free memory that only some domain may get, or none, since bytes of others are still there.
hlbuf_device_reserved_bytes{device="gaudi1"} 0
# TYPE hlbuf_buffers gauge
# HELP hlbuf_buffers Buffers in every state.
hlbuf_buffers 0
# TYPE hlbuf_leases gauge
# HELP hlbuf_leases Leases in every state.
hlbuf_leases 0
# TYPE hlbuf_sessions gauge
# HELP hlbuf_sessions Sessions in every state.
hlbuf_sessions 0
# TYPE hlbuf_in_flight_fds gauge
# HELP hlbuf_in_flight_fds Descriptors sent that their receivers have not taken yet.
hlbuf_in_flight_fds 0
# EOF
)";

TEST_F(MetricsTest, AreThisTextWhenNothingHasHappenedYet) {
  EXPECT_EQ(Text(), kNothingHasHappened);
}

TEST_F(MetricsTest, ShowWhatThereIs) {
  const LeaseId first = Allocate();
  const BufferRecord* const buffer = broker_.ledger().FindLease(first)->buffer;
  Allocate();
  backends_[0]->reserved = 12288;
  ASSERT_TRUE(broker_.TakeInFlight(*session_, 3).ok());
  EXPECT_TRUE(Has("hlbuf_buffers 2"));
  EXPECT_TRUE(Has("hlbuf_leases 2"));
  EXPECT_TRUE(Has("hlbuf_sessions 1"));
  EXPECT_TRUE(Has("hlbuf_in_flight_fds 3"));
  EXPECT_TRUE(Has("hlbuf_device_used_bytes{device=\"gaudi1\"} 8192"));
  EXPECT_TRUE(Has("hlbuf_device_reserved_bytes{device=\"gaudi1\"} 12288"));
  EXPECT_TRUE(Has("hlbuf_device_draining_bytes{device=\"gaudi1\"} 0"));
  backends_[0]->set_others(buffer->allocation.inode, 1);
  broker_.Release(*session_, {first});
  Run();
  EXPECT_TRUE(Has("hlbuf_device_draining_bytes{device=\"gaudi1\"} 4096"));
  EXPECT_TRUE(Has("hlbuf_leases 1"));
  for (int i = 0; i < 3; ++i) Run();
  EXPECT_TRUE(Has("hlbuf_buffers_outlived_total{device=\"gaudi1\"} 1"));
  broker_.GiveBackInFlight(*session_);
}

TEST_F(MetricsTest, CountResetsVerdictsAndFailures) {
  Allocate();
  backends_[0]->fail_reset = absl::UnavailableError("it stays away");
  ASSERT_TRUE(
      broker_.SimulateReset("gaudi1", Drill::kNone, absl::Seconds(1), [](const auto&) {}).ok());
  broker_.Release(*session_, {session_->leases.at(0)->id});
  Run();
  EXPECT_TRUE(Has("hlbuf_resets_total{device=\"gaudi1\"} 1"));
  EXPECT_TRUE(Has("hlbuf_device_failures_total{device=\"gaudi1\"} 1"));
  EXPECT_TRUE(Has("hlbuf_device_state{device=\"gaudi1\",state=\"FAILED\"} 1"));
  EXPECT_TRUE(Has("hlbuf_device_state{device=\"gaudi1\",state=\"READY\"} 0"));
  EXPECT_TRUE(Has("hlbuf_verdicts_total{verdict=\"PROVEN\"} 1"));
  EXPECT_TRUE(Has("hlbuf_events_total{kind=\"BUFFER_VERDICT\"} 1"));
}

TEST_F(MetricsTest, CountOpenersThatWereLost) {
  broker_.Tell({.kind = EventKind::kOpenerLost, .device = "gaudi1"});
  broker_.Tell({.kind = EventKind::kOpenerLost, .device = "gaudi1"});
  EXPECT_TRUE(Has("hlbuf_openers_lost_total{device=\"gaudi1\"} 2"));
  EXPECT_TRUE(Has("hlbuf_events_total{kind=\"OPENER_LOST\"} 2"));
}

TEST_F(MetricsTest, CountWhatWasLostAndWhatWouldBe) {
  broker_.Tell({.kind = EventKind::kBuffersLost, .device = "gaudi1", .count = 3});
  broker_.Tell({.kind = EventKind::kBuffersLost, .count = 4});
  broker_.Tell({.kind = EventKind::kStateLost});
  broker_.Tell({.kind = EventKind::kStateUnkept});
  EXPECT_TRUE(Has("hlbuf_lost_total{kind=\"BUFFERS_LOST\"} 7"));
  EXPECT_TRUE(Has("hlbuf_events_total{kind=\"BUFFERS_LOST\"} 2"));
  EXPECT_TRUE(Has("hlbuf_lost_total{kind=\"STATE_LOST\"} 1"));
  EXPECT_TRUE(Has("hlbuf_state_risks_total{kind=\"STATE_UNKEPT\"} 1"));
}

TEST_F(MetricsTest, ListDevicesByNameWhateverTheyAreCalled) {
  AddDevice("a\"b");
  const std::string text = Text();
  const std::size_t first = text.find("hlbuf_device_epoch{device=\"a\\\"b\"} 1\n");
  ASSERT_NE(first, std::string::npos) << text;
  EXPECT_LT(first, text.find("hlbuf_device_epoch{device=\"gaudi1\"} 1\n"));
}

// Samples of counters by their names and labels.
std::map<std::string, std::uint64_t> Counters(const std::string& text) {
  std::map<std::string, std::uint64_t> counters;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const std::size_t blank = line.rfind(' ');
    if (line[0] == '#' || !absl::StrContains(line, "_total{")) continue;
    EXPECT_TRUE(absl::SimpleAtoi(line.substr(blank + 1), &counters[line.substr(0, blank)])) << line;
  }
  return counters;
}

TEST_F(MetricsTest, OnlyEverCountUpwards) {
  auto before = Counters(Text());
  for (int round = 0; round < 5; ++round) {
    const LeaseId lease = Allocate();
    if (round % 2 == 0) {
      EXPECT_TRUE(
          broker_.SimulateReset("gaudi1", Drill::kNone, absl::Seconds(1), [](const auto&) {}).ok());
    }
    broker_.Release(*session_, {lease});
    for (int i = 0; i < 4; ++i) Run();
    const auto after = Counters(Text());
    ASSERT_EQ(after.size(), before.size());
    for (const auto& [name, value] : after) EXPECT_GE(value, before.at(name)) << name;
    before = after;
  }
  EXPECT_EQ(before.at("hlbuf_resets_total{device=\"gaudi1\"}"), 3u);
}

}  // namespace
}  // namespace hlbuf
