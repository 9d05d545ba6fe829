// SPDX-License-Identifier: Apache-2.0
// Broker, software device, loop and listener in this process, on a thread of their own; clients are
// whoever connects.
#ifndef HLBUF_TESTS_SUPPORT_SESSION_RIG_H_
#define HLBUF_TESTS_SUPPORT_SESSION_RIG_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "daemon/core/broker.h"
#include "daemon/device/syscalls.h"
#include "daemon/persist/shared_epoch_page.h"
#include "daemon/session/listen_at.h"
#include "daemon/session/listener.h"
#include "tests/support/loop_thread.h"
#include "tests/support/raw_client.h"

namespace hlbuf {

struct SessionRigOptions {
  QuotaLimits limits;  // none, unless said
  SessionTiming timing;
  EnforcementSettings enforcement;
  SessionRigOptions();
};

// A client on one end of a pair of sockets, and the number of the session's end, good as long as
// the session lives. Unlike those that were accepted, a pair lets the client's descriptors through,
// as kernels before Linux 6.16 do.
struct PairedClient {
  RawClient client;
  int session_socket = -1;
};

class SessionRig {
 public:
  explicit SessionRig(SessionRigOptions options = SessionRigOptions());
  ~SessionRig();

  const std::string& path() const { return path_; }
  PairedClient ConnectByPair();
  // Runs `task` on the broker thread, and waits for it.
  void OnLoop(absl::FunctionRef<void(Broker&)> task);
  // Until `done` is true on the broker thread, or a deadline has passed, which is a failure of the
  // test.
  void Until(absl::FunctionRef<bool(Broker&)> done);

  std::vector<Event> Events();
  // How often the loop goes round by itself in `ms`.
  std::uint64_t RoundsIn(int ms);
  // On the loop.
  Listener& listener() { return *listener_; }
  EventLoop& loop() { return loop_->loop(); }
  const Clock& clock() const { return clock_; }

 private:
  class Recorder final : public Observer {
   public:
    void OnEvent(const Event& event) override { events.push_back(event); }
    std::vector<Event> events;  // broker thread
  };

  std::string directory_;
  std::string path_;
  SocketFile file_;
  BootClock clock_;
  Recorder recorder_;
  Syscalls syscalls_;
  SharedEpochPage page_;
  std::uint64_t rounds_ = 0;  // broker thread
  std::unique_ptr<LoopThread> loop_;
  std::unique_ptr<Broker> broker_;
  std::unique_ptr<Listener> listener_;
};

}  // namespace hlbuf

#endif  // HLBUF_TESTS_SUPPORT_SESSION_RIG_H_
