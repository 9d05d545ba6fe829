// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_CORE_WAITING_ALLOCATIONS_H_
#define HLBUF_DAEMON_CORE_WAITING_ALLOCATIONS_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "daemon/core/device.h"
#include "daemon/core/ledger.h"

namespace hlbuf {

struct AllocateRequest {
  std::uint64_t size_bytes = 0;
  std::string name;
  std::string device;
  std::vector<std::string> labels;
  std::uint64_t cookie = 0;  // of the session; 0: it is not repeated
  absl::Duration wait;       // for a device that is on its way to READY; 0: not at all
};

// A request, and what it takes to try it once more.
struct AwaitedAllocation {
  using Done = absl::AnyInvocable<void(absl::StatusOr<LeaseId>) &&>;
  SessionRecord* session = nullptr;
  const Device* device = nullptr;
  AllocateRequest request;
  absl::Time until;
  Done done;
  absl::Status refusal;  // the last one
};

// Allocations that wait until their device is READY: through a reset, or until it opens. They are
// tried again in the order in which they came. Each is charged as the lease that it asks for; its
// bytes are charged when it is tried, for what its owner had before the reset may still be counted.
class WaitingAllocations {
 public:
  // Less than a session may have unanswered, so that what it gives back is read all the while.
  static constexpr std::size_t kPerSession = 8;
  // How soon an allocation is tried again that a READY device refused as one that is away does: it
  // may know of a reset before we do.
  static constexpr absl::Duration kPause = absl::Milliseconds(250);

  using Waiting = AwaitedAllocation;
  using Again = absl::AnyInvocable<void(Waiting)>;
  // With what an allocation is refused that has waited in vain.
  using InVain = absl::AnyInvocable<absl::Status(const Waiting&)>;

  WaitingAllocations(Ledger& ledger, Again again, InVain in_vain)
      : ledger_(ledger), again_(std::move(again)), in_vain_(std::move(in_vain)) {}

  // Answers QUOTA_EXCEEDED when the session has as many waiting already, or as many leases as it
  // may have; as one that has waited in vain when the time is over.
  void Add(Waiting waiting);
  // The device is READY: tries them all again.
  void TryAgain(const Device& device);
  // They wait in vain: the device does not come back by itself, or is kept out of use.
  void Refuse(const Device& device);
  // Answers those of some sessions.
  void RefuseOf(absl::FunctionRef<bool(const SessionRecord&)> is_of, const absl::Status& refusal);

  std::size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    Waiting waiting;
    Charge lease;
    Deadlines::Handle timer;
  };
  void SetTimer(std::uint64_t number, Entry& entry);
  void OnTimer(std::uint64_t number);
  Waiting Take(std::uint64_t number);
  void End(Waiting waiting);
  void TakeAll(absl::FunctionRef<bool(const Waiting&)> is_of,
               absl::FunctionRef<void(Waiting)> take);

  Ledger& ledger_;
  Again again_;
  InVain in_vain_;
  std::uint64_t last_ = 0;
  absl::btree_map<std::uint64_t, Entry> entries_;  // in the order in which they came
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_CORE_WAITING_ALLOCATIONS_H_
