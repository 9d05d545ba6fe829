// SPDX-License-Identifier: Apache-2.0
// What operators ask for before maintenance and after a job, over the control API.
#include <gtest/gtest.h>

#include <future>
#include <string>
#include <vector>

#include "tests/support/control_calls.h"
#include "tests/support/control_rig.h"
#include "tests/support/texts.h"

namespace hlbuf {
namespace {

namespace v1 = hlbuf::v1;
using Stub = ControlRig::Stub;

v1::DrainDeviceRequest DrainOf(const std::string& device) {
  v1::DrainDeviceRequest request;
  request.set_device(device);
  return request;
}

v1::UndrainDeviceRequest UndrainOf(const std::string& device) {
  v1::UndrainDeviceRequest request;
  request.set_device(device);
  return request;
}

v1::PlanResetRequest PlanOf(const std::string& device) {
  v1::PlanResetRequest request;
  request.set_device(device);
  return request;
}

Peer InJob(uid_t uid, std::uint32_t job) {
  Peer peer = ControlRig::User(uid);
  peer.job = job;
  return peer;
}

bool UntilAskedBack(ControlRig& rig, SessionRecord* session) {
  return rig.Until([&] { return session->leases.at(0)->state != LeaseState::kActive; });
}

TEST(DrainDevice, AnswersAtOnceWithWhatIsHeld) {
  ControlRig rig;
  SessionRecord* session = rig.AddSession(ControlRig::User(1000));
  const BufferId buffer = rig.Allocate(session, "weights");
  const auto stub = rig.Ask(ControlRig::Operator());
  const auto drained = Call(*stub, &Stub::DrainDevice, DrainOf("software0"));
  EXPECT_EQ(drained.device().state(), v1::DEVICE_STATE_DRAINED);
  EXPECT_EQ(drained.device().drained_by(), "uid 2002, pid 4000");
  EXPECT_TRUE(drained.device().has_drained_time());
  EXPECT_EQ(drained.held_count(), 1u);
  ASSERT_EQ(drained.held_size(), 1);
  EXPECT_EQ(drained.held(0).buffer().id(), IdText(buffer));
  ASSERT_EQ(drained.held(0).holders_size(), 1);
  EXPECT_EQ(drained.held(0).holders(0).pid(), 4000);
  rig.OnLoop([&] { EXPECT_EQ(session->leases.at(0)->state, LeaseState::kActive); });
  const auto undrained = Call(*stub, &Stub::UndrainDevice, UndrainOf("software0"));
  EXPECT_EQ(undrained.state(), v1::DEVICE_STATE_READY);
  EXPECT_EQ(undrained.drained_by(), "");
}

TEST(DrainDevice, WaitsUntilNothingIsHeld) {
  ControlRig rig;
  SessionRecord* session = rig.AddSession(ControlRig::User(1000));
  rig.Allocate(session);
  const auto stub = rig.Ask(ControlRig::Operator());
  v1::DrainDeviceRequest request = DrainOf("software0");
  request.mutable_grace()->set_seconds(600);
  request.mutable_wait()->set_seconds(600);
  auto answer =
      std::async(std::launch::async, [&] { return Call(*stub, &Stub::DrainDevice, request); });
  EXPECT_TRUE(UntilAskedBack(rig, session));
  rig.ReleaseAll(session);
  const v1::DrainDeviceResponse drained = answer.get();
  EXPECT_EQ(drained.held_count(), 0u);
  EXPECT_EQ(drained.device().used_bytes(), 0u);
  EXPECT_EQ(drained.device().state(), v1::DEVICE_STATE_DRAINED);
}

TEST(DrainDevice, SaysWhoHoldsWhatWhenItHasWaitedInVain) {
  ControlRig rig;
  rig.Allocate(rig.AddSession(ControlRig::User(1000)));
  v1::DrainDeviceRequest request = DrainOf("software0");
  request.mutable_wait()->set_nanos(1'000'000);
  const auto drained = Call(*rig.Ask(ControlRig::Operator()), &Stub::DrainDevice, request);
  EXPECT_EQ(drained.held_count(), 1u);
}

TEST(DrainDevice, SaysThatSomebodyUndrainedTheDevice) {
  ControlRig rig;
  rig.Allocate(rig.AddSession(ControlRig::User(1000)));
  const auto stub = rig.Ask(ControlRig::Operator());
  v1::DrainDeviceRequest request = DrainOf("software0");
  request.mutable_wait()->set_seconds(600);
  auto answer =
      std::async(std::launch::async, [&] { return Refusal(*stub, &Stub::DrainDevice, request); });
  EXPECT_TRUE(
      rig.Until([&] { return rig.broker().devices().front()->state() == DeviceState::kDrained; }));
  Call(*stub, &Stub::UndrainDevice, UndrainOf("software0"));
  EXPECT_EQ(answer.get(), "DEVICE_UNAVAILABLE");
}

TEST(DrainDevice, NeedsAnOperatorAndADevice) {
  ControlRig rig;
  const auto viewer = rig.Ask(ControlRig::Viewer());
  EXPECT_EQ(Refusal(*viewer, &Stub::DrainDevice, DrainOf("software0")), "PERMISSION_DENIED");
  EXPECT_EQ(Refusal(*viewer, &Stub::UndrainDevice, UndrainOf("software0")), "PERMISSION_DENIED");
  const auto stub = rig.Ask(ControlRig::Operator());
  EXPECT_EQ(Refusal(*stub, &Stub::DrainDevice, DrainOf("software9")), "NOT_FOUND");
  EXPECT_EQ(Refusal(*stub, &Stub::UndrainDevice, UndrainOf("software9")), "NOT_FOUND");
  v1::DrainDeviceRequest forever = DrainOf("software0");
  forever.mutable_wait()->set_seconds(3601);
  EXPECT_EQ(Refusal(*stub, &Stub::DrainDevice, forever), "INVALID_ARGUMENT");
  rig.OnLoop([&] { EXPECT_EQ(rig.broker().devices().front()->state(), DeviceState::kReady); });
}

TEST(DrainDevice, StaysSoOverADrill) {
  ControlRig rig;
  const auto stub = rig.Ask(ControlRig::Operator());
  Call(*stub, &Stub::DrainDevice, DrainOf("software0"));
  v1::SimulateResetRequest reset;
  reset.set_device("software0");
  const auto answer = Call(*stub, &Stub::SimulateReset, reset);
  EXPECT_EQ(answer.outcome().code(), 0);
  EXPECT_EQ(answer.device().state(), v1::DEVICE_STATE_DRAINED);
}

TEST(RevokeHoldings, EndsWhatAJobAllocated) {
  ControlRig rig;
  SessionRecord* of_job = rig.AddSession(InJob(1000, 7));
  SessionRecord* of_none = rig.AddSession(ControlRig::User(1000));
  rig.Allocate(of_job, "gone");
  rig.Allocate(of_none);
  v1::RevokeHoldingsRequest request;
  request.set_job(7);
  request.mutable_grace()->set_nanos(1'000'000);
  const auto answer = Call(*rig.Ask(ControlRig::Operator()), &Stub::RevokeHoldings, request);
  ASSERT_EQ(answer.revocation().verdicts_size(), 1);
  EXPECT_EQ(answer.revocation().verdicts(0).buffer_name(), "gone");
  EXPECT_EQ(answer.revocation().held_count(), 1u);
  rig.OnLoop([&] { EXPECT_EQ(of_none->leases.at(0)->state, LeaseState::kActive); });
}

TEST(RevokeHoldings, LeavesOthersTheirBuffers) {
  ControlRig rig;
  SessionRecord* owner = rig.AddSession(ControlRig::User(1001));
  SessionRecord* holder = rig.AddSession(ControlRig::User(1000));
  const BufferId buffer = rig.Allocate(owner);
  rig.Share(owner, buffer, 1000);
  rig.Open(holder, buffer);
  v1::RevokeHoldingsRequest request;
  request.set_uid(1000);
  const auto stub = rig.Ask(ControlRig::Operator());
  auto answer =
      std::async(std::launch::async, [&] { return Call(*stub, &Stub::RevokeHoldings, request); });
  EXPECT_TRUE(UntilAskedBack(rig, holder));
  rig.ReleaseAll(holder);
  EXPECT_EQ(answer.get().revocation().acknowledged_count(), 1u);
  rig.OnLoop([&] { EXPECT_EQ(owner->leases.at(0)->state, LeaseState::kActive); });
}

TEST(RevokeHoldings, AnswersAtOnceWhenAskedTo) {
  ControlRig rig;
  SessionRecord* session = rig.AddSession(ControlRig::User(1000));
  rig.Allocate(session);
  v1::RevokeHoldingsRequest request;
  request.set_uid(1000);
  request.set_no_wait(true);
  const auto answer = Call(*rig.Ask(ControlRig::Operator()), &Stub::RevokeHoldings, request);
  EXPECT_NE(answer.revocation().id(), "");
  EXPECT_FALSE(answer.revocation().has_end_time());
  EXPECT_TRUE(UntilAskedBack(rig, session));
}

TEST(RevokeHoldings, SaysAtOnceThatItIsOverWhenThereIsNothing) {
  ControlRig rig;
  v1::RevokeHoldingsRequest request;
  request.set_uid(1000);
  request.set_no_wait(true);
  const auto answer = Call(*rig.Ask(ControlRig::Operator()), &Stub::RevokeHoldings, request);
  EXPECT_TRUE(answer.revocation().has_end_time());
  EXPECT_EQ(answer.revocation().leases_told(), 0u);
}

TEST(RevokeHoldings, NeedsToBeToldWhose) {
  ControlRig rig;
  const auto stub = rig.Ask(ControlRig::Operator());
  v1::RevokeHoldingsRequest request;
  EXPECT_EQ(Refusal(*stub, &Stub::RevokeHoldings, request), "INVALID_ARGUMENT");
  request.set_job(0);
  EXPECT_EQ(Refusal(*stub, &Stub::RevokeHoldings, request), "INVALID_ARGUMENT")
      << "everybody outside of jobs has that number";
  request.set_uid(1000);
  EXPECT_EQ(Refusal(*rig.Ask(ControlRig::Viewer()), &Stub::RevokeHoldings, request),
            "PERMISSION_DENIED");
}

TEST(PlanReset, TellsWhoWouldBeAsked) {
  ControlRig rig;
  SessionRecord* session = rig.AddSession(ControlRig::User(1000));
  rig.Allocate(session);
  const auto stub = rig.Ask(ControlRig::Viewer());
  const auto plan = Call(*stub, &Stub::PlanReset, PlanOf("software0"));
  EXPECT_TRUE(plan.clear());
  EXPECT_EQ(plan.device().name(), "software0");
  EXPECT_EQ(plan.session_count(), 1u);
  EXPECT_EQ(plan.lease_count(), 1u);
  EXPECT_EQ(plan.buffer_count(), 1u);
  EXPECT_EQ(plan.held_bytes(), 4096u);
  EXPECT_EQ(plan.grace().seconds(), 20);
  EXPECT_FALSE(plan.has_window());
  ASSERT_EQ(plan.sessions_size(), 1);
  EXPECT_EQ(plan.sessions(0).session().id(), IdText(session->id));
  rig.OnLoop([&] { session->unanswered_ping_since = rig.broker().ledger().clock.Now(); });
  const auto obstructed = Call(*stub, &Stub::PlanReset, PlanOf("software0"));
  EXPECT_FALSE(obstructed.clear());
  EXPECT_EQ(obstructed.obstructed_session_count(), 1u);
  ASSERT_EQ(obstructed.sessions(0).obstacles_size(), 1);
  EXPECT_EQ(obstructed.sessions(0).obstacles(0), v1::RESET_OBSTACLE_SILENT);
}

TEST(PlanReset, ListsNoMoreThanItIsAskedFor) {
  ControlRig rig;
  for (int i = 0; i < 3; ++i) rig.Allocate(rig.AddSession(ControlRig::User(1000)));
  v1::PlanResetRequest request = PlanOf("software0");
  request.set_page_size(2);
  const auto plan = Call(*rig.Ask(ControlRig::Viewer()), &Stub::PlanReset, request);
  EXPECT_EQ(plan.session_count(), 3u);
  EXPECT_EQ(plan.sessions_size(), 2);
}

TEST(PlanReset, IsNotClearWhileTheDeviceIsOnItsWay) {
  ControlRig rig;
  rig.Allocate(rig.AddSession(ControlRig::User(1000)));
  v1::SimulateResetRequest reset;
  reset.set_device("software0");
  reset.mutable_grace()->set_seconds(600);
  reset.set_no_wait(true);
  Call(*rig.Ask(ControlRig::Operator()), &Stub::SimulateReset, reset);
  const auto stub = rig.Ask(ControlRig::Viewer());
  EXPECT_FALSE(Call(*stub, &Stub::PlanReset, PlanOf("software0")).clear());
}

TEST(PlanReset, NeedsAViewerAndADevice) {
  ControlRig rig;
  EXPECT_EQ(Refusal(*rig.Ask(ControlRig::User(1000)), &Stub::PlanReset, PlanOf("software0")),
            "PERMISSION_DENIED");
  const auto stub = rig.Ask(ControlRig::Viewer());
  EXPECT_EQ(Refusal(*stub, &Stub::PlanReset, PlanOf("software9")), "NOT_FOUND");
  v1::PlanResetRequest request = PlanOf("software0");
  request.set_page_size(-1);
  EXPECT_EQ(Refusal(*stub, &Stub::PlanReset, request), "INVALID_ARGUMENT");
}

}  // namespace
}  // namespace hlbuf
