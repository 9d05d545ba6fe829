// SPDX-License-Identifier: Apache-2.0
// What operators change over the control API.
#include <gtest/gtest.h>

#include <algorithm>
#include <future>
#include <string>
#include <vector>

#include "tests/support/control_calls.h"
#include "tests/support/control_rig.h"

namespace hlbuf {
namespace {

namespace v1 = hlbuf::v1;
using Stub = ControlRig::Stub;

v1::RevokeBuffersRequest RevokeOf(const std::vector<BufferId>& buffers, int grace_ms) {
  v1::RevokeBuffersRequest request;
  for (const BufferId id : buffers) request.add_buffer_ids(IdText(id));
  request.mutable_grace()->set_seconds(grace_ms / 1000);
  request.mutable_grace()->set_nanos(grace_ms % 1000 * 1'000'000);
  return request;
}

std::vector<Event> EventsOf(ControlRig& rig, EventKind kind) {
  std::vector<Event> events;
  rig.OnLoop([&] {
    for (const NumberedEvent& numbered : rig.log().Read(1, 4096, false).events)
      if (numbered.event.kind == kind) events.push_back(numbered.event);
  });
  return events;
}

bool UntilAskedBack(ControlRig& rig, SessionRecord* session) {
  return rig.Until([&] {
    return std::all_of(
        session->leases.begin(), session->leases.end(),
        [](const LeaseRecord* lease) { return lease->state != LeaseState::kActive; });
  });
}

TEST(RevokeBuffers, AnswersWhenEverybodyHasLetGo) {
  ControlRig rig;
  SessionRecord* session = rig.AddSession(ControlRig::User(1000));
  const std::vector<BufferId> buffers = {rig.Allocate(session, "a"), rig.Allocate(session, "b")};
  const auto stub = rig.Ask(ControlRig::Operator());
  auto answer = std::async(std::launch::async, [&] {
    return Call(*stub, &Stub::RevokeBuffers, RevokeOf(buffers, 600'000));
  });
  EXPECT_TRUE(UntilAskedBack(rig, session));
  rig.ReleaseAll(session);
  const v1::Revocation revocation = answer.get().revocation();
  EXPECT_EQ(revocation.reason(), v1::REVOKE_REASON_OPERATOR);
  EXPECT_EQ(revocation.sessions_told(), 1u);
  EXPECT_EQ(revocation.leases_told(), 2u);
  ASSERT_EQ(revocation.verdicts_size(), 2);
  for (const v1::BufferVerdict& verdict : revocation.verdicts())
    EXPECT_EQ(verdict.verdict().kind(), v1::VERDICT_KIND_ACKNOWLEDGED);
}

TEST(RevokeBuffers, NamesWhoHoldsABufferAfterTheDeadline) {
  ControlRig rig;
  SessionRecord* session = rig.AddSession(ControlRig::User(1000, "c0ffee"));
  const BufferId buffer = rig.Allocate(session, "kept");
  const auto stub = rig.Ask(ControlRig::Operator());
  const auto answer = Call(*stub, &Stub::RevokeBuffers, RevokeOf({buffer}, 1));
  ASSERT_EQ(answer.revocation().verdicts_size(), 1);
  const v1::BufferVerdict& verdict = answer.revocation().verdicts(0);
  EXPECT_EQ(verdict.buffer_name(), "kept");
  EXPECT_EQ(verdict.verdict().kind(), v1::VERDICT_KIND_HELD);
  EXPECT_EQ(verdict.verdict().references(), 1u);
  ASSERT_EQ(verdict.holders_size(), 1);
  EXPECT_EQ(verdict.holders(0).domain().uid(), 1000u);
  EXPECT_EQ(verdict.holders(0).domain().container(), "c0ffee");
  EXPECT_EQ(verdict.holders(0).pid(), 4000);
}

TEST(RevokeBuffers, RevokesABufferOnceThatIsNamedTwice) {
  ControlRig rig;
  const BufferId buffer = rig.Allocate(rig.AddSession(ControlRig::User(1000)));
  const auto stub = rig.Ask(ControlRig::Operator());
  const auto answer = Call(*stub, &Stub::RevokeBuffers, RevokeOf({buffer, buffer, buffer}, 1));
  EXPECT_EQ(answer.revocation().verdicts_size(), 1);
  EXPECT_EQ(answer.revocation().leases_told(), 1u);
}

TEST(RevokeBuffers, RevokesNothingWhenOneIsUnknown) {
  ControlRig rig;
  SessionRecord* session = rig.AddSession(ControlRig::User(1000));
  const BufferId buffer = rig.Allocate(session);
  const auto stub = rig.Ask(ControlRig::Operator());
  EXPECT_EQ(Refusal(*stub, &Stub::RevokeBuffers, RevokeOf({buffer, BufferId{1}}, 1)), "NOT_FOUND");
  rig.OnLoop([&] { EXPECT_EQ(session->leases[0]->state, LeaseState::kActive); });
}

TEST(RevokeBuffers, AnswersAtOnceWhenAskedTo) {
  ControlRig rig;
  SessionRecord* session = rig.AddSession(ControlRig::User(1000));
  v1::RevokeBuffersRequest request = RevokeOf({rig.Allocate(session)}, 600'000);
  request.set_no_wait(true);
  const auto answer = Call(*rig.Ask(ControlRig::Operator()), &Stub::RevokeBuffers, request);
  EXPECT_NE(answer.revocation().id(), "");
  EXPECT_TRUE(answer.revocation().has_deadline_time());
  EXPECT_FALSE(answer.revocation().has_end_time());
  EXPECT_TRUE(UntilAskedBack(rig, session));
  rig.ReleaseAll(session);
}

TEST(RevokeBuffers, GoesOnWhenItsCallerLeaves) {
  ControlRig rig;
  SessionRecord* session = rig.AddSession(ControlRig::User(1000));
  const BufferId buffer = rig.Allocate(session);
  {
    const auto stub = rig.Ask(ControlRig::Operator());
    grpc::ClientContext context;
    auto status = std::async(std::launch::async, [&] {
      v1::RevokeBuffersResponse response;
      return stub->RevokeBuffers(&context, RevokeOf({buffer}, 600'000), &response);
    });
    EXPECT_TRUE(UntilAskedBack(rig, session));
    context.TryCancel();
    EXPECT_EQ(status.get().error_code(), grpc::StatusCode::CANCELLED);
  }
  EXPECT_TRUE(rig.Until([&] { return rig.server().connections().size() == 0; }));
  rig.ReleaseAll(session);
  EXPECT_TRUE(rig.Until([&] { return rig.broker().ledger().registry.size() == 0; }));
  EXPECT_EQ(EventsOf(rig, EventKind::kRevocationEnded).size(), 1u);
}

TEST(RevokeBuffers, SaysWhoAskedForIt) {
  ControlRig rig;
  const BufferId buffer = rig.Allocate(rig.AddSession(ControlRig::User(1000)));
  Call(*rig.Ask(ControlRig::Operator()), &Stub::RevokeBuffers, RevokeOf({buffer}, 1));
  const std::vector<Event> asked = EventsOf(rig, EventKind::kOperatorRequest);
  ASSERT_EQ(asked.size(), 1u);
  EXPECT_EQ(asked[0].domain.uid, ControlRig::Operator().uid);
  EXPECT_EQ(asked[0].pid, ControlRig::Operator().pid);
  EXPECT_EQ(asked[0].text, absl::StrCat("asks to revoke ", IdText(buffer), " within 1ms"));
  Refusal(*rig.Ask(ControlRig::User(1000)), &Stub::RevokeBuffers, RevokeOf({buffer}, 1));
  const std::vector<Event> refused = EventsOf(rig, EventKind::kRequestRefused);
  ASSERT_EQ(refused.size(), 1u);
  EXPECT_EQ(refused[0].domain.uid, 1000u);
}

TEST(SimulateReset, RevokesEverythingAndBeginsANewEpoch) {
  ControlRig rig;
  rig.Allocate(rig.AddSession(ControlRig::User(1000)), "kept");
  const auto stub = rig.Ask(ControlRig::Operator());
  v1::SimulateResetRequest request;
  request.set_device("software0");
  request.mutable_grace()->set_nanos(1'000'000);
  v1::GetDeviceRequest get;
  get.set_name("software0");
  const std::uint64_t before = Call(*stub, &Stub::GetDevice, get).epoch();
  const auto answer = Call(*stub, &Stub::SimulateReset, request);
  EXPECT_EQ(answer.outcome().code(), 0);
  EXPECT_EQ(answer.device().state(), v1::DEVICE_STATE_READY);
  EXPECT_EQ(answer.device().epoch(), before + 1);
  EXPECT_EQ(answer.revocation().reason(), v1::REVOKE_REASON_RESET);
  ASSERT_EQ(answer.revocation().verdicts_size(), 1);
  EXPECT_EQ(answer.revocation().verdicts(0).verdict().kind(), v1::VERDICT_KIND_HELD);
}

TEST(SimulateReset, TellsTheOutcomeOfADrillThatFails) {
  ControlRig rig;
  const auto stub = rig.Ask(ControlRig::Operator());
  v1::SimulateResetRequest request;
  request.set_device("software0");
  request.set_drill(v1::DRILL_FAILS);
  const auto failed = Call(*stub, &Stub::SimulateReset, request);
  EXPECT_NE(failed.outcome().code(), 0);
  EXPECT_NE(failed.outcome().message(), "");
  EXPECT_EQ(failed.device().state(), v1::DEVICE_STATE_FAILED);
  EXPECT_NE(failed.device().failure(), "");
  request.set_drill(v1::DRILL_NONE);
  const auto mended = Call(*stub, &Stub::SimulateReset, request);
  EXPECT_EQ(mended.outcome().code(), 0);
  EXPECT_EQ(mended.device().state(), v1::DEVICE_STATE_READY);
  EXPECT_FALSE(mended.has_revocation()) << "nobody had anything";
}

TEST(SimulateReset, IsRefusedWhileOneIsUnderWay) {
  ControlRig rig;
  SessionRecord* session = rig.AddSession(ControlRig::User(1000));
  rig.Allocate(session);
  const auto stub = rig.Ask(ControlRig::Operator());
  v1::SimulateResetRequest request;
  request.set_device("software0");
  request.mutable_grace()->set_seconds(600);
  request.set_no_wait(true);
  EXPECT_EQ(Call(*stub, &Stub::SimulateReset, request).device().state(), v1::DEVICE_STATE_REVOKING);
  EXPECT_EQ(Refusal(*stub, &Stub::SimulateReset, request), "DEVICE_UNAVAILABLE");
  rig.ReleaseAll(session);
  EXPECT_TRUE(
      rig.Until([&] { return rig.broker().devices().front()->state() == DeviceState::kReady; }));
}

}  // namespace
}  // namespace hlbuf
