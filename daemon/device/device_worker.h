// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_DEVICE_DEVICE_WORKER_H_
#define HLBUF_DAEMON_DEVICE_DEVICE_WORKER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "daemon/base/reactor.h"
#include "daemon/core/backend.h"
#include "daemon/device/exporter.h"
#include "daemon/device/job_queue.h"
#include "daemon/device/mailbox.h"
#include "daemon/device/notebook.h"
#include "daemon/device/reference_count.h"

namespace hlbuf {

// Runs one exporter on a thread of its own, because any of its calls may block for seconds.
//
// Reference counting yields to the rest: a `done` of CountReferences() may come after those of
// later calls. One call is not interrupted, so whoever counts asks for few descriptors at a time.
// Reset() yields to nothing that was asked before it. Two calls of the same kind are always
// answered in order.
//
// Made and destroyed on the broker thread; the latter waits for the call that the worker is in
// (interrupted), closes the descriptors of everything unfinished or undelivered, and runs no `done`
// any more.
class DeviceWorker final : public Backend, private Notebook {
 public:
  // `name` is for people who look at threads. `reactor` lives longer.
  DeviceWorker(const std::string& name, std::unique_ptr<Exporter> exporter, Reactor& reactor,
               ReferenceCounter counter = ReferenceCounter());
  ~DeviceWorker() override;

  const BackendTraits& traits() const override { return traits_; }
  std::uint64_t reserved_bytes() const override { return standing_.reserved_bytes; }
  KeeperRole keeper() const override { return standing_.keeper; }
  void Open(Done<absl::Status> done) override;
  void Resume(Resumption from, Done<absl::StatusOr<Resumed>> done) override;
  void OnNote(NoteTaker take) override { take_note_ = std::move(take); }
  void Allocate(AllocationSpec spec, Done<absl::StatusOr<Allocation>> done) override;
  void CountReferences(std::vector<int> fds, Done<std::vector<std::uint32_t>> done) override;
  void Free(Allocation allocation, Done<absl::Status> done) override;
  void FreeBlind(std::vector<std::uint64_t> windows, Done<std::vector<bool>> done) override;
  void CheckAlarm(Done<std::optional<Alarm>> done) override;
  void OnAlarmSign(absl::AnyInvocable<void()> sign) override;
  void Reset(Drill drill, Done<absl::Status> done) override;

 private:
  // What travels with each answer.
  struct Standing {
    std::uint64_t reserved_bytes = 0;
    KeeperRole keeper = KeeperRole::kNone;
  };
  // Worker thread.
  void Run();
  Standing StandingNow() const {
    return {.reserved_bytes = exporter_->reserved_bytes(), .keeper = exporter_->keeper()};
  }
  void Write(DeviceNote note) override;
  bool WriteAhead(DeviceNote note) override;
  Completion Taken(DeviceNote note);
  std::vector<std::uint32_t> Count(absl::Span<const int> fds);

  void WatchForDamage();

  // Broker thread: as of the last Open(), and of the last call that was answered.
  BackendTraits traits_;
  Standing standing_;
  const std::unique_ptr<Exporter> exporter_;  // worker thread; Interrupt(), alarm_fd() from any
  Reactor& reactor_;
  // Broker thread, all of them. The first two are of the exporter's descriptors.
  std::unique_ptr<FdWatch> alarm_watch_;
  std::unique_ptr<FdWatch> damage_watch_;
  NoteTaker take_note_;
  const ReferenceCounter counter_;
  const std::shared_ptr<Mailbox> mailbox_;
  JobQueue queue_;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_DEVICE_DEVICE_WORKER_H_
