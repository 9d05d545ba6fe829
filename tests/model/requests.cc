// SPDX-License-Identifier: Apache-2.0
// The model: who may do what, and what a request begins.
#include <algorithm>

#include "tests/model/model.h"

namespace hlbuf::model {
namespace {

constexpr gid_t kClients = 900;

bool Holds(const std::vector<gid_t>& groups, gid_t group) {
  return std::count(groups.begin(), groups.end(), group) > 0;
}
bool IsNobody(const Peer& peer) { return peer.uid == 65534 || peer.pid == 0; }
bool SameDomain(const Peer& peer, const Domain& domain) {
  return peer.uid == domain.uid && peer.container == domain.container;
}
// Nobody is one domain, wherever it comes from.
Domain DomainOf(const Peer& peer) {
  if (IsNobody(peer)) return {.uid = 65534, .container = ""};
  return {.uid = peer.uid, .container = peer.container};
}
bool Matches(const Grantee& grantee, const Peer& peer) {
  return grantee.kind == Grantee::Kind::kUid ? peer.uid == grantee.id
                                             : Holds(peer.groups, grantee.id);
}

}  // namespace

std::uint64_t Model::Used(Resource resource, const std::optional<Domain>& domain,
                          std::optional<uid_t> uid) const {
  const auto counts = [&](const Domain& of) {
    return (!domain || of == *domain) && (!uid || of.uid == *uid);
  };
  std::uint64_t used = 0;
  for (const auto& [id, buffer] : buffers) {
    if (!counts(buffer.owner)) continue;
    if (resource == Resource::kBytes) used += buffer.size_bytes;
    if (resource == Resource::kBuffers) ++used;
    // The lease that an allocation will be answered with.
    if (resource == Resource::kLeases && buffer.state == BufferState::kAllocating) ++used;
  }
  for (const auto& [id, lease] : leases)
    if (resource == Resource::kLeases && counts(DomainOf(sessions.at(lease.session).peer))) ++used;
  for (const auto& [id, session] : sessions) {
    if (!counts(DomainOf(session.peer))) continue;
    if (resource == Resource::kSessions) ++used;
    if (resource == Resource::kInFlight) used += session.in_flight;
  }
  return used;
}

bool Model::Fits(const Domain& domain, Resource resource, std::uint64_t amount) const {
  const auto r = static_cast<std::size_t>(resource);
  return Used(resource, domain, std::nullopt) + amount <= limits_.domain[r] &&
         Used(resource, std::nullopt, domain.uid) + amount <= limits_.uid[r] &&
         Used(resource, std::nullopt, std::nullopt) + amount <= limits_.service[r];
}

std::string Model::JudgeConnect(const Peer& peer) const {
  return Fits(DomainOf(peer), Resource::kSessions, 1) ? "OK" : "QUOTA_EXCEEDED";
}

std::string Model::TakeInFlight(SessionId id, std::uint64_t fds) {
  Session& session = sessions.at(id);
  if (!Fits(DomainOf(session.peer), Resource::kInFlight, fds)) return "BUSY";
  session.in_flight = fds;
  return "OK";
}

std::string Model::JudgeAllocate(SessionId session, const AllocateRequest& request) const {
  const Peer& peer = sessions.at(session).peer;
  const Domain domain = DomainOf(peer);
  if (IsNobody(peer) || !Holds(peer.groups, kClients)) return "PERMISSION_DENIED";
  if (devices.at(request.device).state != DeviceState::kReady) return "DEVICE_UNAVAILABLE";
  if (request.size_bytes == 0) return "INVALID_ARGUMENT";
  if (!request.name.empty() && Named(domain, request.name)) return "ALREADY_EXISTS";
  const std::uint64_t bytes = (request.size_bytes + 4095) / 4096 * 4096;
  if (!Fits(domain, Resource::kBytes, bytes) || !Fits(domain, Resource::kBuffers, 1) ||
      !Fits(domain, Resource::kLeases, 1))
    return "QUOTA_EXCEEDED";
  return "OK";
}

void Model::BeginAllocate(BufferId id, SessionId session, const AllocateRequest& request) {
  DeviceModel& device = devices.at(request.device);
  const std::uint64_t bytes = (request.size_bytes + 4095) / 4096 * 4096;
  buffers[id] = {.owner = DomainOf(sessions.at(session).peer),
                 .size_bytes = bytes,
                 .name = request.name,
                 .device = request.device,
                 .epoch = device.epoch,
                 .asker = session};
  device.jobs.push_back({.call = "allocate " + std::to_string(bytes), .buffer = id, .step = step_});
}

bool Model::LeasesAllowed(SessionId session, std::uint64_t count) const {
  return Fits(DomainOf(sessions.at(session).peer), Resource::kLeases, count);
}

std::optional<BufferId> Model::Named(const Domain& owner, const std::string& name) const {
  for (const auto& [id, buffer] : buffers)
    if (buffer.owner == owner && buffer.name == name && buffer.state != BufferState::kDraining)
      return id;
  return std::nullopt;
}

std::optional<BufferId> Model::Resolve(SessionId session, const OpenItem& item) const {
  if (item.id) return item.id;
  const Domain own = DomainOf(sessions.at(session).peer);
  const std::string name(item.name);
  if (item.owner_uid == static_cast<uid_t>(-1)) return Named(own, name);
  if (const auto here = Named({.uid = item.owner_uid, .container = own.container}, name))
    return here;
  return Named({.uid = item.owner_uid, .container = ""}, name);
}

std::string Model::Missing(BufferId buffer, const Peer& asker) const {
  const auto found = fates_.find(buffer);
  if (found == fates_.end() || IsNobody(asker)) return "NOT_FOUND";
  const Fate& fate = found->second;
  const bool shared = std::any_of(fate.shares.begin(), fate.shares.end(),
                                  [&](const Grantee& grantee) { return Matches(grantee, asker); });
  return shared || SameDomain(asker, fate.owner) ? "GONE" : "NOT_FOUND";
}

bool Model::MayOpen(const Peer& peer, const Buffer& buffer, std::optional<Grantee>* share) const {
  share->reset();
  if (IsNobody(peer)) return false;
  if (SameDomain(peer, buffer.owner)) return true;
  for (const Grantee& grantee : buffer.shares) {
    if (!Matches(grantee, peer)) continue;
    *share = grantee;
    return true;
  }
  return false;
}

std::string Model::JudgeOpen(SessionId session, const OpenItem& item) const {
  const Peer& peer = sessions.at(session).peer;
  const std::optional<BufferId> id = Resolve(session, item);
  if (!id) return "NOT_FOUND";
  const auto it = buffers.find(*id);
  if (it == buffers.end() || it->second.state == BufferState::kAllocating)
    return item.id ? Missing(*id, peer) : "NOT_FOUND";
  std::optional<Grantee> share;
  if (!MayOpen(peer, it->second, &share)) return "PERMISSION_DENIED";
  if (it->second.state == BufferState::kRevoking) return "REVOKED";
  return it->second.state == BufferState::kLive ? "OK" : "GONE";
}

void Model::Grant(LeaseId lease, SessionId session, BufferId buffer) {
  std::optional<Grantee> share;
  MayOpen(sessions.at(session).peer, buffers.at(buffer), &share);
  leases[lease] = {.session = session, .buffer = buffer, .share = share};
}

std::string Model::JudgeShare(SessionId session, BufferId id, Grantee grantee) const {
  const Peer& peer = sessions.at(session).peer;
  if (grantee.id == 65534) return "INVALID_ARGUMENT";
  const auto it = buffers.find(id);
  if (it == buffers.end() || it->second.state == BufferState::kAllocating) return Missing(id, peer);
  const bool owner = !IsNobody(peer) && SameDomain(peer, it->second.owner);
  return owner ? "OK" : "PERMISSION_DENIED";
}

std::string Model::Share(SessionId session, BufferId id, Grantee grantee) {
  const std::string code = JudgeShare(session, id, grantee);
  if (code != "OK") return code;
  if (buffers.at(id).state == BufferState::kRevoking) return "REVOKED";
  if (buffers.at(id).state == BufferState::kDraining) return "GONE";
  std::vector<Grantee>& shares = buffers.at(id).shares;
  if (std::count(shares.begin(), shares.end(), grantee) == 0) shares.push_back(grantee);
  return code;
}

std::string Model::Unshare(SessionId session, BufferId id, Grantee grantee, absl::Time deadline) {
  const std::string code = JudgeShare(session, id, grantee);
  if (code != "OK") return code;
  Buffer& buffer = buffers.at(id);
  std::erase(buffer.shares, grantee);
  std::set<LeaseId> asked_back;
  for (const LeaseId lease_id : LeasesOf(id)) {
    Lease& lease = leases.at(lease_id);
    if (lease.share != grantee || lease.state != LeaseState::kActive) continue;
    std::optional<Grantee> share;
    if (MayOpen(sessions.at(lease.session).peer, buffer, &share)) {
      lease.share = share;
      continue;
    }
    lease.overdue_at = deadline;
    asked_back.insert(lease_id);
  }
  Tell(asked_back, RevokeReason::kUnshared, deadline);
  return code;
}

std::string Model::JudgeRevoke(const std::set<BufferId>& asked) const {
  for (const BufferId id : asked) {
    const auto it = buffers.find(id);
    if (it == buffers.end()) return fates_.contains(id) ? "GONE" : "NOT_FOUND";
    if (it->second.state == BufferState::kAllocating || it->second.returned) return "NOT_FOUND";
  }
  return "OK";
}

void Model::BeginRevoke(RevocationId id, const std::set<BufferId>& asked, absl::Time deadline) {
  Revocation& revocation = revocations[id];
  revocation = {.waiting = asked, .deadline = deadline};
  AskBack(revocation, RevokeReason::kOperator);
}

std::string Model::Reset(const std::string& name, absl::Time deadline) {
  DeviceModel& device = devices.at(name);
  if (device.state != DeviceState::kReady && device.state != DeviceState::kFailed)
    return "DEVICE_UNAVAILABLE";
  device.asked_for = true;
  BeginReset(name, deadline);
  return "OK";
}

void Model::BeginReset(const std::string& name, absl::Time deadline) {
  DeviceModel& device = devices.at(name);
  device.resetting = true;
  device.retry_at.reset();
  device.pause = absl::Seconds(1);
  reset_verdicts_[name].clear();
  if (device.state == DeviceState::kFailed) {
    device.state = DeviceState::kClosing;
    return CloseIfIdle();
  }
  device.state = DeviceState::kRevoking;
  Revocation& revocation = resets[name];
  revocation = {.deadline = deadline, .reset_of = name};
  for (const auto& [id, buffer] : buffers)
    if (buffer.device == name && buffer.state != BufferState::kAllocating && !buffer.returned)
      revocation.waiting.insert(id);
  AskBack(revocation, RevokeReason::kReset);
}

}  // namespace hlbuf::model
