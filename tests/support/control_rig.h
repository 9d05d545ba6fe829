// SPDX-License-Identifier: Apache-2.0
// Broker, software device, event log and control server in this process, on a loop of their own;
// real sockets, real gRPC clients, and peers as the test wants them.
#ifndef HLBUF_TESTS_SUPPORT_CONTROL_RIG_H_
#define HLBUF_TESTS_SUPPORT_CONTROL_RIG_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/functional/function_ref.h"
#include "daemon/control/control_server.h"
#include "daemon/core/broker.h"
#include "daemon/device/syscalls.h"
#include "daemon/event_log_feed.h"
#include "daemon/observe/event_log.h"
#include "daemon/observe/metrics.h"
#include "hlbuf/v1/control.grpc.pb.h"
#include "tests/support/fake_notices.h"
#include "tests/support/loop_thread.h"

namespace hlbuf {

struct ControlRigOptions {
  ControlSettings settings;
  std::size_t events_kept = 4096;
};

class ControlRig {
 public:
  using Stub = hlbuf::v1::Control::Stub;
  static constexpr gid_t kViewers = 910, kOperators = 911, kAdmins = 912;

  explicit ControlRig(ControlRigOptions options = ControlRigOptions());
  ~ControlRig();

  // Processes: without a role, and with one.
  static Peer User(uid_t uid, std::string container = "");
  static Peer Viewer();
  static Peer Operator();
  static Peer Admin();

  const std::string& path() const { return path_; }
  // Whom the kernel would name for connections from now on; an error: it cannot tell.
  void NextPeer(absl::StatusOr<Peer> peer);
  // Called for each accepted socket from now on.
  void OnAccept(absl::AnyInvocable<void(int)> task);
  // A connection of its own, by `peer`.
  std::shared_ptr<grpc::Channel> Connect(absl::StatusOr<Peer> peer);
  std::unique_ptr<Stub> Ask(absl::StatusOr<Peer> peer) {
    return hlbuf::v1::Control::NewStub(Connect(std::move(peer)));
  }

  // A client of the data plane, with a lease of each buffer that it allocates.
  SessionRecord* AddSession(Peer peer);
  void EndSession(SessionRecord* session);
  BufferId Allocate(SessionRecord* session, std::string name = "", std::uint64_t size_bytes = 4096,
                    std::vector<std::string> labels = {});
  LeaseId Open(SessionRecord* session, BufferId buffer);
  void Share(SessionRecord* session, BufferId buffer, uid_t uid);
  // Every lease that it has now.
  void ReleaseAll(SessionRecord* session);
  void Tell(Event event);
  // What is told of the service from now on.
  void SetFacts(ServiceFacts facts);

  void OnLoop(absl::FunctionRef<void()> task) { thread_.OnLoop(task); }
  bool Until(absl::FunctionRef<bool()> done) { return thread_.Until(done); }
  // Stops the server and waits for that; false when that took longer than 30 s.
  bool Stop(absl::Duration patience);

  EventLoop& loop() { return thread_.loop(); }
  Broker& broker() { return *broker_; }
  ControlServer& server() { return *server_; }
  EventLog& log() { return log_; }

 private:
  std::string directory_;
  std::string path_;
  BootClock clock_;
  EventLog log_;
  EventLogFeed feed_{log_};
  ServiceFacts facts_;
  Metrics metrics_{log_};
  Syscalls syscalls_;
  LoopThread thread_;
  absl::StatusOr<Peer> next_peer_;
  absl::AnyInvocable<void(int)> on_accept_ = [](int) {};
  std::unique_ptr<Broker> broker_;
  std::unique_ptr<ControlServer> server_;
  std::vector<std::unique_ptr<FakeNotices>> notices_;
  bool stopped_ = false;
};

// "OK", the reason of the one ErrorInfo, or what is wrong with the details.
std::string ReasonOf(const grpc::Status& status);

}  // namespace hlbuf

#endif  // HLBUF_TESTS_SUPPORT_CONTROL_RIG_H_
