// SPDX-License-Identifier: Apache-2.0
// How the control API ends, and what it says of itself until then.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <future>
#include <memory>
#include <string>

#include "tests/support/control_calls.h"
#include "tests/support/control_rig.h"

namespace hlbuf {
namespace {

namespace v1 = hlbuf::v1;
using Stub = ControlRig::Stub;

TEST(ControlServer, SaysThatItIsHealthy) {
  ControlRig rig;
  const auto channel = rig.Connect(ControlRig::User(1000));
  EXPECT_EQ(HealthOf(channel, ""), "SERVING");
  EXPECT_EQ(HealthOf(channel, "hlbuf.v1.Control"), "SERVING");
  EXPECT_EQ(HealthOf(channel, "hlbuf.v1.None"), "service name unknown");
}

TEST(ControlServer, DescribesItself) {
  ControlRig rig;
  ReflectionCall call(rig.Connect(ControlRig::User(1000)));
  const std::string services = call.Services();
  EXPECT_NE(services.find("hlbuf.v1.Control"), std::string::npos);
  EXPECT_NE(services.find("grpc.health.v1.Health"), std::string::npos);
}

TEST(ControlServer, EndsWatchersAndWaitingCallsWithAReason) {
  ControlRig rig;
  SessionRecord* session = rig.AddSession(ControlRig::User(1000));
  v1::RevokeBuffersRequest revoke;
  revoke.add_buffer_ids(IdText(rig.Allocate(session)));
  revoke.mutable_grace()->set_seconds(600);
  const auto stub = rig.Ask(ControlRig::Operator());
  grpc::ClientContext context;
  const auto watcher = stub->WatchEvents(&context, {});
  v1::WatchEventsResponse response;
  ASSERT_TRUE(watcher->Read(&response));
  auto waiting =
      std::async(std::launch::async, [&] { return Refusal(*stub, &Stub::RevokeBuffers, revoke); });
  ASSERT_TRUE(rig.Until([&] { return session->leases[0]->state == LeaseState::kRevoking; }));
  EXPECT_TRUE(rig.Stop(absl::Hours(1))) << "there is nobody to wait for";
  while (watcher->Read(&response)) {
  }
  EXPECT_EQ(ReasonOf(watcher->Finish()), "SHUTTING_DOWN");
  EXPECT_EQ(waiting.get(), "SHUTTING_DOWN");
}

TEST(ControlServer, CutsWhoDoesNotListenAfterItsPatience) {
  ControlRig rig;
  const auto stub = rig.Ask(ControlRig::Viewer());
  grpc::ClientContext context;
  const auto stalled = stub->WatchEvents(&context, {});
  rig.OnLoop([&] {
    for (int i = 0; i < 4000; ++i)
      rig.broker().Tell({.kind = EventKind::kSessionBegan, .text = std::string(400, 'x')});
  });
  const UniqueFd silent = RawConnect(rig.path());
  ASSERT_TRUE(rig.Until([&] { return rig.server().connections().size() == 2; }));
  EXPECT_TRUE(rig.Stop(absl::Milliseconds(300)));
  EXPECT_TRUE(IsClosed(silent.get()));
  v1::WatchEventsResponse response;
  while (stalled->Read(&response)) {
  }
  EXPECT_EQ(stalled->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST(ControlServer, AcceptsNobodyWhenItHasStopped) {
  ControlRig rig;
  EXPECT_TRUE(rig.Stop(absl::Seconds(1)));
  EXPECT_FALSE(RawConnect(rig.path()));
}

TEST(ControlServer, EndsWhereTheLoopDoesNotRun) {
  const UniqueFd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_un any = {.sun_family = AF_UNIX};
  ASSERT_EQ(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&any), sizeof(any.sun_family)),
            0);
  ASSERT_EQ(::listen(listener.get(), 1), 0);
  const std::unique_ptr<EventLoop> loop = *EventLoop::Create();
  BootClock clock;
  EventLog log(1);
  EventLogFeed feed(log);
  Broker broker({}, Policy({}, {}), clock, log);
  absl::StatusOr<std::unique_ptr<ControlServer>> server =
      ControlServer::Start(broker, *loop, clock, feed, UniqueFd(::dup(listener.get())),
                           [](int) { return absl::UnavailableError("nobody"); }, {}, {});
  ASSERT_TRUE(server.ok()) << server.status();
  server->reset();  // a start that failed later on
  EXPECT_EQ(*server, nullptr);
}

TEST(ControlServer, AnswersCallsThatArriveWhileItStops) {
  ControlRig rig;
  const auto stub = rig.Ask(ControlRig::Viewer());
  EXPECT_EQ(Refusal(*stub, &Stub::ListDevices), "OK");
  auto stopped = std::async(std::launch::async, [&] { return rig.Stop(absl::Seconds(5)); });
  std::string reason;
  do {
    reason = Refusal(*stub, &Stub::ListDevices);
  } while (reason == "OK");
  // Either from the service, or from gRPC, which takes no new calls any more.
  EXPECT_TRUE(reason == "SHUTTING_DOWN" || reason.find("no details, code") == 0) << reason;
  EXPECT_TRUE(stopped.get());
}

}  // namespace
}  // namespace hlbuf
