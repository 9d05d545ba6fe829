// SPDX-License-Identifier: Apache-2.0
// What the rest of the service asks of the control server: other roles, and a sign of life.
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <future>
#include <memory>
#include <optional>

#include "tests/support/control_calls.h"
#include "tests/support/control_rig.h"
#include "tests/support/descriptors.h"

namespace hlbuf {
namespace {

namespace v1 = hlbuf::v1;
using Stub = ControlRig::Stub;

TEST(ControlServer, GivesConnectionsThatAreThereTheirNewRoles) {
  ControlRig rig;
  rig.Allocate(rig.AddSession(ControlRig::User(1000)));
  const auto was_viewer = rig.Ask(ControlRig::Viewer());
  const auto was_operator = rig.Ask(ControlRig::Operator());
  EXPECT_EQ(Call(*was_viewer, &Stub::ListBuffers).buffers_size(), 1);
  rig.OnLoop([&] { rig.server().SetRoles({.viewer = {ControlRig::kOperators}}); });
  EXPECT_EQ(Call(*was_viewer, &Stub::ListBuffers).buffers_size(), 0);
  EXPECT_EQ(Call(*was_operator, &Stub::ListBuffers).buffers_size(), 1);
  v1::SimulateResetRequest reset;
  reset.set_device("software0");
  EXPECT_EQ(Refusal(*was_operator, &Stub::SimulateReset, reset), "PERMISSION_DENIED");
}

TEST(ControlServer, GivesConnectionsThatComeTheirNewRoles) {
  ControlRig rig;
  rig.Allocate(rig.AddSession(ControlRig::User(1000)));
  rig.OnLoop([&] { rig.server().SetRoles({}); });
  EXPECT_EQ(Call(*rig.Ask(ControlRig::Viewer()), &Stub::ListBuffers).buffers_size(), 0);
}

// What the probe said; nullopt when it has said nothing for a while.
std::optional<bool> Probe(ControlRig& rig) {
  auto answer = std::make_shared<std::promise<bool>>();
  std::future<bool> answered = answer->get_future();
  rig.OnLoop([&] { rig.server().Probe([answer](bool serves) { answer->set_value(serves); }); });
  if (answered.wait_for(std::chrono::seconds(30)) != std::future_status::ready) return std::nullopt;
  return answered.get();
}

TEST(ControlServer, AnswersEachProbe) {
  ControlRig rig;
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Probe(rig), true);
  EXPECT_EQ(Call(*rig.Ask(ControlRig::Viewer()), &Stub::ListDevices).devices_size(), 1);
}

TEST(ControlServer, DoesNotCountAProbeAsAConnection) {
  ControlRig rig;
  EXPECT_EQ(Probe(rig), true);
  rig.OnLoop([&] { EXPECT_EQ(rig.server().connections().counted(), 0u); });
}

TEST(ControlServer, KeepsNoDescriptorOfAProbe) {
  ControlRig rig;
  const auto viewer = rig.Ask(ControlRig::Viewer());  // gRPC has what it needs for itself then
  EXPECT_EQ(Call(*viewer, &Stub::ListDevices).devices_size(), 1);
  const std::size_t before = DescriptorsOf(::getpid()).size();
  for (int i = 0; i < 10; ++i) EXPECT_EQ(Probe(rig), true);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (DescriptorsOf(::getpid()).size() > before && std::chrono::steady_clock::now() < deadline)
    std::this_thread::yield();
  EXPECT_LE(DescriptorsOf(::getpid()).size(), before);
}

TEST(ControlServer, TellsAProbeThatItDoesNotServeAnyMore) {
  ControlRig rig;
  EXPECT_TRUE(rig.Stop(absl::Seconds(1)));
  EXPECT_EQ(Probe(rig), false);
}

TEST(ControlServer, StopsWhileAProbeIsAsked) {
  for (int i = 0; i < 20; ++i) {
    ControlRig rig;
    rig.OnLoop([&] { rig.server().Probe([](bool) {}); });
    EXPECT_TRUE(rig.Stop(absl::Seconds(1)));
  }
}

}  // namespace
}  // namespace hlbuf
