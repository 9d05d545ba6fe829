// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_CORE_ENFORCEMENT_H_
#define HLBUF_DAEMON_CORE_ENFORCEMENT_H_

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "daemon/core/ledger.h"
#include "daemon/core/observer.h"

namespace hlbuf {

// The most that is sent to who does not let go, by what asked. An UNSHARE never sends anything: it
// is a client's request.
struct EnforcementSettings {
  Force resets = Force::kNone;
  Force revocations = Force::kNone;  // of operators
};

// How the text of a kHolderSignalled begins that tells of no signal.
inline constexpr absl::string_view kNotSent = "could not send ";

// Ends processes that hold what was asked back, where the administrator allows it: a dma-buf cannot
// be taken away, but the kernel drops what a dead process had, its registrations too.
//
// Lessees alone are signalled, each through its own session, and of those none that was not told.
// Who holds a descriptor without a lease is not.
class Enforcement {
 public:
  // When, as parts of what is left. Clients have most of it to themselves; who lets go on SIGTERM
  // has a fifth for that; the last fifth is the kernel's, for ending the process, and ours, for
  // counting references.
  static constexpr int kParts = 5, kTerminateAfter = 3, kKillAfter = 4;
  // Whoever was given less, from the notice on, has not had the time to comply, and is not
  // signalled.
  static constexpr absl::Duration kLeastGrace = absl::Seconds(1);

  Enforcement(Ledger& ledger, EnforcementSettings settings)
      : ledger_(ledger), settings_(settings) {}

  void set_settings(EnforcementSettings settings) { settings_ = settings; }
  // Whether who does not let go may be sent `force` for this.
  bool Allows(Force force, RevokeReason reason) const;

  struct Step {
    Force force = Force::kNone;
    absl::Duration after;  // the beginning of what is left
  };
  // For holders that were given `grace` in all, of which `left` is left: less, where the deadline
  // was moved forward. In order of time; empty where nothing is enforced.
  std::vector<Step> Plan(RevokeReason reason, absl::Duration grace, absl::Duration left) const;

  // Signals who holds `leases`: a process once, though it has several sessions, and not again for
  // leases that it was sent this for. `revocation` began at `began`.
  void Send(Force force, RevocationId revocation, absl::Time began,
            absl::Span<LeaseRecord* const> leases);

 private:
  void TellSent(const SessionRecord& session, RevocationId revocation, std::string text);

  Ledger& ledger_;
  EnforcementSettings settings_;
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_CORE_ENFORCEMENT_H_
