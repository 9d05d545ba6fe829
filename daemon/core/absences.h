// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_CORE_ABSENCES_H_
#define HLBUF_DAEMON_CORE_ABSENCES_H_

#include <cstddef>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "daemon/core/ledger.h"

namespace hlbuf {

// How the end of a session begins to be told that was given up for its client's absence.
inline constexpr absl::string_view kNotBack = "its client did not come back within ";

// Stands in for clients that have not come back: nothing reaches them.
class AbsentClient final : public Notices {
 public:
  bool OnRevoke(RevokeReason, absl::Time, absl::Span<const RevokedLease>) override { return false; }
  void OnDevice(absl::string_view, DeviceState, std::uint64_t) override {}
  absl::Status Signal(Force) override;
};

// What proves that a client is the one that had a session.
struct Identity {
  SessionSecret secret, secret_before;
  uid_t uid = kNobodyUid;
  pid_t pid = 0;
  std::uint64_t pidfd_inode = 0;
  std::uint64_t start_ticks = 0;

  static Identity Of(const SessionRecord& session);
  // Why `peer`, who shows `shown`, is somebody else; empty: it is the same process.
  absl::string_view Mismatch(const Peer& peer, const SessionSecret& shown) const;
};

// Sessions whose clients have to come back after a restart of the service, and for a while those
// that came too late.
//
// Only time in which they could have come is counted: this service stood still now and then, or the
// whole machine did, and nobody could be heard meanwhile. So it is counted in steps, each as one
// however long it took.
class Absences {
 public:
  static constexpr absl::Duration kStep = absl::Seconds(1);
  static constexpr std::size_t kRememberedMax = 4'096;  // sessions; the oldest are forgotten

  // `over` ends an AWAY session.
  using Over = absl::AnyInvocable<void(SessionRecord&)>;
  Absences(Ledger& ledger, absl::Duration grace, Over over)
      : ledger_(ledger), left_(grace), grace_(grace), over_(std::move(over)) {}

  // Clients can come from now on.
  void Begin();
  absl::Duration grace() const { return grace_; }
  // What has passed of the time so far counts.
  void set_grace(absl::Duration grace);
  // Of what clients can still come in; a little more than there is.
  absl::Duration left() const { return left_; }
  std::vector<SessionRecord*> Away() const;
  Notices& absent() { return absent_; }

  // What is known of a session that ended because nobody came.
  struct Ended {
    Identity identity;
    std::string client;
    absl::Time since;
    std::vector<RevokedLease> leases;
    std::string why;
  };
  void Remember(const SessionRecord& session);
  // Null: never here, came back, or forgotten.
  const Ended* Find(SessionId id) const;
  void Forget(SessionId id) { ended_.erase(id); }

 private:
  void CountStep();

  Ledger& ledger_;
  absl::Duration left_;
  absl::Duration grace_;
  Over over_;
  AbsentClient absent_;
  absl::flat_hash_map<SessionId, Ended> ended_;
  std::deque<SessionId> ended_in_order_;
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_CORE_ABSENCES_H_
