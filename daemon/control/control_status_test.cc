// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "tests/support/control_calls.h"
#include "tests/support/control_rig.h"

namespace hlbuf {
namespace {

namespace v1 = hlbuf::v1;
using Stub = ControlRig::Stub;

TEST(ControlStatus, ShowsWhatTheBrokerHas) {
  ControlRig rig;
  rig.Allocate(rig.AddSession(ControlRig::User(1000)));
  const v1::ServiceStatus status = Call(*rig.Ask(ControlRig::Viewer()), &Stub::GetStatus);
  ASSERT_EQ(status.devices_size(), 1);
  EXPECT_EQ(status.devices(0).name(), "software0");
  EXPECT_EQ(status.devices(0).state(), v1::DEVICE_STATE_READY);
  EXPECT_EQ(status.devices(0).keeper(), v1::KEEPER_ROLE_NONE);
  EXPECT_EQ(status.session_count(), 1u);
  EXPECT_EQ(status.buffer_count(), 1u);
  EXPECT_EQ(status.lease_count(), 1u);
  EXPECT_EQ(status.away().session_count(), 0u);
  EXPECT_FALSE(status.away().has_left());
  EXPECT_TRUE(status.losses().empty());
}

TEST(ControlStatus, ShowsWhatIsKnownOfTheService) {
  ControlRig rig;
  rig.SetFacts({.version = "1.2.3",
                .life = 0x5f3a,
                .started = absl::UnixEpoch(),
                .enforcement = {.resets = Force::kKill, .revocations = Force::kNone},
                .place = ServiceFacts::Place::kNone,
                .troubles = {"it ends with the process"},
                .losses = {{.kind = EventKind::kBuffersLost,
                            .count = 3,
                            .told = {{.sequence = 8,
                                      .event = {.kind = EventKind::kBuffersLost,
                                                .device = "software0",
                                                .text = "lost",
                                                .count = 3}}}}}});
  const v1::ServiceStatus status = Call(*rig.Ask(ControlRig::Viewer()), &Stub::GetStatus);
  EXPECT_EQ(status.version(), "1.2.3");
  EXPECT_EQ(status.life(), "5f3a");
  EXPECT_EQ(status.reset_enforcement(), v1::SIGNAL_KILL);
  EXPECT_EQ(status.revocation_enforcement(), v1::SIGNAL_UNSPECIFIED);
  EXPECT_EQ(status.state().place(), v1::STATE_PLACE_NONE);
  ASSERT_EQ(status.state().troubles_size(), 1) << "of keepers nothing is said beside";
  ASSERT_EQ(status.losses_size(), 1);
  EXPECT_EQ(status.losses(0).kind(), v1::EVENT_KIND_BUFFERS_LOST);
  EXPECT_EQ(status.losses(0).count(), 3u);
  EXPECT_EQ(status.losses(0).events(0).sequence(), 8u);
  EXPECT_EQ(status.losses(0).events(0).count(), 3u);
}

TEST(ControlStatus, SaysOfWhichDeviceNobodyKeepsAnything) {
  ControlRig rig;
  rig.SetFacts({.place = ServiceFacts::Place::kDirectory, .directory = "/run/a"});
  const v1::ServiceStatus status = Call(*rig.Ask(ControlRig::Viewer()), &Stub::GetStatus);
  EXPECT_EQ(status.state().directory(), "/run/a");
  ASSERT_EQ(status.state().troubles_size(), 1);
  EXPECT_NE(status.state().troubles(0).find("software0"), std::string::npos);
}

TEST(ControlStatus, IsForRolesOnly) {
  ControlRig rig;
  EXPECT_EQ(Refusal(*rig.Ask(ControlRig::User(1000)), &Stub::GetStatus), "PERMISSION_DENIED");
  EXPECT_EQ(Refusal(*rig.Ask(ControlRig::Operator()), &Stub::GetStatus), "OK");
}

}  // namespace
}  // namespace hlbuf
