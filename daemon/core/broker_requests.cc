// SPDX-License-Identifier: Apache-2.0
// What clients ask of the broker: allocate, open, release, share, unshare.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "daemon/base/status_macros.h"
#include "daemon/core/broker.h"
#include "daemon/core/error.h"
#include "daemon/core/names.h"

namespace hlbuf {
namespace {

absl::Status Drained(const Device& device, absl::Time now) {
  const absl::Duration ago = absl::Trunc(now - device.drain()->since, absl::Seconds(1));
  return Error(ErrorCode::kDeviceUnavailable,
               absl::StrCat(device.name(), " is ", StateText(device.state()), ": ",
                            device.failure(), device.failure().empty() ? "" : "; ",
                            device.drain()->by, " took it out of use ", absl::FormatDuration(ago),
                            " ago; use another device, or wait for a DEVICE notice that it is "
                            "READY, which takes `hl-bufctl undrain ",
                            device.name(), "`"));
}

// Rounded up to the device's page, or why not.
absl::StatusOr<std::uint64_t> ExportedBytes(const Device& device, std::uint64_t size_bytes) {
  const BackendTraits& traits = device.traits();
  if (size_bytes == 0)
    return Error(ErrorCode::kInvalidArgument, "size_bytes is 0; a buffer has at least one byte");
  if (size_bytes > traits.buffer_bytes_max)
    return Error(ErrorCode::kInvalidArgument,
                 absl::StrCat("size_bytes is ", size_bytes, "; a buffer of ", device.name(), " (",
                              traits.kind, ") has at most ", traits.buffer_bytes_max, " bytes"));
  return (size_bytes + traits.page_bytes - 1) / traits.page_bytes * traits.page_bytes;
}

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

absl::Status Refusal(const SessionRecord& session, Verb verb, absl::string_view what,
                     const Decision& decision) {
  return Error(ErrorCode::kPermissionDenied,
               absl::StrCat("rule '", decision.rule, "' refuses ", session.peer.domain().Text(),
                            " to ", VerbText(verb), " ", what,
                            verb == Verb::kOpen ? "; its owner can SHARE it"
                                                : "; the administrator's [[rule]]s decide"));
}

}  // namespace

absl::Status Broker::Unavailable(const Device& device) const {
  if (device.drain().has_value()) return Drained(device, ledger_.clock.Now());
  return Error(ErrorCode::kDeviceUnavailable,
               absl::StrCat(device.name(), " is ", StateText(device.state()),
                            device.failure().empty() ? "" : ": ", device.failure(),
                            "; a DEVICE notice tells when it is READY"));
}

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

absl::StatusOr<std::unique_ptr<BufferRecord>> Broker::Admit(SessionRecord& session,
                                                            AllocateRequest request) {
  if (!request.name.empty()) RETURN_IF_ERROR(CheckName("buffer name", request.name));
  RETURN_IF_ERROR(CheckLabels(request.labels));
  if (!request.device.empty()) RETURN_IF_ERROR(CheckName("device name", request.device));
  const Device* named = NamedOrDefault(request.device);
  if (named == nullptr)
    return Error(ErrorCode::kNotFound,
                 request.device.empty()
                     ? "there is no device to allocate on; the administrator configures one"
                     : absl::StrCat("there is no device '", request.device, "'"));
  Device& device = *FindDevice(named->name());
  const Decision decision =
      policy_.Decide(session.peer, Verb::kAllocate, {.device = device.name()});
  if (!decision.allowed)
    return Refuse(session, Verb::kAllocate, absl::StrCat("on ", device.name()), decision);
  if (device.state() != DeviceState::kReady) return Unavailable(device);
  ASSIGN_OR_RETURN(const std::uint64_t bytes, ExportedBytes(device, request.size_bytes));
  if (!request.name.empty() &&
      ledger_.registry.FindByName(*session.account, request.name) != nullptr)
    return Error(ErrorCode::kAlreadyExists,
                 absl::StrCat(session.peer.domain().Text(), " has a buffer '", request.name,
                              "' already; open it, or choose another name"));
  auto buffer = std::make_unique<BufferRecord>();
  ASSIGN_OR_RETURN(buffer->bytes, Take(session, Resource::kBytes, bytes));
  ASSIGN_OR_RETURN(buffer->buffers, Take(session, Resource::kBuffers, 1));
  buffer->name = std::move(request.name);
  buffer->labels = std::move(request.labels);
  buffer->device = &device;
  buffer->epoch = device.epoch();
  buffer->owner = session.account;
  buffer->job = session.peer.job;
  buffer->allocated_by = {.session = session.id, .cookie = request.cookie};
  buffer->since = ledger_.clock.Now();
  buffer->allocation.size_bytes = bytes;
  return buffer;
}

const Device* Broker::NamedOrDefault(absl::string_view name) const {
  return name.empty() ? default_device() : FindDevice(name);
}

void Broker::Allocate(SessionRecord& session, AllocateRequest request, Allocated done) {
  const absl::Time until = ledger_.clock.Now() + request.wait;
  Try({.session = &session,
       .device = NamedOrDefault(request.device),
       .request = std::move(request),
       .until = until,
       .done = std::move(done)});
}

void Broker::Try(Waiting asked) {
  SessionRecord& session = *asked.session;
  std::unique_ptr<Waiting> again;
  if (asked.request.wait > absl::ZeroDuration())
    again = std::make_unique<Waiting>(Waiting{.session = asked.session,
                                              .device = asked.device,
                                              .request = asked.request,
                                              .until = asked.until});
  absl::StatusOr<std::unique_ptr<BufferRecord>> admitted = Admit(session, std::move(asked.request));
  if (!admitted.ok())
    return RefuseOrWait(std::move(again), admitted.status(), std::move(asked.done));
  absl::StatusOr<Charge> lease = Take(session, Resource::kLeases, 1);
  if (!lease.ok()) return std::move(asked.done)(lease.status());
  (*admitted)->id = ledger_.ids.Next<BufferId>();
  BufferRecord& buffer = ledger_.registry.Add(*std::move(admitted));
  Device& device = *buffer.device;
  device.Use(buffer.bytes.amount());
  device.JobBegan();
  device.backend().Allocate(
      {.size_bytes = buffer.allocation.size_bytes, .domain = buffer.owner->domain},
      [this, id = buffer.id, session_id = session.id, lease = *std::move(lease),
       again = std::move(again),
       done = std::move(asked.done)](absl::StatusOr<Allocation> allocation) mutable {
        OnAllocated(id, session_id, std::move(lease), std::move(again), std::move(allocation),
                    std::move(done));
      });
}

void Broker::RefuseOrWait(std::unique_ptr<Waiting> again, const absl::Status& refusal,
                          Allocated done) {
  if (!MayWait(again.get(), refusal)) return std::move(done)(refusal);
  again->done = std::move(done);
  again->refusal = refusal;
  waiting_.Add(std::move(*again));
}

bool Broker::MayWait(const Waiting* again, const absl::Status& refusal) const {
  return again != nullptr && ErrorCodeOf(refusal) == ErrorCode::kDeviceUnavailable &&
         resets_.IsComing(*again->device);
}

absl::Status Broker::InVain(const Waiting& waiting) {
  const Device& device = *waiting.device;
  if (device.state() != DeviceState::kReady) return Unavailable(device);
  TellRefused(device, waiting.session->id, waiting.session->peer.domain(),
              waiting.request.size_bytes, waiting.refusal);
  return waiting.refusal;
}

void Broker::TellRefused(const Device& device, SessionId session, const Domain& domain,
                         std::uint64_t bytes, const absl::Status& refusal) {
  ledger_.Tell({.kind = EventKind::kRequestRefused,
                .device = device.name(),
                .session = session,
                .domain = domain,
                .text = absl::StrCat("allocate of ", bytes, " bytes on ", device.name(), ": ",
                                     refusal.message())});
}

// The world may have changed since the worker was asked.
absl::Status Broker::StillWanted(const BufferRecord& buffer, const SessionRecord* session) const {
  if (session == nullptr || session->state != SessionState::kReady)
    return Error(ErrorCode::kGone, "its session ended while it was allocated");
  if (buffer.revoked.has_value())
    return Error(ErrorCode::kRevoked,
                 "an operator asked back what this user or job holds, while it was allocated; ask "
                 "an operator before you allocate again");
  const Device& device = *buffer.device;
  if (device.state() != DeviceState::kReady) return Unavailable(device);
  if (device.epoch() != buffer.epoch)
    return Error(ErrorCode::kDeviceUnavailable,
                 absl::StrCat(device.name(), " was reset while it was allocated; ask again"));
  return absl::OkStatus();
}

void Broker::OnAllocated(BufferId id, SessionId session_id, Charge lease,
                         std::unique_ptr<Waiting> again, absl::StatusOr<Allocation> allocation,
                         Allocated done) {
  BufferRecord& buffer = *ledger_.registry.Find(id);
  Device& device = *buffer.device;
  const auto it = ledger_.sessions.find(session_id);
  SessionRecord* session = it == ledger_.sessions.end() ? nullptr : it->second.get();
  absl::Status outcome = allocation.status();
  if (allocation.ok()) {
    buffer.allocation = *std::move(allocation);
    outcome = StillWanted(buffer, session);
  }
  if (!outcome.ok()) {
    if (session == nullptr || session->state != SessionState::kReady) again.reset();
    if (!allocation.ok() && !MayWait(again.get(), outcome))
      TellRefused(device, session_id, buffer.owner->domain, buffer.bytes.amount(), outcome);
    lease.GiveBack();
    draining_.BeginUngranted(buffer);
    device.JobEnded();
    return RefuseOrWait(std::move(again), outcome, std::move(done));
  }
  buffer.state = Checked(Next(buffer.state, BufferEvent::kExported));
  ledger_.Tell(EventKind::kBufferAllocated, buffer, buffer.name);
  const LeaseId granted = ledger_.Grant(*session, buffer, std::nullopt, std::move(lease)).id;
  device.JobEnded();
  std::move(done)(granted);
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
  if (buffer->device->state() == DeviceState::kDrained)
    return Drained(*buffer->device, ledger_.clock.Now());
  const LeaseRecord& lease = ledger_.Grant(session, *buffer, decision.share, leases.Split(1));
  return Grant{.buffer = buffer->id,
               .lease = lease.id,
               .size_bytes = buffer->allocation.size_bytes,
               .epoch = buffer->epoch,
               .fd = buffer->allocation.fd.get()};
}

absl::Status Broker::Open(SessionRecord& session, absl::Span<const OpenItem> items,
                          std::vector<absl::StatusOr<Grant>>& results) {
  results.clear();
  ASSIGN_OR_RETURN(Charge leases, Take(session, Resource::kLeases, items.size()));
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
  return Grant{.buffer = buffer.id,
               .lease = id,
               .size_bytes = buffer.allocation.size_bytes,
               .epoch = buffer.epoch,
               .fd = buffer.allocation.fd.get()};
}

void Broker::Release(SessionRecord& session, absl::Span<const LeaseId> leases) {
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
  buffer->shares.push_back(grantee);
  return absl::OkStatus();
}

// Asks back what only this SHARE allowed; who may open the buffer by another rule keeps its lease
// under that one.
absl::Status Broker::Unshare(SessionRecord& session, BufferId id, Grantee grantee) {
  ASSIGN_OR_RETURN(BufferRecord * buffer, FindToShare(session, id, grantee));
  // Without a SHARE there is no lease by it, and nobody has to look for one.
  if (std::erase(buffer->shares, grantee) == 0) return absl::OkStatus();
  std::vector<LeaseRecord*> asked_back;
  for (LeaseRecord* lease : buffer->leases) {
    // What was asked back already stays so, for the reason that was told.
    if (lease->share != grantee || lease->state != LeaseState::kActive) continue;
    const Decision decision = MayOpen(lease->session->peer, *buffer);
    if (decision.allowed)
      lease->share = decision.share;
    else
      asked_back.push_back(lease);
  }
  revocations_.AskBack(*buffer, asked_back, RevokeReason::kUnshared, settings_.operator_grace);
  return absl::OkStatus();
}

}  // namespace hlbuf
