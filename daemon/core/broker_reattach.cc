// SPDX-License-Identifier: Apache-2.0
// Sessions that come back after a restart of the service.
#include <algorithm>
#include <map>
#include <memory>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "daemon/base/status_macros.h"
#include "daemon/core/broker.h"
#include "daemon/core/error.h"

namespace hlbuf {
namespace {

RevokeReason ReasonOf(const LeaseRecord& lease) {
  if (lease.buffer->revoked.has_value()) return *lease.buffer->revoked;
  return lease.asked_alone_by ? RevokeReason::kOperator : RevokeReason::kUnshared;
}

absl::Status NoSession(SessionId id) {
  return Error(ErrorCode::kNotFound,
               absl::StrCat("there is no session ", IdText(id),
                            " that waits for its client; allocate or open again"));
}

}  // namespace

absl::Status Broker::CheckIdentity(const SessionRecord& fresh, const Reattachment& asked,
                                   const Identity& identity) {
  const absl::string_view mismatch = identity.Mismatch(fresh.peer, asked.secret);
  if (mismatch.empty()) return absl::OkStatus();
  ledger_.Tell(EventKind::kProtocolBroken, fresh,
               absl::StrCat("wanted session ", IdText(asked.session),
                            " back, which is not its: ", mismatch));
  return Error(ErrorCode::kPermissionDenied,
               absl::StrCat("session ", IdText(asked.session),
                            " is not this process's; say HELLO for one of its own"));
}

absl::StatusOr<Reattached> Broker::Reattach(SessionRecord& fresh, const Reattachment& asked) {
  if (const Absences::Ended* ended = absences_.Find(asked.session); ended != nullptr) {
    RETURN_IF_ERROR(CheckIdentity(fresh, asked, ended->identity));
    RETURN_IF_ERROR(ledger_.recorder.Reserve(1));
    return ReattachLate(fresh, asked, *ended);
  }
  const auto it = ledger_.sessions.find(asked.session);
  if (it == ledger_.sessions.end() || it->second.get() == &fresh) return NoSession(asked.session);
  SessionRecord& session = *it->second;
  RETURN_IF_ERROR(CheckIdentity(fresh, asked, Identity::Of(session)));
  if (session.state != SessionState::kAway) return NoSession(asked.session);
  session.state = Checked(Next(session.state, SessionEvent::kReattached));
  return Resume(session, fresh, asked);
}

Reattached Broker::Resume(SessionRecord& session, SessionRecord& fresh, const Reattachment& asked) {
  session.notices = fresh.notices;
  // Its process may have moved to another control group, which is another account, meanwhile.
  if (fresh.account == session.account) {
    session.charge = std::move(fresh.charge);
    session.peer = fresh.peer;
  } else {
    session.charge = session.account->account.Keep(Resource::kSessions, 1);
  }
  // A refusal would cost the client its leases. What was written of it is good still, and so is its
  // secret.
  if (ledger_.recorder.Reserve(1).ok()) {
    session.secret_before = asked.secret;
    if (!fresh.secret.empty()) session.secret = fresh.secret;
    ledger_.recorder.Write(session);
  }
  EndUnclaimed(session, asked);
  Reattached back = {.session = &session, .ended = {}, .why = std::move(session.missed_why)};
  const auto missed = std::exchange(session.missed, {});
  session.missed_why.clear();
  for (const LeaseId lease : asked.held) {
    const LeaseRecord* record = ledger_.FindLease(lease);
    if (record != nullptr && record->session == &session) continue;
    const auto known =
        std::find_if(missed.begin(), missed.end(),
                     [lease](const RevokedLease& each) { return each.lease == lease; });
    back.ended.push_back(
        {.lease = lease, .buffer = known == missed.end() ? BufferId() : known->buffer});
  }
  if (back.ended.empty())
    back.why.clear();
  else if (back.why.empty())
    back.why = absl::StrCat("lease ", IdText(back.ended.front().lease), " is over");
  ledger_.Tell(EventKind::kSessionBegan, session,
               absl::StrCat(session.client, " came back after a restart of this service, with ",
                            CountText(session.leases.size(), "lease")));
  // Behind the answer to the client, which is sent when this has returned.
  if (!session.leases.empty())
    ledger_.deadlines.At(ledger_.clock.Now(), [this, id = session.id] { TellAgain(id); });
  // Last: what ended may have been told to `notices`, which know no other record yet.
  ForgetConnection(fresh);
  return back;
}

// The session is ready, with nothing: that is what its client is told.
Reattached Broker::ReattachLate(SessionRecord& fresh, const Reattachment& asked,
                                const Absences::Ended& ended) {
  auto session = std::make_unique<SessionRecord>();
  session->id = asked.session;
  session->peer = fresh.peer;
  session->state = SessionState::kReady;
  session->secret = ended.identity.secret;
  session->client = ended.client;
  session->account = fresh.account;
  session->since = ended.since;
  session->missed = ended.leases;
  session->missed_why = ended.why;
  absences_.Forget(asked.session);
  SessionRecord& record = *session;
  ledger_.sessions.emplace(asked.session, std::move(session));
  return Resume(record, fresh, asked);
}

void Broker::ForgetConnection(SessionRecord& fresh) {
  fresh.state = Checked(Next(fresh.state, SessionEvent::kReattached));
  const Domain domain = fresh.peer.domain();
  ledger_.sessions.erase(fresh.id);
  ledger_.accounts.DropIfIdle(domain);
}

// Complete: what the client does not name it has let go of, or never got.
void Broker::EndUnclaimed(SessionRecord& session, const Reattachment& asked) {
  const absl::flat_hash_set<LeaseId> held(asked.held.begin(), asked.held.end());
  const absl::flat_hash_set<std::uint64_t> unanswered(asked.unanswered.begin(),
                                                      asked.unanswered.end());
  const std::vector<LeaseRecord*> leases = session.leases;
  for (LeaseRecord* lease : leases) {
    const AllocatedBy& by = lease->buffer->allocated_by;
    const bool repeated = by.session == session.id && unanswered.contains(by.cookie);
    if (!repeated && !held.contains(lease->id)) EndLease(*lease, LeaseEvent::kRelease);
  }
}

// Of what is asked back, whether or not it was told before: what the earlier process had not sent
// yet is lost. Who has less than the least grace left is not signalled for it.
void Broker::TellAgain(SessionId id) {
  const auto it = ledger_.sessions.find(id);
  if (it == ledger_.sessions.end() || it->second->state != SessionState::kReady) return;
  std::map<std::pair<absl::Time, RevokeReason>, std::vector<LeaseRecord*>> batches;
  for (LeaseRecord* lease : it->second->leases)
    if (lease->state != LeaseState::kActive && !lease->told)
      batches[{lease->due, ReasonOf(*lease)}].push_back(lease);
  for (const auto& [what, leases] : batches) {
    const auto& [due, reason] = what;
    std::vector<RevokedLease> notice;
    for (const LeaseRecord* lease : leases)
      notice.push_back({.lease = lease->id, .buffer = lease->buffer->id});
    const bool told = it->second->notices->OnRevoke(reason, due, notice);
    const bool in_time = due - ledger_.clock.Now() >= Enforcement::kLeastGrace;
    for (LeaseRecord* lease : leases) lease->told = told && in_time;
  }
}

std::optional<LeaseId> Broker::AllocatedBefore(const SessionRecord& session,
                                               std::uint64_t cookie) const {
  for (const LeaseRecord* lease : session.leases)
    if (lease->buffer->allocated_by == AllocatedBy{.session = session.id, .cookie = cookie})
      return lease->id;
  return std::nullopt;
}

}  // namespace hlbuf
