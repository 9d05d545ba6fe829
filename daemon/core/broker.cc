// SPDX-License-Identifier: Apache-2.0
// Devices, sessions and operators' requests; what clients ask for is in broker_requests.cc.
#include "daemon/core/broker.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "daemon/base/status_macros.h"
#include "daemon/core/error.h"

namespace hlbuf {

Broker::Broker(BrokerSettings settings, Policy policy, const Clock& clock, Observer& observer,
               Witness* witness, Recorder& recorder, EpochPage& page)
    : settings_(std::move(settings)),
      policy_(std::move(policy)),
      ledger_(clock, observer, recorder, page, settings_.limits, settings_.first_id),
      absences_(ledger_, settings_.reattach_grace,
                [this](SessionRecord& session) { EndAbsence(session); }),
      inquiry_(ledger_, witness),
      emptying_(ledger_),
      draining_(
          ledger_, inquiry_,
          [this](BufferRecord& buffer, Verdict verdict) { revocations_.OnLetGo(buffer, verdict); },
          [this](BufferRecord& buffer) { revocations_.OnCounted(buffer); },
          [this](const Device& device) { emptying_.OnFreed(device); }),
      revocations_(ledger_, draining_, inquiry_, settings_.enforcement),
      waiting_(
          ledger_, [this](Waiting waiting) { Try(std::move(waiting)); },
          [this](const Waiting& waiting) { return InVain(waiting); }),
      resets_(ledger_, draining_, revocations_, settings_.reset_grace,
              [this](const Device& device) { OnDeviceState(device); }) {}

// Backends first: what their workers still had to say is said to nobody, and no descriptor outlives
// them.
Broker::~Broker() { devices_.clear(); }

Device& Broker::AddDevice(std::string name, std::unique_ptr<Backend> backend) {
  Device& device = Add(std::move(name), std::move(backend));
  resets_.Open(device);
  return device;
}

Device& Broker::Add(std::string name, std::unique_ptr<Backend> backend) {
  devices_.push_back(
      std::make_unique<Device>(std::move(name), std::move(backend), settings_.first_epoch));
  Device& device = *devices_.back();
  device.set_proof(draining_.MakeProof(device.backend()));
  device.backend().OnNote([this, &device](const DeviceNote& note) {
    ledger_.recorder.Write(device, note);
    resets_.OnNote(device, note);
  });
  return device;
}

Device* Broker::FindDevice(absl::string_view name) const {
  for (const auto& device : devices_)
    if (device->name() == name) return device.get();
  return nullptr;
}

const Device* Broker::default_device() const {
  if (!settings_.default_device.empty()) return FindDevice(settings_.default_device);
  return devices_.empty() ? nullptr : devices_.front().get();
}

absl::StatusOr<SessionRecord*> Broker::Connect(Peer peer, Notices& notices) {
  if (ledger_.suspended) return Stopping();
  const Domain domain = peer.domain();
  DomainAccount& account = ledger_.accounts.Of(domain);
  absl::StatusOr<Charge> charge = account.account.Take(Resource::kSessions, 1);
  if (!charge.ok()) {
    ledger_.Tell({.kind = EventKind::kRequestRefused,
                  .domain = domain,
                  .pid = peer.pid,
                  .text = absl::StrCat("connect: ", charge.status().message())});
    ledger_.accounts.DropIfIdle(domain);
    return charge.status();
  }
  auto session = std::make_unique<SessionRecord>();
  session->id = ledger_.ids.Next<SessionId>();
  session->peer = std::move(peer);
  session->account = &account;
  session->notices = &notices;
  session->since = ledger_.clock.Now();
  session->charge = *std::move(charge);
  SessionRecord* record = session.get();
  ledger_.sessions.emplace(record->id, std::move(session));
  return record;
}

absl::Status Broker::Greet(SessionRecord& session, std::string client) {
  // Nobody can have nothing that he could come back for.
  const bool recorded = session.peer.known();
  if (recorded) RETURN_IF_ERROR(ledger_.recorder.Reserve(1));
  session.state = Checked(Next(session.state, SessionEvent::kHello));
  session.client = std::move(client);
  if (recorded) ledger_.recorder.Write(session);
  ledger_.Tell(EventKind::kSessionBegan, session, session.client);
  return absl::OkStatus();
}

void Broker::Park(SessionRecord& session, SessionEvent on, absl::string_view why) {
  const bool greeted = session.state == SessionState::kReady;
  session.state = Checked(Next(session.state, on));
  if (ledger_.suspended) return;  // its client has them, and comes back for them
  while (!session.leases.empty()) EndLease(*session.leases.back(), LeaseEvent::kSessionEnded);
  if (session.waiting_allocations > 0)
    waiting_.RefuseOf([&session](const SessionRecord& other) { return &other == &session; },
                      Error(ErrorCode::kGone, "its session ended while it waited"));
  if (!greeted) return;
  ledger_.recorder.Forget(session.id);
  ledger_.Tell(EventKind::kSessionEnded, session, std::string(why));
}

void Broker::Forget(SessionRecord& session) {
  session.state = Checked(Next(session.state, SessionEvent::kQueueEmpty));
  const Domain domain = session.peer.domain();
  ledger_.sessions.erase(session.id);
  ledger_.accounts.DropIfIdle(domain);
}

void Broker::Reconfigure(Policy policy, const BrokerSettings& settings) {
  policy_ = std::move(policy);
  settings_.limits = settings.limits;
  settings_.operator_grace = settings.operator_grace;
  settings_.reset_grace = settings.reset_grace;
  settings_.enforcement = settings.enforcement;
  ledger_.accounts.SetLimits(settings_.limits);
  settings_.reattach_grace = settings.reattach_grace;
  resets_.set_grace(settings_.reset_grace);
  absences_.set_grace(settings_.reattach_grace);
  revocations_.set_enforcement(settings_.enforcement);
}

absl::Status Broker::TakeInFlight(SessionRecord& session, std::uint64_t fds) {
  ASSIGN_OR_RETURN(session.in_flight, session.account->account.Take(Resource::kInFlight, fds));
  return absl::OkStatus();
}

void Broker::EndLease(LeaseRecord& lease, LeaseEvent on) {
  BufferRecord& buffer = *lease.buffer;
  ledger_.End(lease, on);
  if (buffer.state == BufferState::kDraining)
    draining_.OnLeaseEnded(buffer);
  else if (buffer.leases.empty())
    draining_.Begin(buffer, BufferEvent::kLastLeaseEnded);
}

void Broker::OnDeviceState(const Device& device) {
  if (when_restored_ && resets_.AllResumed()) TellRestored();
  if (device.state() == DeviceState::kReady)
    waiting_.TryAgain(device);
  else if (!resets_.IsComing(device))
    waiting_.Refuse(device);
}

absl::StatusOr<RevocationId> Broker::RevokeBuffers(absl::Span<const BufferId> buffers,
                                                   absl::Duration grace, Revocations::Done done) {
  if (ledger_.suspended) return Stopping();
  std::vector<BufferId> ids(buffers.begin(), buffers.end());
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  std::vector<BufferRecord*> found;
  for (const BufferId id : ids) {
    BufferRecord* buffer = ledger_.registry.Find(id);
    if (buffer != nullptr && buffer->is_out()) {
      found.push_back(buffer);
      continue;
    }
    if (const absl::string_view fate = ledger_.registry.FateOf(id); !fate.empty())
      return Error(ErrorCode::kGone, absl::StrCat("buffer ", IdText(id), " was ", fate));
    return Error(ErrorCode::kNotFound, absl::StrCat("there is no buffer ", IdText(id),
                                                    "; ListBuffers shows those that are"));
  }
  return revocations_.Begin(found, RevokeReason::kOperator, grace, std::move(done));
}

absl::Status Broker::SimulateReset(absl::string_view name, Drill drill, absl::Duration grace,
                                   Resets::Done done) {
  if (ledger_.suspended) return Stopping();
  ASSIGN_OR_RETURN(Device * device, FindNamed(name));
  if (!device->traits().can_drill)
    return Error(ErrorCode::kUnimplemented,
                 absl::StrCat(name, " is ", device->traits().kind,
                              ", which allows no drill; set drills = true on the device (a card's "
                              "hard_reset in sysfs has to be writable, too), or use a software "
                              "device"));
  return resets_.Begin(*device, drill, grace, std::move(done));
}

}  // namespace hlbuf
