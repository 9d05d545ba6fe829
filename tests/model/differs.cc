// SPDX-License-Identifier: Apache-2.0
// The model against what the broker shows.
#include "absl/strings/str_cat.h"
#include "tests/model/model.h"

namespace hlbuf::model {
namespace {

// Collects the first difference.
class Comparison {
 public:
  template <class A, class B>
  void Same(const A& model, const B& broker, absl::string_view what) {
    if (first_.empty() && !(model == broker)) first_ = std::string(what);
  }
  const std::string& first() const { return first_; }

 private:
  std::string first_;
};

std::set<Domain, bool (*)(const Domain&, const Domain&)> Domains(const Model& model) {
  std::set<Domain, bool (*)(const Domain&, const Domain&)> found(
      +[](const Domain& a, const Domain& b) {
        return std::tie(a.uid, a.container) < std::tie(b.uid, b.container);
      });
  for (const auto& [id, session] : model.sessions)
    found.insert(session.peer.uid == 65534 || session.peer.pid == 0
                     ? Domain{.uid = 65534, .container = ""}
                     : Domain{.uid = session.peer.uid, .container = session.peer.container});
  for (const auto& [id, buffer] : model.buffers) found.insert(buffer.owner);
  return found;
}

}  // namespace

std::string Model::Differs(const Broker& broker) const {
  if (!broken.empty()) return broken;
  const Ledger& ledger = broker.ledger();
  Comparison compare;

  compare.Same(sessions.size(), ledger.sessions.size(), "number of sessions");
  for (const auto& [id, session] : sessions) {
    const auto it = ledger.sessions.find(id);
    if (it == ledger.sessions.end()) return "a session is missing";
    const bool parked = it->second->state == SessionState::kParked;
    compare.Same(session.parked, parked, "state of a session");
  }

  compare.Same(leases.size(), ledger.leases.size(), "number of leases");
  for (const auto& [id, lease] : leases) {
    const LeaseRecord* record = ledger.FindLease(id);
    if (record == nullptr) return absl::StrCat("lease ", IdText(id), " is missing");
    compare.Same(lease.state, record->state, absl::StrCat("state of lease ", IdText(id)));
    compare.Same(lease.share, record->share, absl::StrCat("share of lease ", IdText(id)));
    compare.Same(lease.session, record->session->id, "session of a lease");
    compare.Same(lease.buffer, record->buffer->id, "buffer of a lease");
  }

  compare.Same(buffers.size(), ledger.registry.size(), "number of buffers");
  for (const auto& [id, buffer] : buffers) {
    const BufferRecord* record = ledger.registry.Find(id);
    const std::string name = absl::StrCat("buffer ", IdText(id), ": ");
    if (record == nullptr) return name + "missing";
    compare.Same(buffer.state, record->state,
                 absl::StrCat(name, "state, which is ", StateText(record->state)));
    compare.Same(buffer.epoch, record->epoch, name + "epoch");
    compare.Same(buffer.owner, record->owner->domain, name + "owner");
    compare.Same(LeasesOf(id).size(), record->leases.size(), name + "number of leases");
    const bool has_file = buffer.state != BufferState::kAllocating && !buffer.returned;
    compare.Same(has_file, static_cast<bool>(record->allocation.fd), name + "descriptor");
    std::size_t waiting = 0;
    for (const auto& [unused, revocation] : revocations) waiting += revocation.waiting.count(id);
    for (const auto& [unused, revocation] : resets) waiting += revocation.waiting.count(id);
    compare.Same(waiting, record->revocations.size(), name + "revocations that wait for it");
  }

  for (const auto& [name, device] : devices) {
    const Device& record = *broker.FindDevice(name);
    std::uint64_t used_bytes = 0;
    for (const auto& [id, buffer] : buffers)
      if (buffer.device == name) used_bytes += buffer.size_bytes;
    compare.Same(device.state, record.state(),
                 absl::StrCat("state of ", name, ", which is ", StateText(record.state())));
    compare.Same(device.epoch, record.epoch(), "epoch of " + name);
    compare.Same(used_bytes, record.used_bytes(), "used bytes of " + name);
  }

  const auto domains = Domains(*this);
  compare.Same(domains.size(), ledger.accounts.size(), "number of accounts");
  for (const Resource each : {Resource::kBytes, Resource::kBuffers, Resource::kLeases,
                              Resource::kSessions, Resource::kInFlight}) {
    for (const Domain& domain : domains) {
      const DomainAccount* account = ledger.accounts.Find(domain);
      if (account == nullptr) return "no account for " + domain.Text();
      compare.Same(Used(each, domain, std::nullopt), account->account.used(each),
                   absl::StrCat(ResourceText(each), " of ", domain.Text()));
    }
    compare.Same(Used(each, std::nullopt, std::nullopt), ledger.accounts.service().used(each),
                 absl::StrCat(ResourceText(each), " of the service"));
  }
  return compare.first();
}

}  // namespace hlbuf::model
