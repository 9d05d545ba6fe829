// SPDX-License-Identifier: Apache-2.0
#include "daemon/core/absences.h"

#include <algorithm>

#include "absl/status/status.h"

namespace hlbuf {

absl::Status AbsentClient::Signal(Force) {
  return absl::FailedPreconditionError(
      "its client has not come back since this service was restarted");
}

Identity Identity::Of(const SessionRecord& session) {
  return {.secret = session.secret,
          .secret_before = session.secret_before,
          .uid = session.peer.uid,
          .pid = session.peer.pid,
          .pidfd_inode = session.peer.pidfd_inode,
          .start_ticks = session.peer.start_ticks};
}

absl::string_view Identity::Mismatch(const Peer& peer, const SessionSecret& shown) const {
  const bool is_new = secret.Matches(shown), is_old = secret_before.Matches(shown);
  if (!is_new && !is_old) return "its secret is another one";
  if (!peer.known() || peer.uid != uid) return "it is of another uid";
  const bool by_inode = pidfd_inode != 0 && peer.pidfd_inode != 0;
  const bool same = by_inode
                        ? peer.pidfd_inode == pidfd_inode
                        : peer.pid == pid && peer.start_ticks == start_ticks && start_ticks != 0;
  return same ? "" : "it is another process";
}

std::vector<SessionRecord*> Absences::Away() const {
  std::vector<SessionRecord*> away;
  for (const auto& [id, session] : ledger_.sessions)
    if (session->state == SessionState::kAway) away.push_back(session.get());
  return away;
}

void Absences::Begin() {
  if (Away().empty()) return;
  ledger_.deadlines.At(ledger_.clock.Now() + std::min(left_, kStep), [this] { CountStep(); });
}

// The step that has begun ends as it would have: a grace that is over by now ends with it.
void Absences::set_grace(absl::Duration grace) {
  left_ = std::max(left_ + grace - grace_, absl::ZeroDuration());
  grace_ = grace;
}

void Absences::CountStep() {
  if (ledger_.suspended) return;  // nobody can come any more; the next process counts anew
  left_ -= std::min(left_, kStep);
  if (left_ > absl::ZeroDuration()) return Begin();
  for (SessionRecord* session : Away()) over_(*session);
}

void Absences::Remember(const SessionRecord& session) {
  Ended ended = {.identity = Identity::Of(session),
                 .client = session.client,
                 .since = session.since,
                 .leases = session.missed,
                 .why = session.missed_why};
  if (!ended_.insert_or_assign(session.id, std::move(ended)).second) return;
  ended_in_order_.push_back(session.id);
  if (ended_in_order_.size() <= kRememberedMax) return;
  ended_.erase(ended_in_order_.front());
  ended_in_order_.pop_front();
}

const Absences::Ended* Absences::Find(SessionId id) const {
  const auto it = ended_.find(id);
  return it == ended_.end() ? nullptr : &it->second;
}

}  // namespace hlbuf
