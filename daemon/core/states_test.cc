// SPDX-License-Identifier: Apache-2.0
// Every state with every event. What is expected is written down per state, in another form than
// the tables; whatever is not written down is expected to be refused.
#include "daemon/core/states.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <utility>

namespace hlbuf {
namespace {

template <class State, class Event>
using Expected = std::map<State, std::map<Event, State>>;

// Compares Next() with `expected` on all pairs of the first `states` and `events` values.
template <class State, class Event>
void ExpectMachine(const Expected<State, Event>& expected, int states, int events) {
  for (int s = 0; s < states; ++s) {
    for (int e = 0; e < events; ++e) {
      const auto from = static_cast<State>(s);
      const auto on = static_cast<Event>(e);
      SCOPED_TRACE(testing::Message() << StateText(from) << " on event " << e);
      std::optional<State> to;
      if (const auto row = expected.find(from); row != expected.end())
        if (const auto cell = row->second.find(on); cell != row->second.end()) to = cell->second;
      EXPECT_EQ(Next(from, on), to);
    }
  }
}

// A second row for a pair would never be found.
template <class Table>
void ExpectOneRowForEachPair(const Table& table) {
  std::set<std::pair<int, int>> pairs;
  for (const auto& row : table)
    EXPECT_TRUE(pairs.emplace(static_cast<int>(row.from), static_cast<int>(row.on)).second)
        << StateText(row.from) << " on event " << static_cast<int>(row.on);
}

TEST(BufferStates, FollowTheLifeOfABuffer) {
  using enum BufferState;
  using enum BufferEvent;
  const Expected<BufferState, BufferEvent> expected = {
      {kAllocating, {{kExported, kLive}, {kExportedLate, kDraining}, {kExportFailed, kFreed}}},
      {kLive, {{kRevoke, kRevoking}, {kLastLeaseEnded, kDraining}}},
      {kRevoking, {{kLastLeaseEnded, kDraining}, {kDeadline, kDraining}}},
      {kDraining, {{kLetGo, kFreed}}},
  };
  ExpectMachine(expected, 5, 7);
  ExpectOneRowForEachPair(kBufferTransitions);
}

TEST(LeaseStates, EndByReleaseOrWithTheSessionAtAnyTime) {
  using enum LeaseState;
  using enum LeaseEvent;
  const Expected<LeaseState, LeaseEvent> expected = {
      {kActive,
       {{kRelease, kEnded}, {kSessionEnded, kEnded}, {kGivenUp, kEnded}, {kRevoke, kRevoking}}},
      {kRevoking,
       {{kRelease, kEnded}, {kSessionEnded, kEnded}, {kGivenUp, kEnded}, {kDeadline, kOverdue}}},
      {kOverdue, {{kRelease, kEnded}, {kSessionEnded, kEnded}, {kGivenUp, kEnded}}},
  };
  ExpectMachine(expected, 4, 5);
  ExpectOneRowForEachPair(kLeaseTransitions);
}

TEST(SessionStates, ParkBeforeTheyEnd) {
  using enum SessionState;
  using enum SessionEvent;
  const Expected<SessionState, SessionEvent> expected = {
      {kNew,
       {{kHello, kReady},
        {kViolation, kParked},
        {kGoodbye, kParked},
        {kPeerGone, kParked},
        {kReattached, kEnded}}},
      {kAway, {{kReattached, kReady}, {kNotBack, kParked}}},
      {kReady, {{kViolation, kParked}, {kGoodbye, kParked}, {kPeerGone, kParked}}},
      {kParked, {{kQueueEmpty, kEnded}}},
  };
  ExpectMachine(expected, 5, 7);
  ExpectOneRowForEachPair(kSessionTransitions);
}

TEST(DeviceStates, GoRoundFromResetToReset) {
  using enum DeviceState;
  using enum DeviceEvent;
  const Expected<DeviceState, DeviceEvent> expected = {
      {kAbsent, {{kOpen, kOpening}}},
      {kOpening,
       {{kOpened, kReady},
        {kOpenedDrained, kDrained},
        {kOpenFailed, kFailed},
        {kReset, kRevoking}}},
      {kReady, {{kReset, kRevoking}, {kDrain, kDrained}}},
      {kDrained, {{kReset, kRevoking}, {kUndrain, kReady}}},
      {kRevoking, {{kAllLetGo, kClosing}}},
      {kClosing, {{kClosed, kResetting}}},
      {kResetting, {{kResetDone, kOpening}, {kResetFailed, kFailed}}},
      {kFailed, {{kOpen, kOpening}, {kReset, kClosing}}},
  };
  ExpectMachine(expected, 8, 11);
  ExpectOneRowForEachPair(kDeviceTransitions);
}

TEST(States, HaveNamesThatDiffer) {
  std::set<absl::string_view> names;
  for (int s = 0; s < 8; ++s) names.insert(StateText(static_cast<DeviceState>(s)));
  EXPECT_EQ(names.size(), 8u);
  EXPECT_FALSE(names.contains("UNKNOWN"));
  EXPECT_EQ(StateText(static_cast<DeviceState>(8)), "UNKNOWN");
  EXPECT_EQ(StateText(BufferState::kFreed), "FREED");
  EXPECT_EQ(StateText(static_cast<BufferState>(5)), "UNKNOWN");
  EXPECT_EQ(StateText(LeaseState::kOverdue), "OVERDUE");
  EXPECT_EQ(StateText(SessionState::kParked), "PARKED");
  EXPECT_EQ(StateText(SessionState::kAway), "AWAY");
}

TEST(CheckedDeathTest, EndsTheProcessOnAnEventThatTheTableDoesNotAllow) {
  EXPECT_DEATH(Checked(Next(LeaseState::kEnded, LeaseEvent::kRelease)), "state machine");
}

}  // namespace
}  // namespace hlbuf
