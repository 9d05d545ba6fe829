// SPDX-License-Identifier: Apache-2.0
// Broker, device, loop and listener in this process, as in SessionRig, which end and are restored
// from what was recorded. Clients are whoever connects.
#ifndef HLBUF_TESTS_SUPPORT_RESTART_RIG_H_
#define HLBUF_TESTS_SUPPORT_RESTART_RIG_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/time/time.h"
#include "daemon/core/broker.h"
#include "daemon/persist/shared_epoch_page.h"
#include "daemon/session/listen_at.h"
#include "daemon/session/listener.h"
#include "tests/support/kept_recorder.h"
#include "tests/support/loop_thread.h"
#include "tests/support/memory_backend.h"

namespace hlbuf {

struct RestartRigOptions {
  QuotaLimits limits;  // none, unless said
  absl::Duration reattach_grace = absl::Seconds(60);
  RestartRigOptions();
};

class RestartRig {
 public:
  static constexpr std::uint32_t kPageSlots = 1'000;

  explicit RestartRig(RestartRigOptions options = RestartRigOptions());
  ~RestartRig();

  const std::string& path() const { return path_; }

  // The service's process ends at this instant, whatever it was about to do. Its socket is
  // systemd's: who connects waits.
  void Kill();
  // As on SIGTERM: clients are told to come back. Then it ends.
  void Stop();
  void Start();
  // Between two lives: as a service whose epoch page nobody kept for it.
  void LosePage(std::uint32_t slots = kPageSlots);
  void Restart() {
    Kill();
    Start();
  }

  // Runs `task` on the broker thread, and waits for it.
  void OnLoop(absl::FunctionRef<void(Broker&)> task);
  // Until `done` is true on the broker thread, or a deadline has passed, which is a failure of the
  // test.
  void Until(absl::FunctionRef<bool(Broker&)> done);
  std::vector<Event> Events();
  // On the loop.
  KeptRecorder& recorder() { return recorder_; }
  // Of allocations that have not come back.
  std::size_t kept() const { return fds_.size(); }

 private:
  class Told final : public Observer {
   public:
    void OnEvent(const Event& event) override { all.push_back(event); }
    std::vector<Event> all;  // broker thread
  };

  BrokerSettings Settings() const;

  const RestartRigOptions options_;
  std::string directory_;
  std::string path_;
  SocketFile file_;
  UniqueFd socket_;
  BootClock clock_;
  Told told_;
  KeptRecorder recorder_;
  KeptFds fds_;
  std::unique_ptr<SharedEpochPage> page_;
  std::uint64_t lives_ = 0;
  std::unique_ptr<LoopThread> loop_;
  std::unique_ptr<Broker> broker_;
  std::unique_ptr<Listener> listener_;
};

}  // namespace hlbuf

#endif  // HLBUF_TESTS_SUPPORT_RESTART_RIG_H_
