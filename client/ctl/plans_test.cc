// SPDX-License-Identifier: Apache-2.0
#include "client/ctl/plans.h"

#include <gtest/gtest.h>

#include "absl/strings/match.h"

namespace hlbuf::ctl {
namespace {

v1::HeldBuffer Held(int holders) {
  v1::HeldBuffer held;
  held.mutable_buffer()->set_id("a1");
  held.mutable_buffer()->set_state(v1::BUFFER_STATE_LIVE);
  held.mutable_buffer()->set_size_bytes(4096);
  held.mutable_buffer()->mutable_owner()->set_uid(1000);
  for (int i = 0; i < holders; ++i) {
    v1::Holder& holder = *held.add_holders();
    holder.set_session_id("b1");
    holder.mutable_domain()->set_uid(1000);
    holder.set_pid(42);
  }
  return held;
}

v1::DrainDeviceResponse Drained() {
  v1::DrainDeviceResponse response;
  response.mutable_device()->set_name("dev0");
  response.mutable_device()->set_state(v1::DEVICE_STATE_DRAINED);
  return response;
}

TEST(DrainText, SaysThatNothingIsHeld) {
  EXPECT_EQ(DrainText(Drained()), "dev0 is DRAINED; nothing of it is held\n");
}

TEST(DrainText, SaysWhoHoldsWhat) {
  v1::DrainDeviceResponse response = Drained();
  response.mutable_device()->set_used_bytes(4096);
  *response.add_held() = Held(1);
  response.set_held_count(3);
  EXPECT_EQ(DrainText(response),
            "dev0 is DRAINED; 3 buffers, 4KiB, held\n"
            "BUFFER  NAME  OWNER     STATE  SIZE  REFERENCES  HELD BY\n"
            "a1      -     uid 1000  LIVE   4KiB  -           session b1 (uid 1000 pid 42)\n"
            "and 2 buffers more\n");
}

TEST(DrainText, SaysWhatIsHeldWithoutALease) {
  v1::DrainDeviceResponse response = Drained();
  *response.add_held() = Held(0);
  response.mutable_held(0)->mutable_buffer()->set_references(2);
  response.set_held_count(1);
  EXPECT_NE(DrainText(response).find("2           references that no lease explains\n"),
            std::string::npos)
      << DrainText(response);
}

TEST(WaitingText, NamesEachHolderOnce) {
  v1::DrainDeviceResponse response = Drained();
  response.mutable_device()->set_used_bytes(8192);
  *response.add_held() = Held(1);
  *response.add_held() = Held(1);
  response.set_held_count(2);
  EXPECT_EQ(WaitingText(response),
            "waits for 2 buffers, 8KiB, of dev0: session b1 (uid 1000 pid 42)");
  for (const char* session : {"b2", "b3", "b4"}) {
    *response.add_held() = Held(1);
    response.mutable_held()->rbegin()->mutable_holders(0)->set_session_id(session);
  }
  EXPECT_TRUE(absl::EndsWith(WaitingText(response), "session b3 (uid 1000 pid 42), and others"));
}

TEST(DrainText, SaysThatADeviceWillBeDrained) {
  v1::DrainDeviceResponse response = Drained();
  response.mutable_device()->set_state(v1::DEVICE_STATE_FAILED);
  EXPECT_EQ(DrainText(response),
            "dev0 is FAILED, and will be DRAINED when it is open; nothing of it is held\n");
}

v1::ResetPlan Plan() {
  v1::ResetPlan plan;
  plan.mutable_device()->set_name("dev0");
  plan.mutable_device()->set_state(v1::DEVICE_STATE_READY);
  plan.set_clear(true);
  plan.mutable_grace()->set_seconds(20);
  return plan;
}

TEST(PlanText, AnswersFirst) {
  EXPECT_EQ(PlanText(Plan()),
            "yes: nothing stands in the way of a reset of dev0\n"
            "it would ask 0 sessions for 0 leases of 0 buffers, 0B\n"
            "time: holders would have 20s to let go\n");
}

TEST(PlanText, TellsWhatIsLeftOfTheWindow) {
  v1::ResetPlan plan = Plan();
  plan.mutable_window()->set_seconds(30);
  EXPECT_NE(PlanText(plan).find("time: holders would have 20s to let go, of the 30s for which the "
                                "driver waits; 10s are left for closing\n"),
            std::string::npos)
      << PlanText(plan);
}

TEST(PlanText, NamesWhoIsInTheWay) {
  v1::ResetPlan plan = Plan();
  plan.set_clear(false);
  plan.set_session_count(3);
  plan.set_obstructed_session_count(1);
  plan.set_lease_count(4);
  plan.set_buffer_count(4);
  plan.set_held_bytes(8192);
  v1::PlannedSession& planned = *plan.add_sessions();
  planned.mutable_session()->set_id("b1");
  planned.mutable_session()->set_client("train");
  planned.mutable_session()->mutable_peer()->set_uid(1000);
  planned.mutable_session()->mutable_peer()->set_pid(42);
  planned.mutable_session()->mutable_peer()->set_job(77);
  planned.set_lease_count(2);
  planned.add_obstacles(v1::RESET_OBSTACLE_UNREAD_GRANT);
  planned.add_obstacles(v1::RESET_OBSTACLE_SILENT);
  EXPECT_EQ(PlanText(plan),
            "no: something stands in the way of a reset of dev0: 1 of 3 sessions will probably not "
            "let go in time\n"
            "it would ask 3 sessions for 4 leases of 4 buffers, 8KiB\n"
            "time: holders would have 20s to let go\n"
            "SESSION  CLIENT  PEER                    LEASES  IN THE WAY\n"
            "b1       train   uid 1000 pid 42 job 77  2       unread grant, silent\n"
            "and 2 sessions more\n");
}

TEST(PlanText, AsksForNothingTwice) {
  v1::ResetPlan plan = Plan();
  plan.set_session_count(1);
  plan.set_lease_count(1);
  plan.set_asked_lease_count(1);
  plan.set_buffer_count(1);
  plan.set_held_bytes(4096);
  EXPECT_TRUE(absl::StrContains(
      PlanText(plan),
      "\nit would ask nobody: 1 session has 1 lease of 1 buffer, 4KiB, asked back already\n"))
      << PlanText(plan);
  plan.set_lease_count(3);
  EXPECT_TRUE(absl::StrContains(PlanText(plan),
                                "\nit would ask 1 session for 3 leases of 1 buffer, 4KiB; 1 lease "
                                "of these asked back already\n"))
      << PlanText(plan);
}

TEST(PlanText, NamesWhatNobodyCanBeAskedFor) {
  v1::ResetPlan plan = Plan();
  plan.set_clear(false);
  plan.set_unexplained_buffer_count(1);
  *plan.add_unexplained_buffers() = Held(0);
  const std::string text = PlanText(plan);
  EXPECT_NE(text.find("1 buffer somebody has without a lease, who cannot be told"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("references that no lease explains"), std::string::npos) << text;
}

TEST(PlanText, SaysThatAResetIsUnderWay) {
  v1::ResetPlan plan = Plan();
  plan.set_clear(false);
  plan.mutable_device()->set_state(v1::DEVICE_STATE_RESETTING);
  EXPECT_NE(PlanText(plan).find("dev0: it is RESETTING\n"), std::string::npos) << PlanText(plan);
}

}  // namespace
}  // namespace hlbuf::ctl
