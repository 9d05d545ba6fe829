// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_CORE_LEDGER_H_
#define HLBUF_DAEMON_CORE_LEDGER_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "daemon/base/clock.h"
#include "daemon/core/deadlines.h"
#include "daemon/core/epoch_slots.h"
#include "daemon/core/ids.h"
#include "daemon/core/lost_buffers.h"
#include "daemon/core/observer.h"
#include "daemon/core/quota.h"
#include "daemon/core/recorder.h"
#include "daemon/core/records.h"
#include "daemon/core/registry.h"

namespace hlbuf {

// Everything the broker remembers, shared by its parts. Broker thread only.
//
// Member order is the order of destruction reversed: records give their charges back before the
// accounts go.
struct Ledger {
  Ledger(const Clock& c, Observer& o, Recorder& r, EpochPage& page, const QuotaLimits& limits,
         std::uint64_t first_id)
      : clock(c), observer(o), recorder(r), epochs(page), accounts(limits), ids(first_id) {}

  // Makes a lease; `charge` is one of Resource::kLeases.
  LeaseRecord& Grant(SessionRecord& session, BufferRecord& buffer, std::optional<Grantee> share,
                     Charge charge);
  // Ends a lease and forgets it. What that means for its buffer is the caller's affair.
  void End(LeaseRecord& lease, LeaseEvent on);
  LeaseRecord* FindLease(LeaseId id) const;
  // Calls `then` when a lease that was asked back has ended, and says how. One for each revocation
  // of it, until StopWaiting().
  using Ended = absl::AnyInvocable<void(const LeaseRecord&, LeaseEvent) &&>;
  void WhenEnded(const LeaseRecord& lease, RevocationId revocation, Ended then);
  void StopWaiting(LeaseId lease, RevocationId revocation);
  // Asks a lease back. False: its session was told a deadline as early before, and need not hear
  // of it again.
  bool AskBack(LeaseRecord& lease, absl::Time deadline);
  // Makes a REVOKING lease OVERDUE at `deadline`, if it still is one then, and tells so. A second
  // deadline of the same lease takes the place of the first.
  void SetDeadline(const LeaseRecord& lease, absl::Time deadline);

  // Remembers what a reset took, and forgets that again, in the records of the next process too.
  void Lose(LostBuffer buffer);
  void ForgetLost(const Device& device);

  // Everything of a device that somebody may still hold, the oldest first. What is on its way back
  // to the device already is nobody's.
  std::vector<BufferRecord*> HeldOf(const Device& device) const;

  // Fills in the time and what is known of the buffer, and tells the observer.
  void Tell(Event event);
  void Tell(EventKind kind, const BufferRecord& buffer, std::string text,
            RevocationId revocation = {});
  void Tell(EventKind kind, const SessionRecord& session, std::string text);
  void Tell(EventKind kind, const LeaseRecord& lease, std::string text);

  const Clock& clock;
  Observer& observer;
  Recorder& recorder;
  EpochSlots epochs;
  bool suspended = false;  // nothing changes any more but what devices still answer
  Deadlines deadlines;
  Accounts accounts;
  IdSequence ids;
  absl::btree_map<SessionId, std::unique_ptr<SessionRecord>> sessions;
  Registry registry;
  RecordTable<LeaseRecord> leases;
  LostBuffers lost;

 private:
  void ForgetRecords(const LostBuffer& buffer);
  // Its session is AWAY: it will be told.
  static void Miss(const LeaseRecord& lease, LeaseEvent on);

  absl::flat_hash_map<LeaseId, Deadlines::Handle> lease_deadlines_;
  absl::flat_hash_map<LeaseId, absl::btree_map<RevocationId, Ended>> when_ended_;
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_CORE_LEDGER_H_
