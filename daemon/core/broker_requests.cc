// SPDX-License-Identifier: Apache-2.0
// What clients ask of the broker: open, release, share, unshare.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "daemon/base/status_macros.h"
#include "daemon/core/broker.h"
#include "daemon/core/error.h"
#include "daemon/core/names.h"

namespace hlbuf {
namespace {

std::string Named(const BufferRecord& buffer) {
  return absl::StrCat("buffer ", IdText(buffer.id), buffer.name.empty() ? "" : " '", buffer.name,
                      buffer.name.empty() ? "" : "'");
}

// Whether a buffer that is not ALLOCATING may be leased, or promised to others.
absl::Status CheckLive(const BufferRecord& buffer) {
  if (buffer.state == BufferState::kLive) return absl::OkStatus();
  if (buffer.state == BufferState::kRevoking)
    return Error(ErrorCode::kRevoked, absl::StrCat(Named(buffer), " is being revoked (",
                                                   RevokeReasonText(*buffer.revoked), ")"));
  return Error(
      ErrorCode::kGone,
      absl::StrCat(Named(buffer),
                   " ended with its last lease and only waits until everybody has let go"));
}

// Whether there is a descriptor to hand out.
absl::Status CheckHere(const BufferRecord& buffer) {
  if (buffer.returning)
    return Error(ErrorCode::kDeviceUnavailable,
                 absl::StrCat("the descriptor of ", Named(buffer), " has not come back from ",
                              buffer.device->name(), " since this service was restarted, and ",
                              buffer.device->name(), " is ", StateText(buffer.device->state()),
                              "; open it again when a DEVICE notice says that it is READY"));
  if (buffer.blind)
    return Error(ErrorCode::kGone,
                 absl::StrCat("the descriptor of ", Named(buffer), " was lost with the keeper of ",
                              buffer.device->name(),
                              ": who has it keeps it, nobody else can get it; allocate another"));
  return absl::OkStatus();
}

absl::Status Refusal(const SessionRecord& session, Verb verb, absl::string_view what,
                     const Decision& decision) {
  return Error(ErrorCode::kPermissionDenied,
               absl::StrCat("rule '", decision.rule, "' refuses ", session.peer.domain().Text(),
                            " to ", VerbText(verb), " ", what, "; ", Remedy(verb, decision)));
}

}  // namespace

absl::Status Broker::Refuse(const SessionRecord& session, Verb verb, absl::string_view what,
                            const Decision& decision) {
  absl::Status refusal = Refusal(session, verb, what, decision);
  ledger_.Tell(EventKind::kRequestRefused, session, std::string(refusal.message()));
  return refusal;
}

absl::Status Broker::Missing(BufferId id, const Peer& asker) const {
  const absl::string_view fate = ledger_.registry.FateOf(id, asker);
  if (!fate.empty())
    return Error(ErrorCode::kGone, absl::StrCat("buffer ", IdText(id), " was ", fate));
  return Error(ErrorCode::kNotFound, absl::StrCat("there is no buffer ", IdText(id)));
}

absl::StatusOr<Charge> Broker::Take(const SessionRecord& session, Resource resource,
                                    std::uint64_t amount) {
  absl::StatusOr<Charge> charge = session.account->account.Take(resource, amount);
  if (!charge.ok())
    ledger_.Tell(EventKind::kRequestRefused, session, std::string(charge.status().message()));
  return charge;
}

Decision Broker::MayOpen(const Peer& peer, const BufferRecord& buffer) const {
  return policy_.Decide(
      peer, Verb::kOpen,
      {.device = buffer.device->name(), .owner = &buffer.owner->domain, .shares = buffer.shares});
}

absl::StatusOr<BufferRecord*> Broker::Find(const SessionRecord& session,
                                           const OpenItem& item) const {
  const Domain& own = session.account->domain;
  if (item.id) {
    BufferRecord* buffer = ledger_.registry.Find(item.id);
    if (buffer == nullptr || buffer->state == BufferState::kAllocating)
      return Missing(item.id, session.peer);
    return buffer;
  }
  RETURN_IF_ERROR(CheckName("buffer name", item.name));
  const bool self = item.owner_uid == static_cast<uid_t>(-1);
  const DomainAccount* owner =
      self ? session.account
           : ledger_.accounts.Find({.uid = item.owner_uid, .container = own.container});
  BufferRecord* buffer =
      owner == nullptr ? nullptr : ledger_.registry.FindByName(*owner, item.name);
  if (buffer == nullptr && !self &&
      (owner = ledger_.accounts.Find({.uid = item.owner_uid, .container = ""})) != nullptr)
    buffer = ledger_.registry.FindByName(*owner, item.name);
  if (buffer == nullptr || buffer->state == BufferState::kAllocating)
    return Error(ErrorCode::kNotFound,
                 absl::StrCat("there is no buffer '", item.name, "' of ",
                              self ? own.Text() : absl::StrCat("uid ", item.owner_uid)));
  return buffer;
}

absl::StatusOr<Grant> Broker::OpenOne(SessionRecord& session, const OpenItem& item,
                                      Charge& leases) {
  ASSIGN_OR_RETURN(BufferRecord * buffer, Find(session, item));
  const Decision decision = MayOpen(session.peer, *buffer);
  if (!decision.allowed)
    return Refusal(
        session, Verb::kOpen,
        absl::StrCat("buffer ", IdText(buffer->id), " of uid ", buffer->owner->domain.uid),
        decision);
  RETURN_IF_ERROR(CheckLive(*buffer));
  RETURN_IF_ERROR(CheckHere(*buffer));
  if (buffer->device->state() == DeviceState::kDrained) return Unavailable(*buffer->device);
  const LeaseRecord& lease = ledger_.Grant(session, *buffer, decision.share, leases.Split(1));
  return Grant{.buffer = buffer->id,
               .lease = lease.id,
               .size_bytes = buffer->allocation.size_bytes,
               .epoch = buffer->epoch,
               .epoch_slot = buffer->epoch_slot,
               .fd = buffer->allocation.fd.get()};
}

absl::Status Broker::Open(SessionRecord& session, absl::Span<const OpenItem> items,
                          std::vector<absl::StatusOr<Grant>>& results) {
  results.clear();
  if (ledger_.suspended) return Stopping();
  ASSIGN_OR_RETURN(Charge leases, Take(session, Resource::kLeases, items.size()));
  RETURN_IF_ERROR(ledger_.recorder.Reserve(items.size()));
  for (const OpenItem& item : items) results.push_back(OpenOne(session, item, leases));
  TellRefused(session, results);
  return absl::OkStatus();
}

// One event for all of them: a batch would push out hundreds of others.
void Broker::TellRefused(const SessionRecord& session,
                         absl::Span<const absl::StatusOr<Grant>> results) {
  const auto refused = [](const absl::StatusOr<Grant>& result) {
    return !result.ok() && ErrorCodeOf(result.status()) == ErrorCode::kPermissionDenied;
  };
  const auto first = std::find_if(results.begin(), results.end(), refused);
  if (first == results.end()) return;
  const auto count = std::count_if(first, results.end(), refused);
  ledger_.Tell(EventKind::kRequestRefused, session,
               absl::StrCat(results.size() == 1 ? ""
                                                : absl::StrCat(count, " of ", results.size(),
                                                               " items refused, the first: "),
                            first->status().message()));
}

absl::StatusOr<Grant> Broker::GrantOf(LeaseId id) const {
  const LeaseRecord* lease = ledger_.FindLease(id);
  if (lease == nullptr || lease->state != LeaseState::kActive)
    return Error(ErrorCode::kRevoked, "the buffer was revoked before its descriptor could be sent");
  const BufferRecord& buffer = *lease->buffer;
  RETURN_IF_ERROR(CheckHere(buffer));
  return Grant{.buffer = buffer.id,
               .lease = id,
               .size_bytes = buffer.allocation.size_bytes,
               .epoch = buffer.epoch,
               .epoch_slot = buffer.epoch_slot,
               .fd = buffer.allocation.fd.get()};
}

void Broker::Release(SessionRecord& session, absl::Span<const LeaseId> leases) {
  if (ledger_.suspended) return;  // REATTACH says it again
  for (const LeaseId id : leases) {
    LeaseRecord* lease = ledger_.FindLease(id);
    if (lease != nullptr && lease->session == &session) EndLease(*lease, LeaseEvent::kRelease);
  }
}

absl::StatusOr<BufferRecord*> Broker::FindToShare(SessionRecord& session, BufferId id,
                                                  Grantee grantee) {
  if (grantee.id == kNobodyUid || grantee.id == UINT32_MAX)
    return Error(ErrorCode::kInvalidArgument,
                 absl::StrCat(grantee.id, " is nobody's id; name the uid or gid to share with"));
  if (ledger_.suspended) return Stopping();
  BufferRecord* buffer = ledger_.registry.Find(id);
  if (buffer == nullptr || buffer->state == BufferState::kAllocating)
    return Missing(id, session.peer);
  const Decision decision = policy_.Decide(session.peer, Verb::kShare,
                                           {.device = buffer->device->name(),
                                            .owner = &buffer->owner->domain,
                                            .shares = buffer->shares});
  if (!decision.allowed)
    return Refuse(session, Verb::kShare, absl::StrCat("buffer ", IdText(id)), decision);
  return buffer;
}

absl::Status Broker::Share(SessionRecord& session, BufferId id, Grantee grantee) {
  constexpr std::size_t kSharesMax = 64;
  ASSIGN_OR_RETURN(BufferRecord * buffer, FindToShare(session, id, grantee));
  RETURN_IF_ERROR(CheckLive(*buffer));
  if (std::find(buffer->shares.begin(), buffer->shares.end(), grantee) != buffer->shares.end())
    return absl::OkStatus();
  if (buffer->shares.size() == kSharesMax)
    return Error(ErrorCode::kQuotaExceeded,
                 absl::StrCat(Named(*buffer), " is shared with ", kSharesMax,
                              " grantees already; share with a group, or UNSHARE some"));
  RETURN_IF_ERROR(ledger_.recorder.Reserve(1));
  buffer->shares.push_back(grantee);
  ledger_.recorder.Write(*buffer);
  return absl::OkStatus();
}

// Asks back what only this SHARE allowed; who may open the buffer by another rule keeps its lease
// under that one.
absl::Status Broker::Unshare(SessionRecord& session, BufferId id, Grantee grantee) {
  ASSIGN_OR_RETURN(BufferRecord * buffer, FindToShare(session, id, grantee));
  // Without a SHARE there is no lease by it, and nobody has to look for one.
  if (std::erase(buffer->shares, grantee) == 0) return absl::OkStatus();
  ledger_.recorder.Write(*buffer);
  std::vector<LeaseRecord*> asked_back;
  for (LeaseRecord* lease : buffer->leases) {
    // What was asked back already stays so, for the reason that was told.
    if (lease->share != grantee || lease->state != LeaseState::kActive) continue;
    const Decision decision = MayOpen(lease->session->peer, *buffer);
    if (!decision.allowed) {
      asked_back.push_back(lease);
      continue;
    }
    lease->share = decision.share;
    ledger_.recorder.Write(*lease);
  }
  revocations_.AskBack(*buffer, asked_back, RevokeReason::kUnshared, settings_.operator_grace);
  return absl::OkStatus();
}

}  // namespace hlbuf
