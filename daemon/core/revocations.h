// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_CORE_REVOCATIONS_H_
#define HLBUF_DAEMON_CORE_REVOCATIONS_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "daemon/core/draining.h"
#include "daemon/core/enforcement.h"
#include "daemon/core/holder.h"
#include "daemon/core/inquiry.h"
#include "daemon/core/ledger.h"

namespace hlbuf {

struct BufferVerdict {
  BufferId buffer;
  std::string name;
  Domain owner;
  Verdict verdict;
  std::vector<Holder> holders;  // of a HELD one; references that no lease explains have no entry
  // Of a HELD one: who has it, as root sees it. nullopt: nobody could be asked, or did not answer
  // in time; HOLDERS_FOUND tells it later then.
  std::optional<OutsideHolders> outside;
};

struct RevocationReport {
  RevocationId id;
  RevokeReason reason = RevokeReason::kOperator;
  absl::Time began, ended, deadline;  // of the injected clock
  std::uint32_t sessions_told = 0;
  std::uint32_t leases_told = 0;  // less those whose session knew an earlier deadline already
  std::vector<BufferVerdict> verdicts;
};

// Asks buffers back: notice, acknowledgement or deadline, enforcement if the administrator allows
// it, verdict. A dma-buf cannot be taken from anybody: after the deadline the verdict says who
// still holds it, and the buffer goes on draining until they let go.
class Revocations {
 public:
  using Done = absl::AnyInvocable<void(const RevocationReport&) &&>;

  // How long HELD verdicts wait for the witness after their deadline. Of a reset it is an eighth of
  // the time that clients had, if that is less: the driver waits as well.
  static constexpr absl::Duration kWitnessPatience = absl::Seconds(1);

  // How long after the deadline, and after the last answer, a count is waited for. A driver that
  // hangs in a call keeps the worker that would count, and verdicts must not wait for that.
  static constexpr absl::Duration kCountPatience = absl::Seconds(2);

  Revocations(Ledger& ledger, Draining& draining, Inquiry& inquiry, EnforcementSettings enforcement)
      : ledger_(ledger),
        draining_(draining),
        inquiry_(inquiry),
        enforcement_(ledger, enforcement) {}

  // Steps that are planned already are taken if these allow them too.
  void set_enforcement(EnforcementSettings settings) { enforcement_.set_settings(settings); }

  // Every buffer gets a verdict, then `done` is called: at once if `buffers` is empty. A buffer
  // that already drains is waited for, too.
  RevocationId Begin(absl::Span<BufferRecord* const> buffers, RevokeReason reason,
                     absl::Duration grace, Done done) {
    return Begin(buffers, {}, reason, grace, std::move(done));
  }
  // Asks `alone` back as well, leases of other buffers, which live on. There is a verdict for each
  // of those buffers too: ACKNOWLEDGED when these leases of it have ended, else HELD, with them, as
  // when a reset took the memory and they were given up.
  // The count of a buffer does not say whose a reference is, so none is PROVEN.
  RevocationId Begin(absl::Span<BufferRecord* const> buffers, absl::Span<LeaseRecord* const> alone,
                     RevokeReason reason, absl::Duration grace, Done done);
  // The same with a `report` that has its id, reason and times already: they were written down
  // before. What is asked back by it anyway is not told again.
  void Begin(RevocationReport report, absl::Span<BufferRecord* const> buffers, Done done);

  // What asked an earlier process of this service goes on, with what it waits for and the time that
  // is left. Nobody is told again: who comes back is.
  struct Earlier {
    RevocationReport report;
    std::vector<BufferRecord*> buffers;
    std::vector<LeaseRecord*> alone;
  };
  void GoOn(Earlier earlier, Done done);

  // Moves the deadline of a running revocation forward, and tells the holders of its buffers.
  // False: it is not later than `deadline` anyway, or over.
  bool Hurry(RevocationId id, absl::Time deadline);

  // Asks single ACTIVE leases of `buffer` back, which lives on. No verdict: the count of a buffer
  // does not say whose a reference is. What is told of them has no RevocationId.
  void AskBack(const BufferRecord& buffer, absl::Span<LeaseRecord* const> leases,
               RevokeReason reason, absl::Duration grace);

  // From Draining: `buffer` was let go or given up, or a count says that it was not let go.
  void OnLetGo(BufferRecord& buffer, Verdict verdict);
  void OnCounted(BufferRecord& buffer);

 private:
  struct Alone {
    std::string device;
    BufferVerdict settled;  // all but the verdict: the buffer may be gone by then
    absl::flat_hash_set<LeaseId> out;
  };
  struct Running {
    RevocationReport report;
    absl::flat_hash_set<BufferId> waiting;
    absl::btree_map<BufferId, Alone> alone;
    Deadlines::Handle timer;
    Deadlines::Handle half_time;
    Deadlines::Handle uncounted;
    absl::Time counted;  // after the deadline: when a count was answered last
    std::vector<Deadlines::Handle> enforcing;
    bool expired = false;
    // After the deadline the witness is asked; HELD verdicts wait until it has answered, or until
    // `patience` is over.
    bool asking = false;
    Deadlines::Handle patience;
    absl::flat_hash_map<BufferId, Verdict> held;
    Inquiry::Seen seen;
    Done done;
  };
  struct Told {
    std::uint32_t sessions = 0;
    std::uint32_t leases = 0;
  };
  // One notice a session, with all its leases that have not been asked back for as early a deadline
  // before: a mute session is not told the same again and again.
  Told Notify(absl::Span<LeaseRecord* const> leases, RevokeReason reason, absl::Time deadline);
  Running& Add(RevocationReport report, Done done);
  void Ask(RevocationId id, absl::Span<BufferRecord* const> buffers,
           absl::Span<LeaseRecord* const> alone);
  // In the time that there is from `from` on.
  void PlanSteps(RevocationId id, Running& running, absl::Time from);
  void Enforce(RevocationId id, Force force);
  std::vector<LeaseRecord*> LeasesOut(const Running& running) const;
  std::vector<BufferRecord*> WaitingOf(const Running& running) const;
  // Those, and the ones that only lose leases.
  std::vector<BufferRecord*> BuffersOut(const Running& running) const;
  // Nobody waits for the answer: it is an event.
  void AskAtHalfTime(RevocationId id);
  void AskOfHeld(RevocationId id);
  void OnAnswer(RevocationId id, const Inquiry::Seen& seen);
  void Expire(RevocationId id);
  void ExpireBuffer(RevocationId id, BufferRecord& buffer);
  // Settles it as HELD, at once or when the witness has been heard.
  void Hold(RevocationId id, BufferRecord& buffer, Verdict held);
  // What could not be counted in time.
  void HoldUncounted(RevocationId id);
  void Settle(RevocationId id, BufferRecord& buffer, Verdict verdict);
  void WaitFor(RevocationId id, Running& running, const LeaseRecord& lease);
  void OnAloneEnded(RevocationId id, BufferId buffer, const LeaseRecord& lease, LeaseEvent on);
  void ExpireAlone(RevocationId id);
  // HELD by its holders, if it has any.
  void ReportAlone(RevocationId id, Alone alone);
  void Report(RevocationId id, absl::string_view device, BufferVerdict settled);
  void EndIfSettled(RevocationId id);

  Ledger& ledger_;
  Draining& draining_;
  Inquiry& inquiry_;
  Enforcement enforcement_;
  absl::flat_hash_map<RevocationId, std::unique_ptr<Running>> running_;
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_CORE_REVOCATIONS_H_
