// SPDX-License-Identifier: Apache-2.0
#include "daemon/control/service_status.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "daemon/control/to_proto.h"

namespace hlbuf {
namespace v1 = hlbuf::v1;
namespace {

void AddDevices(const Broker& broker, v1::ServiceStatus& status) {
  for (const auto& device : broker.devices()) *status.add_devices() = ToProto(*device, broker);
  std::sort(status.mutable_devices()->begin(), status.mutable_devices()->end(),
            [](const v1::Device& a, const v1::Device& b) { return a.name() < b.name(); });
}

void AddAway(const Broker& broker, const WallTimes& wall, v1::AwaySessions& away) {
  const std::vector<SessionRecord*> sessions = broker.absences().Away();
  std::size_t leases = 0;
  for (const SessionRecord* session : sessions) {
    leases += session->leases.size();
    if (away.sessions_size() < kAwayShown) *away.add_sessions() = ToProto(*session, wall);
  }
  away.set_session_count(static_cast<std::uint32_t>(sessions.size()));
  away.set_lease_count(static_cast<std::uint32_t>(leases));
  if (!sessions.empty())
    away.mutable_left()->set_seconds(absl::ToInt64Seconds(broker.absences().left()));
}

void AddState(const Broker& broker, const ServiceFacts& facts, v1::KeptState& state) {
  state.set_place(ToProtoEnum<v1::StatePlace>(facts.place));
  state.set_directory(facts.directory);
  state.set_verified(facts.verified);
  for (const std::string& trouble : facts.troubles) state.add_troubles(trouble);
  if (facts.place == ServiceFacts::Place::kNone) return;  // which says it of all
  for (const auto& device : broker.devices())
    if (device->is_open() && device->keeper() == KeeperRole::kNone)
      state.add_troubles(absl::StrCat("nobody keeps copies of what ", device->name(),
                                      " has: a restart of this service will lose it"));
}

void AddLoss(const Loss& loss, const WallTimes& wall, v1::Loss& proto) {
  proto.set_kind(ToProtoEnum<v1::EventKind>(loss.kind));
  proto.set_count(loss.count);
  for (const Loss::Told& told : loss.told)
    *proto.add_events() = ToProto(told.sequence, told.event, wall);
}

}  // namespace

v1::ServiceStatus StatusOf(const Broker& broker, const ServiceFacts& facts) {
  const Ledger& ledger = broker.ledger();
  const WallTimes wall(ledger.clock);
  v1::ServiceStatus status;
  status.set_version(facts.version);
  status.set_life(IdText(facts.life));
  *status.mutable_start_time() = wall(facts.started);
  AddDevices(broker, status);
  status.set_session_count(static_cast<std::uint32_t>(ledger.sessions.size()));
  status.set_buffer_count(static_cast<std::uint32_t>(ledger.registry.size()));
  status.set_lease_count(static_cast<std::uint32_t>(ledger.leases.size()));
  AddAway(broker, wall, *status.mutable_away());
  status.set_reset_enforcement(ToProto(facts.enforcement.resets));
  status.set_revocation_enforcement(ToProto(facts.enforcement.revocations));
  AddState(broker, facts, *status.mutable_state());
  for (const Loss& loss : facts.losses) AddLoss(loss, wall, *status.add_losses());
  return status;
}

}  // namespace hlbuf
