// SPDX-License-Identifier: Apache-2.0
#include "daemon/core/device.h"

#include <gtest/gtest.h>

#include "tests/support/fake_backend.h"

namespace hlbuf {
namespace {

Device MakeDevice() { return Device("dev0", std::make_unique<FakeBackend>(), 5); }

TEST(Device, StartsAbsentInItsFirstEpoch) {
  const Device device = MakeDevice();
  EXPECT_EQ(device.state(), DeviceState::kAbsent);
  EXPECT_EQ(device.epoch(), 5u);
  EXPECT_EQ(device.traits().kind, "fake");
}

TEST(Device, IsIdleAtOnceWhenNothingIsInProgress) {
  Device device = MakeDevice();
  bool idle = false;
  device.WhenIdle([&idle] { idle = true; });
  EXPECT_TRUE(idle);
}

TEST(Device, IsIdleWhenTheLastJobHasEnded) {
  Device device = MakeDevice();
  int idle = 0;
  device.JobBegan();
  device.JobBegan();
  device.WhenIdle([&idle] { ++idle; });
  device.JobEnded();
  EXPECT_EQ(idle, 0);
  device.JobEnded();
  EXPECT_EQ(idle, 1);
  device.JobBegan();
  device.JobEnded();
  EXPECT_EQ(idle, 1) << "a task runs once";
}

TEST(Device, WaitsForJobsThatBeganWhileItWaited) {
  Device device = MakeDevice();
  bool idle = false;
  device.JobBegan();
  device.WhenIdle([&idle] { idle = true; });
  device.JobBegan();
  device.JobEnded();
  EXPECT_FALSE(idle);
  device.JobEnded();
  EXPECT_TRUE(idle);
}

TEST(DeviceDeathTest, EndsTheProcessOnAnEventThatItsStateDoesNotAllow) {
  Device device = MakeDevice();
  EXPECT_DEATH(device.Apply(DeviceEvent::kClosed), "state machine");
}

}  // namespace
}  // namespace hlbuf
