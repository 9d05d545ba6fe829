// SPDX-License-Identifier: Apache-2.0
// What the control socket takes, and from whom it takes no more.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/control_calls.h"
#include "tests/support/control_rig.h"

namespace hlbuf {
namespace {

namespace v1 = hlbuf::v1;
using Stub = ControlRig::Stub;

bool WasAccepted(int socket) {
  char byte = 0;
  return ::recv(socket, &byte, 1, 0) == 1;  // gRPC speaks first
}

TEST(ControlLimits, BoundTheConnectionsOfOneUid) {
  ControlRigOptions options;
  options.settings.connections = {.uid = 2, .all = 16};
  ControlRig rig(options);
  rig.NextPeer(ControlRig::User(1000));
  std::vector<UniqueFd> sockets;
  for (int i = 0; i < 3; ++i) sockets.push_back(RawConnect(rig.path()));
  EXPECT_TRUE(WasAccepted(sockets[0].get()));
  EXPECT_TRUE(WasAccepted(sockets[1].get()));
  EXPECT_FALSE(WasAccepted(sockets[2].get()));
  EXPECT_EQ(Refusal(*rig.Ask(ControlRig::User(1001)), &Stub::ListDevices), "OK");
  // A place is free again when one of them goes.
  sockets[0].Reset();
  const auto deadline = CallDeadline();
  rig.NextPeer(ControlRig::User(1000));
  bool accepted = false;
  while (!accepted && std::chrono::system_clock::now() < deadline)
    accepted = WasAccepted(RawConnect(rig.path()).get());
  EXPECT_TRUE(accepted);
}

TEST(ControlLimits, BoundTheCallsOfOneUid) {
  ControlRigOptions options;
  options.settings.calls = {.uid = 2, .all = 64};
  ControlRig rig(options);
  const auto stub = rig.Ask(ControlRig::User(1000));
  grpc::ClientContext contexts[2];
  std::vector<std::unique_ptr<grpc::ClientReader<v1::WatchEventsResponse>>> watchers;
  v1::WatchEventsResponse response;
  for (grpc::ClientContext& context : contexts) {
    watchers.push_back(stub->WatchEvents(&context, {}));
    EXPECT_TRUE(watchers.back()->Read(&response));
  }
  EXPECT_EQ(Refusal(*stub, &Stub::ListDevices), "QUOTA_EXCEEDED");
  EXPECT_EQ(Refusal(*rig.Ask(ControlRig::User(1001)), &Stub::ListDevices), "OK");
  for (grpc::ClientContext& context : contexts) context.TryCancel();
  for (const auto& watcher : watchers) watcher->Finish();
  EXPECT_TRUE(rig.Until([&] { return rig.server().watcher_count() == 0; }));
  std::string reason = "QUOTA_EXCEEDED";  // until gRPC is done with them
  for (const auto deadline = CallDeadline();
       reason == "QUOTA_EXCEEDED" && std::chrono::system_clock::now() < deadline;)
    reason = Refusal(*stub, &Stub::ListDevices);
  EXPECT_EQ(reason, "OK");
}

TEST(ControlLimits, BoundTheSizeOfARequest) {
  ControlRig rig;
  const auto stub = rig.Ask(ControlRig::Operator());
  v1::RevokeBuffersRequest request;
  for (int i = 0; i < 20'000; ++i) request.add_buffer_ids("0123456789abcdef");
  grpc::ClientContext context;
  v1::RevokeBuffersResponse response;
  EXPECT_EQ(stub->RevokeBuffers(&context, request, &response).error_code(),
            grpc::StatusCode::RESOURCE_EXHAUSTED);
  request.mutable_buffer_ids()->DeleteSubrange(1001, 20'000 - 1001);
  EXPECT_EQ(Refusal(*stub, &Stub::RevokeBuffers, request), "INVALID_ARGUMENT");
}

TEST(ControlLimits, KeepReflectionForCallersWithARole) {
  ControlRig rig;
  const auto anybody = rig.Connect(ControlRig::User(1000));
  std::deque<ReflectionCall> calls;
  do calls.emplace_back(anybody);
  while (!calls.back().Services().empty() && calls.size() < 64);
  EXPECT_LT(calls.size(), 64u);  // the threads are used up
  EXPECT_NE(ReflectionCall(rig.Connect(ControlRig::Viewer())).Services(), "");
  EXPECT_EQ(HealthOf(anybody, ""), "SERVING");
}

TEST(ControlLimits, CloseAConnectionThatSaysNothing) {
  ControlRigOptions options;
  options.settings.keepalive_time = absl::Milliseconds(200);
  options.settings.keepalive_timeout = absl::Milliseconds(200);
  ControlRig rig(options);
  const UniqueFd silent = RawConnect(rig.path());
  const UniqueFd after_preface = RawConnect(rig.path());
  const std::string preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  ASSERT_GT(::send(after_preface.get(), preface.data(), preface.size(), 0), 0);
  EXPECT_TRUE(IsClosed(silent.get()));
  EXPECT_TRUE(IsClosed(after_preface.get()));
  EXPECT_TRUE(rig.Until([&] { return rig.server().connections().size() == 0; }));
}

TEST(ControlLimits, CloseAConnectionThatSpeaksNonsense) {
  ControlRig rig;
  const UniqueFd socket = RawConnect(rig.path());
  const std::string nonsense = "GET / HTTP/1.0\r\n\r\n" + std::string(4096, '\xff');
  ASSERT_GT(::send(socket.get(), nonsense.data(), nonsense.size(), MSG_NOSIGNAL), 0);
  EXPECT_TRUE(IsClosed(socket.get()));
  EXPECT_TRUE(rig.Until([&] { return rig.server().connections().size() == 0; }));
  EXPECT_EQ(Refusal(*rig.Ask(ControlRig::Viewer()), &Stub::ListDevices), "OK");
}

TEST(ControlLimits, LeaveNoDescriptorBehind) {
  ControlRig rig;
  EXPECT_EQ(DescriptorsLeftBehind(rig), 0u);
}

TEST(ControlLimits, SurviveTheLossOfEveryDescriptor) {
  ControlRigOptions options;
  options.settings.window = {.begin = 120, .end = 200};
  ControlRig rig(options);
  EXPECT_EQ(Refusal(*rig.Ask(ControlRig::Viewer()), &Stub::ListDevices), "OK");
  rlimit before = {};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit low = before;
  low.rlim_cur = 200;
  std::vector<UniqueFd> sockets, taken;
  for (int i = 0; i < 20; ++i) sockets.emplace_back(::socket(AF_UNIX, SOCK_STREAM, 0));
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &low), 0);
  for (int fd = 0; fd >= 0;) {
    fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) taken.emplace_back(fd);
  }
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  rig.path().copy(address.sun_path, sizeof(address.sun_path) - 1);
  for (const UniqueFd& socket : sockets)
    EXPECT_EQ(::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  for (const UniqueFd& socket : sockets) EXPECT_TRUE(IsClosed(socket.get()));
  taken.clear();
  EXPECT_EQ(Refusal(*rig.Ask(ControlRig::Viewer()), &Stub::ListDevices), "OK");
  EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
}

}  // namespace
}  // namespace hlbuf
