// SPDX-License-Identifier: Apache-2.0
// The control API over real sockets: every question, who may ask it, and who is behind it.
#include "daemon/control/control_server.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <future>
#include <memory>
#include <string>
#include <thread>

#include "tests/support/control_calls.h"
#include "tests/support/control_rig.h"

namespace hlbuf {
namespace {

namespace v1 = hlbuf::v1;
using Stub = ControlRig::Stub;

int BuffersSeenBy(Stub& stub) { return Call(stub, &Stub::ListBuffers).buffers_size(); }

TEST(ControlServer, AnswersEveryQuestion) {
  ControlRig rig;
  SessionRecord* session = rig.AddSession(ControlRig::User(1000));
  const std::string id = IdText(rig.Allocate(session, "weights", 5000, {"job=7"}));
  const auto stub = rig.Ask(ControlRig::Viewer());

  const auto devices = Call(*stub, &Stub::ListDevices);
  ASSERT_EQ(devices.devices_size(), 1);
  EXPECT_EQ(devices.devices(0).state(), v1::DEVICE_STATE_READY);
  v1::GetDeviceRequest get_device;
  get_device.set_name("software0");
  EXPECT_EQ(Call(*stub, &Stub::GetDevice, get_device).used_bytes(), 8192u);

  const auto buffers = Call(*stub, &Stub::ListBuffers);
  ASSERT_EQ(buffers.buffers_size(), 1);
  EXPECT_EQ(buffers.buffers(0).id(), id);
  v1::GetBufferRequest get_buffer;
  get_buffer.set_id(id);
  EXPECT_EQ(Call(*stub, &Stub::GetBuffer, get_buffer).labels().at("job"), "7");

  const auto leases = Call(*stub, &Stub::ListLeases);
  ASSERT_EQ(leases.leases_size(), 1);
  EXPECT_EQ(leases.leases(0).buffer_name(), "weights");
  EXPECT_EQ(leases.leases(0).holder().uid(), 1000u);
  const auto sessions = Call(*stub, &Stub::ListSessions);
  ASSERT_EQ(sessions.sessions_size(), 1);
  EXPECT_EQ(sessions.sessions(0).id(), leases.leases(0).session_id());
}

TEST(ControlServer, NamesTheReasonOfEachRefusal) {
  ControlRig rig;
  const auto stub = rig.Ask(ControlRig::Operator());
  v1::GetBufferRequest get;
  get.set_id("1");
  EXPECT_EQ(Refusal(*stub, &Stub::GetBuffer, get), "NOT_FOUND");
  get.set_id("x");
  EXPECT_EQ(Refusal(*stub, &Stub::GetBuffer, get), "INVALID_ARGUMENT");
  v1::ListBuffersRequest list;
  list.set_page_token("forged");
  EXPECT_EQ(Refusal(*stub, &Stub::ListBuffers, list), "INVALID_ARGUMENT");
  v1::RevokeBuffersRequest revoke;
  EXPECT_EQ(Refusal(*stub, &Stub::RevokeBuffers, revoke), "INVALID_ARGUMENT");
  v1::SimulateResetRequest reset;
  reset.set_device("none");
  EXPECT_EQ(Refusal(*stub, &Stub::SimulateReset, reset), "NOT_FOUND");
  reset.set_device("software0");
  reset.mutable_grace()->set_seconds(4000);
  EXPECT_EQ(Refusal(*stub, &Stub::SimulateReset, reset), "INVALID_ARGUMENT");
}

TEST(ControlServer, TellsCallersApartByTheirConnections) {
  ControlRig rig;
  rig.Allocate(rig.AddSession(ControlRig::User(1000)));
  rig.Allocate(rig.AddSession(ControlRig::User(1001)));
  rig.Allocate(rig.AddSession(ControlRig::User(1001, "c0ffee")));
  const auto alice = rig.Ask(ControlRig::User(1000));
  const auto bob = rig.Ask(ControlRig::User(1001));
  const auto contained_root = rig.Ask(ControlRig::User(0, "c0ffee"));
  const auto viewer = rig.Ask(ControlRig::Viewer());
  for (int round = 0; round < 3; ++round) {
    EXPECT_EQ(BuffersSeenBy(*alice), 1);
    EXPECT_EQ(BuffersSeenBy(*bob), 1);
    EXPECT_EQ(BuffersSeenBy(*contained_root), 0);
    EXPECT_EQ(BuffersSeenBy(*viewer), 3);
  }
}

TEST(ControlServer, ServesNobodyWhomTheKernelDoesNotName) {
  ControlRig rig;
  rig.NextPeer(absl::UnavailableError("the peer has exited"));
  const UniqueFd socket = RawConnect(rig.path());
  char byte = 0;
  EXPECT_EQ(::recv(socket.get(), &byte, 1, 0), 0) << "closed before gRPC said anything";
}

TEST(ControlServer, ShowsAnUnmappedUidNothing) {
  ControlRig rig;
  rig.Allocate(rig.AddSession(ControlRig::User(1000)));
  const auto stub = rig.Ask(Peer{.uid = kNobodyUid, .gid = ControlRig::kAdmins, .pid = 7});
  EXPECT_EQ(BuffersSeenBy(*stub), 0);
  EXPECT_EQ(Call(*stub, &Stub::ListDevices).devices_size(), 0);
  v1::SimulateResetRequest reset;
  reset.set_device("software0");
  EXPECT_EQ(Refusal(*stub, &Stub::SimulateReset, reset), "PERMISSION_DENIED");
}

TEST(ControlServer, LetsOnlyOperatorsChangeThings) {
  ControlRig rig;
  SessionRecord* session = rig.AddSession(ControlRig::User(1000));
  v1::RevokeBuffersRequest revoke;
  revoke.add_buffer_ids(IdText(rig.Allocate(session)));
  revoke.set_no_wait(true);
  v1::SimulateResetRequest reset;
  reset.set_device("software0");
  for (const Peer& peer :
       {ControlRig::User(1000), ControlRig::Viewer(), ControlRig::User(0, "c0ffee")}) {
    const auto stub = rig.Ask(peer);
    EXPECT_EQ(Refusal(*stub, &Stub::RevokeBuffers, revoke), "PERMISSION_DENIED");
    EXPECT_EQ(Refusal(*stub, &Stub::SimulateReset, reset), "PERMISSION_DENIED");
  }
  rig.OnLoop([&] { EXPECT_EQ(session->leases[0]->state, LeaseState::kActive); });
  EXPECT_EQ(Refusal(*rig.Ask(ControlRig::Operator()), &Stub::RevokeBuffers, revoke), "OK");
  rig.OnLoop([&] { EXPECT_EQ(session->leases[0]->state, LeaseState::kRevoking); });
  rig.ReleaseAll(session);
}

bool IsOpen(int number) { return ::fcntl(number, F_GETFD) >= 0; }

TEST(ControlServer, NeverTakesANewConnectionForAnOldOneOfTheSameNumber) {
  ControlRigOptions options;
  options.settings.window = {.begin = 900, .end = 901};
  ControlRig rig(options);
  rig.Allocate(rig.AddSession(ControlRig::User(1000)));
  for (int round = 0; round < 5; ++round) {
    EXPECT_EQ(BuffersSeenBy(*rig.Ask(ControlRig::Admin())), 1);
    ASSERT_TRUE(rig.Until([] { return !IsOpen(900); })) << "gRPC closes what it was given";
    EXPECT_EQ(BuffersSeenBy(*rig.Ask(ControlRig::User(1001))), 0);
    ASSERT_TRUE(rig.Until([] { return !IsOpen(900); }));
  }
  EXPECT_TRUE(rig.Until([&] { return rig.server().connections().size() == 0; }));
}

// What the identity of a call rests on: gRPC keeps a connection's descriptor, and so its number,
// as long as a call of it is not over.
TEST(ControlServer, KeepsTheNumberOfAConnectionWhileACallOfItIsNotOver) {
  ControlRigOptions options;
  options.settings.window = {.begin = 900, .end = 902};
  ControlRig rig(options);
  SessionRecord* session = rig.AddSession(ControlRig::User(1000));
  v1::RevokeBuffersRequest revoke;
  revoke.add_buffer_ids(IdText(rig.Allocate(session)));
  auto operators = rig.Ask(ControlRig::Operator());
  const auto other = rig.Connect(ControlRig::Viewer());
  ASSERT_TRUE(IsOpen(900) && IsOpen(901));

  auto context = std::make_unique<grpc::ClientContext>();
  std::thread caller([&] {
    v1::RevokeBuffersResponse response;
    EXPECT_EQ(operators->RevokeBuffers(context.get(), revoke, &response).error_code(),
              grpc::StatusCode::CANCELLED);
  });
  EXPECT_TRUE(rig.Until([&] { return session->leases[0]->state == LeaseState::kRevoking; }));
  // While the loop stands still the call cannot be over, whatever its caller does.
  std::promise<void> go_on;
  rig.loop().Post([&] { go_on.get_future().wait(); });
  context->TryCancel();
  caller.join();
  context.reset();
  operators.reset();
  // gRPC answers these without the loop, and sees the end of the other connection meanwhile.
  for (int i = 0; i < 20; ++i) EXPECT_EQ(HealthOf(other, ""), "SERVING");
  EXPECT_TRUE(IsOpen(900));
  go_on.set_value();
  EXPECT_TRUE(rig.Until([] { return !IsOpen(900); }));
  rig.ReleaseAll(session);
}

}  // namespace
}  // namespace hlbuf
