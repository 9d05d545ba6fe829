// SPDX-License-Identifier: Apache-2.0
#include "client/ctl/status_text.h"

#include <gtest/gtest.h>

#include "absl/strings/match.h"

namespace hlbuf::ctl {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(1000);

v1::ServiceStatus Healthy() {
  v1::ServiceStatus status;
  status.set_version("1.2.3");
  status.set_life("5f3a");
  status.mutable_start_time()->set_seconds(808);
  v1::Device& device = *status.add_devices();
  device.set_name("gaudi0");
  device.set_state(v1::DEVICE_STATE_READY);
  device.set_epoch(7);
  device.set_used_bytes(4096);
  device.set_keeper(v1::KEEPER_ROLE_OPENED);
  status.set_session_count(2);
  status.set_buffer_count(1);
  status.set_lease_count(3);
  status.mutable_state()->set_place(v1::STATE_PLACE_FD_STORE);
  status.mutable_state()->set_verified(true);
  return status;
}

v1::Loss& AddLoss(v1::ServiceStatus& status) {
  v1::Loss& loss = *status.add_losses();
  loss.set_kind(v1::EVENT_KIND_BUFFERS_LOST);
  loss.set_count(3);
  v1::Event& event = *loss.add_events();
  event.set_device("gaudi0");
  event.set_text("3 buffers\nended");
  return loss;
}

TEST(StatusText, IsOneScreenOfAServiceThatIsWell) {
  EXPECT_EQ(StatusText(Healthy(), kNow),
            "hl-bufd 1.2.3, life 5f3a, up 3m12s: healthy\n"
            "\n"
            "DEVICE  STATE  EPOCH  USED  KEEPER          NOTE\n"
            "gaudi0  READY  7      4KiB  copies, opener  -\n"
            "\n"
            "Held: 1 buffer, 3 leases, 2 sessions\n"
            "Away: nobody\n"
            "Enforcement: resets off, operators off\n"
            "Kept for a restart: in the store of the service manager, which has all of it\n"
            "Lost since the service was started: nothing\n");
}

TEST(StatusText, SaysWhoHasNotComeBack) {
  v1::ServiceStatus status = Healthy();
  v1::AwaySessions& away = *status.mutable_away();
  away.set_session_count(3);
  away.set_lease_count(5);
  away.mutable_left()->set_seconds(43);
  v1::Session& session = *away.add_sessions();
  session.set_id("b1");
  session.set_client("train");
  session.mutable_peer()->set_uid(1000);
  session.mutable_peer()->set_pid(42);
  session.set_lease_count(4);
  const std::string text = StatusText(status, kNow);
  EXPECT_TRUE(absl::StrContains(text,
                                "Away since the service was started anew: 3 sessions with 5 "
                                "leases, which can come back for 43s\n"))
      << text;
  EXPECT_TRUE(absl::StrContains(text, "\nb1       train   uid 1000 pid 42  -     4\nand 2 more\n"))
      << text;
  EXPECT_EQ(HealthOf(status), ExitCode::kOk) << "they may come";
}

TEST(StatusText, SaysWhatWasLostAndOfWhichDevice) {
  v1::ServiceStatus status = Healthy();
  AddLoss(status);
  const std::string text = StatusText(status, kNow);
  EXPECT_TRUE(absl::StrContains(text, ": works, but something was lost\n")) << text;
  EXPECT_TRUE(absl::StrContains(text, "Lost since the service was started:\n  buffers-lost: 3\n"))
      << text;
  EXPECT_TRUE(absl::StrContains(text, " gaudi0: 3 buffers\\x0aended\n")) << text;
  EXPECT_EQ(HealthOf(status), ExitCode::kLost);
}

TEST(StatusText, SaysWhatARestartWouldLose) {
  v1::ServiceStatus status = Healthy();
  status.mutable_state()->set_verified(false);
  status.mutable_state()->add_troubles("it keeps 1 descriptors, not 2");
  const std::string text = StatusText(status, kNow);
  EXPECT_TRUE(absl::StrContains(text, ": works, but a restart would lose something\n")) << text;
  EXPECT_TRUE(absl::StrContains(
      text, "restart: in the store of the service manager\n  it keeps 1 descriptors, not 2\n"))
      << text;
  EXPECT_EQ(HealthOf(status), ExitCode::kLost);
}

TEST(StatusText, SaysWhereStateIs) {
  v1::ServiceStatus status = Healthy();
  status.mutable_state()->set_verified(false);
  EXPECT_TRUE(absl::StrContains(StatusText(status, kNow), "which has not answered yet\n"));
  EXPECT_EQ(HealthOf(status), ExitCode::kOk);
  status.mutable_state()->set_place(v1::STATE_PLACE_DIRECTORY);
  status.mutable_state()->set_directory("/run/a");
  EXPECT_TRUE(absl::StrContains(StatusText(status, kNow), "restart: in /run/a\n"));
  status.mutable_state()->set_place(v1::STATE_PLACE_NONE);
  EXPECT_TRUE(absl::StrContains(StatusText(status, kNow), "restart: nowhere\n"));
}

TEST(StatusText, ShowsWhatIsEnforcedAndAKeeperWithoutAnOpener) {
  v1::ServiceStatus status = Healthy();
  status.set_reset_enforcement(v1::SIGNAL_KILL);
  status.set_revocation_enforcement(v1::SIGNAL_TERMINATE);
  status.mutable_devices(0)->set_keeper(v1::KEEPER_ROLE_SUCCESSOR);
  const std::string text = StatusText(status, kNow);
  EXPECT_TRUE(absl::StrContains(text, "Enforcement: resets SIGKILL, operators SIGTERM\n"));
  EXPECT_TRUE(absl::StrContains(text, "copies, no opener")) << text;
}

TEST(HealthOf, IsWorstWhenADeviceHasFailed) {
  v1::ServiceStatus status = Healthy();
  AddLoss(status);
  status.mutable_devices(0)->set_state(v1::DEVICE_STATE_FAILED);
  EXPECT_EQ(HealthOf(status), ExitCode::kFailed);
  EXPECT_TRUE(absl::StrContains(StatusText(status, kNow), ": a device has FAILED\n"));
}

TEST(HealthOf, IsGoodWhileADeviceIsDrainedOrReset) {
  v1::ServiceStatus status = Healthy();
  for (const v1::DeviceState state :
       {v1::DEVICE_STATE_DRAINED, v1::DEVICE_STATE_REVOKING, v1::DEVICE_STATE_OPENING}) {
    status.mutable_devices(0)->set_state(state);
    EXPECT_EQ(HealthOf(status), ExitCode::kOk);
  }
}

}  // namespace
}  // namespace hlbuf::ctl
