// SPDX-License-Identifier: Apache-2.0
#include "daemon/core/restoration.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "daemon/core/resumptions.h"

namespace hlbuf {

Restoration::Restoration(Ledger& ledger, Notices& absent, Kept kept)
    : ledger_(ledger), absent_(absent), kept_(std::move(kept)) {
  SkipIds();
}

// Ids of this process begin with the wall clock, too; whoever set that back does not repeat any.
void Restoration::SkipIds() const {
  std::uint64_t last = 0;
  for (const KeptSession& session : kept_.sessions) last = std::max(last, session.id.value);
  for (const KeptBuffer& buffer : kept_.buffers) last = std::max(last, buffer.id.value);
  for (const KeptLease& lease : kept_.leases) last = std::max(last, lease.id.value);
  for (const KeptRevocation& asked : kept_.revocations) last = std::max(last, asked.id.value);
  for (const KeptDevice& device : kept_.devices)
    if (device.closing.has_value()) last = std::max(last, device.closing->revocation.value);
  ledger_.ids.SkipTo(last);
}

std::vector<DeviceNote> Restoration::TakeDevice(Device& device) {
  devices_[device.name()] = &device;
  const auto kept =
      std::find_if(kept_.devices.begin(), kept_.devices.end(),
                   [&device](const KeptDevice& each) { return each.name == device.name(); });
  if (kept == kept_.devices.end()) return {};
  device.GoOnFrom(kept->epoch);
  device.set_drain(kept->drain);
  device.set_closing(kept->closing);
  if (const auto& closing = device.closing(); closing.has_value())
    asked_[closing->revocation] = {.earlier = {.report = {.id = closing->revocation,
                                                          .reason = RevokeReason::kReset,
                                                          .began = ledger_.clock.Now(),
                                                          .deadline = closing->deadline}},
                                   .reset_of = &device};
  return std::move(kept->notes);
}

void Restoration::TakeRecords() {
  for (const KeptSession& session : kept_.sessions) Take(session);
  // In the order of their ids: that is how they are looked through.
  std::sort(kept_.buffers.begin(), kept_.buffers.end(),
            [](const KeptBuffer& a, const KeptBuffer& b) { return a.id < b.id; });
  for (KeptBuffer& buffer : kept_.buffers) Take(std::move(buffer));
  for (const KeptLease& lease : kept_.leases) Take(lease);
  // Leases first: a lease of no buffer is no state that is gone on from.
  for (const BufferId buffer : homeless_) ledger_.recorder.Forget(buffer);
  for (auto& [id, lost] : given_up_) ledger_.Lose(std::move(lost));
  TakeEpochPage();
}

// What the page says may be of a moment before or after what is written down, or of another
// service.
void Restoration::TakeEpochPage() {
  std::vector<BufferRecord*> current;
  for (const auto& [id, buffer] : ledger_.registry.in_order()) {
    if (buffer->state == BufferState::kLive)
      current.push_back(buffer);
    else
      buffer->epoch_slot = 0;
  }
  for (const BufferRecord* moved : ledger_.epochs.Restore(current)) ledger_.recorder.Write(*moved);
}

void Restoration::Take(const KeptSession& kept) {
  auto session = std::make_unique<SessionRecord>();
  session->id = kept.id;
  session->peer = kept.peer;
  session->state = SessionState::kAway;
  session->secret = kept.secret;
  session->secret_before = kept.secret_before;
  session->client = kept.client;
  session->account = &ledger_.accounts.Of(kept.peer.domain());
  session->hold = AccountHold(session->account->account);
  session->notices = &absent_;
  session->since = kept.since;
  ledger_.sessions.emplace(kept.id, std::move(session));
}

void Restoration::Take(KeptBuffer kept) {
  const auto device = devices_.find(kept.device);
  // Nobody ever saw what was being allocated.
  if (kept.state == BufferState::kAllocating) return ledger_.recorder.Forget(kept.id);
  if (device == devices_.end()) {
    homeless_.push_back(kept.id);
    if (kept.state != BufferState::kDraining && !kept.given_up) ++buffers_missed_;
    return;
  }
  if (kept.given_up) return Lose(kept, *device->second);
  Add(RecordOf(std::move(kept), *device->second));
}

std::unique_ptr<BufferRecord> Restoration::RecordOf(KeptBuffer kept, Device& device) {
  auto buffer = std::make_unique<BufferRecord>();
  buffer->id = kept.id;
  buffer->device = &device;
  buffer->owner = &ledger_.accounts.Of(kept.owner);
  buffer->epoch = kept.epoch;
  buffer->shares = std::move(kept.shares);
  buffer->allocation.size_bytes = kept.size_bytes;
  buffer->allocation.window = kept.window;
  buffer->allocation.inode = kept.inode;
  buffer->allocated_by = kept.allocated_by;
  buffer->state = kept.state;
  buffer->job = kept.job;
  buffer->returning = true;
  buffer->blind = kept.blind;
  buffer->revoked = kept.revoked;
  buffer->references = kept.references;
  buffer->epoch_slot = kept.epoch_slot;
  buffer->name = std::move(kept.name);
  buffer->labels = std::move(kept.labels);
  buffer->since = kept.since;
  buffer->draining_since = kept.draining_since;
  buffer->unleased_since = kept.unleased_since;
  buffer->revocations = std::move(kept.revocations);
  buffer->verdict = kept.verdict;
  return buffer;
}

void Restoration::Add(std::unique_ptr<BufferRecord> buffer) {
  const std::uint64_t size_bytes = buffer->allocation.size_bytes;
  Device& device = *buffer->device;
  Account& account = buffer->owner->account;
  buffer->bytes = account.Keep(Resource::kBytes, size_bytes);
  buffer->buffers = account.Keep(Resource::kBuffers, 1);
  device.Use(size_bytes);
  const BufferRecord& added = ledger_.registry.Add(std::move(buffer));
  if (added.state != BufferState::kDraining) return;
  device.DrainBegan(size_bytes);
  ledger_.registry.DropName(added);  // another one may have it
}

void Restoration::Lose(const KeptBuffer& kept, const Device& device) {
  given_up_[kept.id] = {.id = kept.id,
                        .name = kept.name,
                        .device = &device,
                        .epoch = kept.epoch,
                        .owner = kept.owner,
                        .size_bytes = kept.size_bytes,
                        .inode = static_cast<ino_t>(kept.inode),
                        .job = kept.job,
                        .revoked = kept.revoked,
                        .since = kept.since,
                        .given_up = ledger_.clock.Now(),
                        .verdict = kept.verdict.value_or(Verdict{.kind = Verdict::Kind::kHeld})};
}

void Restoration::Take(const KeptLease& kept) {
  const auto session = ledger_.sessions.find(kept.session);
  SessionRecord* holder = session == ledger_.sessions.end() ? nullptr : session->second.get();
  if (const auto lost = given_up_.find(kept.buffer); lost != given_up_.end()) {
    lost->second.leases.push_back(kept.id);
    if (holder == nullptr) return;
    holder->missed.push_back({.lease = kept.id, .buffer = kept.buffer});
    holder->missed_why = "a reset took its memory";
    if (lost->second.holders.size() == LostBuffers::kHoldersMax)
      ++lost->second.holders_left_out;
    else
      lost->second.holders.push_back({.session = holder->id,
                                      .domain = holder->peer.domain(),
                                      .pid = holder->peer.pid,
                                      .signalled = kept.signalled});
    return;
  }
  if (std::binary_search(homeless_.begin(), homeless_.end(), kept.buffer))
    return Miss(kept, holder);
  BufferRecord& buffer = *ledger_.registry.Find(kept.buffer);
  auto lease = std::make_unique<LeaseRecord>();
  lease->id = kept.id;
  lease->session = holder;
  lease->buffer = &buffer;
  lease->place_in_session = static_cast<std::uint32_t>(holder->leases.size());
  lease->place_in_buffer = static_cast<std::uint32_t>(buffer.leases.size());
  lease->share = kept.share;
  lease->state = kept.state;
  lease->signalled = kept.signalled;
  lease->asked_alone_by = kept.asked_alone_by;
  lease->due = kept.due;
  lease->since = kept.since;
  lease->charge = holder->account->account.Keep(Resource::kLeases, 1);
  holder->leases.push_back(lease.get());
  buffer.leases.push_back(lease.get());
  ledger_.leases.insert(std::move(lease));
}

void Restoration::Miss(const KeptLease& kept, SessionRecord* holder) {
  ++leases_missed_;
  ledger_.recorder.Forget(kept.id);
  if (holder == nullptr) return;
  holder->missed.push_back({.lease = kept.id, .buffer = kept.buffer});
  holder->missed_why = "its device is not configured any more";
}

std::vector<Restoration::Asked> Restoration::TakeRevocations() {
  for (const KeptRevocation& kept : kept_.revocations) {
    // That of a reset which is over; what its buffers still wait for is not known any more.
    if (kept.reason == RevokeReason::kReset && !asked_.contains(kept.id)) {
      ledger_.recorder.Forget(kept.id);
      continue;
    }
    Asked& asked = asked_[kept.id];
    asked.earlier = EarlierOf(kept);
    asked.told = kept.deadline;
  }
  for (auto& [id, asked] : asked_)
    if (asked.reset_of != nullptr) asked.earlier.buffers = ledger_.HeldOf(*asked.reset_of);
  for (const auto& [id, buffer] : ledger_.registry.in_order()) {
    std::erase_if(buffer->revocations,
                  [this](RevocationId waiting) { return !asked_.contains(waiting); });
    for (const RevocationId waiting : buffer->revocations)
      if (Asked& asked = asked_[waiting]; asked.reset_of == nullptr)
        asked.earlier.buffers.push_back(buffer);
  }
  for (const auto& lease : ledger_.leases)
    if (lease->state != LeaseState::kActive) GoOn(*lease);
  std::vector<Asked> all;
  for (auto& [id, asked] : asked_) all.push_back(std::move(asked));
  return all;
}

// Who is given more time for a revocation is told so when he comes back.
void Restoration::GoOn(LeaseRecord& lease) {
  const Asked* const told = WhoTold(lease);
  if (lease.state == LeaseState::kRevoking && told != nullptr && told->told == lease.due) {
    lease.due = std::max(lease.due, told->earlier.report.deadline);
    ledger_.recorder.Write(lease);
  }
  if (const auto alone = asked_.find(lease.asked_alone_by); alone != asked_.end())
    alone->second.earlier.alone.push_back(&lease);
  else if (lease.state == LeaseState::kRevoking && told == nullptr)
    ledger_.SetDeadline(lease, lease.due);
}

const Restoration::Asked* Restoration::WhoTold(const LeaseRecord& lease) const {
  std::vector<RevocationId> asked = lease.buffer->revocations;
  asked.push_back(lease.asked_alone_by);
  for (const RevocationId id : asked)
    if (const auto it = asked_.find(id);
        it != asked_.end() && (it->second.reset_of != nullptr || it->second.told == lease.due))
      return &it->second;
  return nullptr;
}

// A reset has no more time than its device gave it; what a client owes an operator, he is given
// the time to hear of.
Revocations::Earlier Restoration::EarlierOf(const KeptRevocation& kept) {
  Revocations::Earlier earlier;
  earlier.report = {.id = kept.id,
                    .reason = kept.reason,
                    .began = kept.began,
                    .deadline = kept.deadline,
                    .sessions_told = kept.sessions_told,
                    .leases_told = kept.leases_told};
  if (kept.reason != RevokeReason::kReset)
    earlier.report.deadline = std::max(earlier.report.deadline, ledger_.clock.Now() + kLeastLeft);
  return earlier;
}

void Restoration::TellWhatIsLost() {
  if (buffers_missed_ == 0) return;
  ledger_.Tell({.kind = EventKind::kBuffersLost,
                .text = absl::StrCat(CountText(buffers_missed_, "buffer"),
                                     " of devices that are not configured any more ended with the "
                                     "restart of this service"),
                .count = buffers_missed_});
  TellLeasesLost(ledger_, "", leases_missed_);
}

}  // namespace hlbuf
