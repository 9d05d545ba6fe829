// SPDX-License-Identifier: Apache-2.0
// The model: how leases, buffers, revocations and devices come to an end.
#include <algorithm>
#include <utility>

#include "tests/model/model.h"

namespace hlbuf::model {

namespace {

bool Listens(const DeviceModel& device) {
  return device.state == DeviceState::kReady || device.state == DeviceState::kRevoking;
}

}  // namespace

std::set<LeaseId> Model::LeasesOf(BufferId buffer) const {
  std::set<LeaseId> found;
  for (const auto& [id, lease] : leases)
    if (lease.buffer == buffer) found.insert(id);
  return found;
}

void Model::Tell(const std::set<LeaseId>& asked_back, RevokeReason reason, absl::Time deadline) {
  std::map<SessionId, std::set<LeaseId>> batches;
  for (const LeaseId id : asked_back) {
    Lease& lease = leases.at(id);
    if (lease.state == LeaseState::kActive) lease.state = LeaseState::kRevoking;
    if (lease.due && *lease.due <= deadline) continue;
    lease.due = deadline;
    batches[lease.session].insert(id);
  }
  for (const auto& [session, batch] : batches)
    sessions.at(session).told.push_back({reason, deadline, batch});
}

void Model::AskBack(Revocation& revocation, RevokeReason reason) {
  std::set<LeaseId> asked_back;
  for (const BufferId id : revocation.waiting) {
    Buffer& buffer = buffers.at(id);
    buffer.revoked = reason;
    if (buffer.state == BufferState::kLive) buffer.state = BufferState::kRevoking;
    asked_back.merge(LeasesOf(id));
  }
  Tell(asked_back, reason, revocation.deadline);
  EndRevocations();
}

void Model::Release(SessionId session, LeaseId lease) {
  const auto it = leases.find(lease);
  if (it != leases.end() && it->second.session == session) EndLease(lease);
}

void Model::Park(SessionId session) {
  sessions.at(session).parked = true;
  std::set<LeaseId> ends;
  for (const auto& [id, lease] : leases)
    if (lease.session == session) ends.insert(id);
  for (const LeaseId id : ends) EndLease(id);
}

void Model::EndLease(LeaseId lease) {
  const BufferId id = leases.at(lease).buffer;
  leases.erase(lease);
  Buffer& buffer = buffers.at(id);
  if (LeasesOf(id).empty() && !buffer.returned) Drain(buffer, id);
}

// Nobody may open it any more. Where nothing counts, the leases are all there is to wait for.
void Model::Drain(Buffer& buffer, BufferId id) {
  buffer.state = BufferState::kDraining;
  if (!devices.at(buffer.device).counts && LeasesOf(id).empty())
    Return(buffer, id, Verdict::Kind::kAcknowledged);
}

void Model::Return(Buffer& buffer, BufferId id, std::optional<Verdict::Kind> kind) {
  buffer.state = BufferState::kDraining;
  buffer.returned = true;
  devices.at(buffer.device)
      .jobs.push_back(
          {.call = "free " + std::to_string(buffer.inode), .buffer = id, .step = step_});
  if (kind) Say(id, {.kind = *kind}, false);
  EndRevocations();
}

void Model::Say(BufferId buffer, Verdict verdict, bool only_expired) {
  const auto say = [&](Revocation& revocation) {
    if (only_expired && !revocation.expired) return;
    if (revocation.waiting.erase(buffer) == 0) return;
    revocation.verdicts[buffer] = verdict;
    if (only_expired || verdict.kind == Verdict::Kind::kProven) revocation.counted = now_;
  };
  for (auto& [id, revocation] : revocations) say(revocation);
  for (auto& [name, revocation] : resets) say(revocation);
}

void Model::EndRevocations() {
  std::erase_if(revocations, [this](const auto& entry) {
    if (!entry.second.waiting.empty()) return false;
    if (!entry.second.unheard) ended.insert(entry);
    return true;
  });
  std::vector<std::string> closing;
  std::erase_if(resets, [&](const auto& entry) {
    if (!entry.second.waiting.empty()) return false;
    reset_verdicts_[entry.first] = entry.second.verdicts;
    devices.at(entry.first).state = DeviceState::kClosing;
    closing.push_back(entry.first);
    return true;
  });
  for (const std::string& name : closing) GiveUp(name);
  CloseIfIdle();
}

// What goes with the reset is held by nobody but its file's last users.
void Model::GiveUp(const std::string& name) {
  if (devices.at(name).survives) return;
  for (auto& [id, buffer] : buffers) {
    if (buffer.device != name || buffer.state == BufferState::kAllocating || buffer.returned)
      continue;
    const std::set<LeaseId> out = LeasesOf(id);
    buffer.references =
        std::max({buffer.references, static_cast<std::uint32_t>(out.size()), std::uint32_t{1}});
    for (const LeaseId lease : out) leases.erase(lease);
    buffer.given_up = true;
  }
}

void Model::ReturnGivenUp(const std::function<bool(const std::string&, ino_t)>& counting) {
  for (auto& [id, buffer] : buffers) {
    if (!buffer.given_up || buffer.returned || counting(buffer.device, buffer.inode)) continue;
    buffer.returned = true;
    devices.at(buffer.device)
        .jobs.push_back(
            {.call = "free " + std::to_string(buffer.inode), .buffer = id, .step = step_});
    Say(id,
        buffer.proven ? Verdict{.kind = Verdict::Kind::kProven}
                      : Verdict{.kind = Verdict::Kind::kHeld, .references = buffer.references},
        false);
  }
  EndRevocations();
}

// A device is reset when everything that was taken from it has come back, except what is held and
// survives.
void Model::CloseIfIdle() {
  for (auto& [name, device] : devices) {
    if (device.state != DeviceState::kClosing || !device.jobs.empty()) continue;
    const bool waits = std::any_of(buffers.begin(), buffers.end(), [&](const auto& entry) {
      return entry.second.device == name && entry.second.given_up;
    });
    if (waits) continue;
    device.state = DeviceState::kResetting;
    device.jobs.push_back({.call = "reset", .step = step_});
  }
}

// Counts are waited for as long as answers come.
void Model::HoldUncounted(Revocation& revocation) {
  revocation.uncounted_at = revocation.counted + absl::Seconds(2);
  if (now_ < revocation.uncounted_at) return;
  for (const BufferId id : std::exchange(revocation.waiting, {})) {
    const auto out = static_cast<std::uint32_t>(LeasesOf(id).size());
    revocation.verdicts[id] = {
        .kind = Verdict::Kind::kHeld,
        .references = std::max({buffers.at(id).references, out, std::uint32_t{1}})};
  }
}

void Model::Expire(Revocation& revocation) {
  revocation.expired = true;
  revocation.counted = now_;
  revocation.uncounted_at = now_ + absl::Seconds(2);
  const std::set<BufferId> waiting = revocation.waiting;
  for (const BufferId id : waiting) {
    Buffer& buffer = buffers.at(id);
    const std::set<LeaseId> out = LeasesOf(id);
    for (const LeaseId lease : out)
      if (leases.at(lease).state == LeaseState::kRevoking)
        leases.at(lease).state = LeaseState::kOverdue;
    if (buffer.state == BufferState::kRevoking) Drain(buffer, id);
    if (devices.at(buffer.device).counts) continue;  // the next count decides
    revocation.waiting.erase(id);
    revocation.verdicts[id] = {.kind = Verdict::Kind::kHeld,
                               .references = static_cast<std::uint32_t>(out.size())};
  }
}

void Model::TimeIs(absl::Time now) {
  now_ = now;
  for (auto& [name, device] : devices) {
    if (!device.retry_at || *device.retry_at > now) continue;
    device.retry_at.reset();
    device.state = DeviceState::kOpening;
    device.jobs.push_back({.call = "open", .step = step_});
  }
  for (auto& [name, device] : devices) {
    if (!device.ask_at || *device.ask_at > now) continue;
    device.ask_at.reset();
    if (Listens(device)) device.alarms_asked.push_back(device.epoch);
  }
  for (auto& [id, lease] : leases) {
    if (!lease.overdue_at || *lease.overdue_at > now) continue;
    lease.overdue_at.reset();
    if (lease.state == LeaseState::kRevoking) lease.state = LeaseState::kOverdue;
  }
  const auto expire = [&](Revocation& revocation) {
    if (!revocation.expired && revocation.deadline <= now) return Expire(revocation);
    if (revocation.uncounted_at <= now) HoldUncounted(revocation);
  };
  for (auto& [id, revocation] : revocations) expire(revocation);
  for (auto& [name, revocation] : resets) expire(revocation);
  EndRevocations();
}

void Model::Counted(const std::string& device, ino_t inode, std::uint32_t count) {
  for (auto& [id, buffer] : buffers) {
    if (buffer.device != device || buffer.inode != inode) continue;
    if (buffer.given_up && !buffer.returned) {
      buffer.proven = count == 1;
      return;
    }
    if (buffer.state != BufferState::kDraining || buffer.returned)
      broken = "counted a buffer that may still be opened, or that nobody has any more";
    if (count != 1) {
      const std::uint32_t others = count == 0 ? 1 : count - 1;
      buffer.references = others;
      Say(id, {.kind = Verdict::Kind::kHeld, .references = others}, true);
      EndRevocations();
      return;
    }
    for (const LeaseId lease : LeasesOf(id)) leases.erase(lease);
    Return(buffer, id, Verdict::Kind::kProven);
    return;
  }
  broken = "counted a file that is no buffer";
}

std::string Model::Allocated(Buffer& buffer, BufferId id, bool ok, std::optional<LeaseId> granted) {
  DeviceModel& device = devices.at(buffer.device);
  if (!ok) {
    buffers.erase(id);
    return "NO_MEMORY";
  }
  buffer.inode = ++device.last_inode;
  const auto asker = sessions.find(buffer.asker);
  std::string code = "OK";
  if (asker == sessions.end() || asker->second.parked)
    code = "GONE";
  else if (device.state != DeviceState::kReady || device.epoch != buffer.epoch)
    code = "DEVICE_UNAVAILABLE";
  if (code == "OK") {
    buffer.state = BufferState::kLive;
    if (granted) leases[*granted] = {.session = buffer.asker, .buffer = id};
  } else {
    buffer.ungranted = true;
    Return(buffer, id, std::nullopt);
  }
  return code;
}

std::string Model::Delivered(const std::string& name, const FakeBackend::Answer& answer,
                             std::optional<LeaseId> granted) {
  DeviceModel& device = devices.at(name);
  if (answer.call.rfind("count", 0) == 0) {
    for (const auto& [inode, count] : answer.counts) Counted(name, inode, count);
    return "";
  }
  if (answer.call == "alarm") {
    Alarmed(name, answer.alarm);
    return "";
  }
  auto job = device.jobs.begin();
  while (job != device.jobs.end() && job->call != answer.call) ++job;
  if (job == device.jobs.end() || job->step != device.jobs.front().step) {
    broken = name + " did '" + answer.call + "', which is not what it had to do next";
    return "";
  }
  const Job done = *job;
  device.jobs.erase(job);
  std::string code;
  if (done.call.rfind("allocate", 0) == 0) {
    code = Allocated(buffers.at(done.buffer), done.buffer, answer.ok, granted);
  } else if (done.call.rfind("free", 0) == 0) {
    fates_[done.buffer] = {buffers.at(done.buffer).owner, buffers.at(done.buffer).shares};
    buffers.erase(done.buffer);
  } else if (done.call == "reset" && answer.ok) {
    ++device.epoch;
    device.state = DeviceState::kOpening;
    device.jobs.push_back({.call = "open", .step = step_});
  } else {
    device.state = answer.ok ? DeviceState::kReady : DeviceState::kFailed;
    // A card may come back by what an administrator does.
    const bool lost = done.call == "reset" && !device.survives;
    if (lost) ++device.epoch;
    if (done.call == "open" || lost) Opened(device, answer.ok);
    if (device.resetting) EndReset(name);
  }
  CloseIfIdle();
  return code;
}

// A device that cannot be opened is tried again, each time after twice the pause.
void Model::Opened(DeviceModel& device, bool ok) {
  if (ok) {
    device.pause = absl::Seconds(1);
    device.ask_at.reset();
    if (device.alarms) device.alarms_asked.push_back(device.epoch);
    return;
  }
  device.retry_at = now_ + device.pause;
  device.pause = std::min(device.pause * 2, absl::Minutes(1));
}

// Answers of an earlier epoch, and those that come when the device is being closed, say nothing
// new. What comes during a reset hurries it.
void Model::Alarmed(const std::string& name, const std::optional<Alarm>& alarm) {
  DeviceModel& device = devices.at(name);
  const std::uint64_t epoch = device.alarms_asked.front();
  device.alarms_asked.pop_front();
  if (!Listens(device) || device.epoch != epoch) return;
  if (alarm) Raised(name, *alarm);
  if (Listens(device)) device.ask_at = now_ + absl::Milliseconds(100);
}

void Model::Raised(const std::string& name, const Alarm& alarm) {
  DeviceModel& device = devices.at(name);
  const bool in_time =
      alarm.kind == Alarm::Kind::kResetPending && alarm.window > absl::ZeroDuration();
  const absl::Time deadline =
      now_ + (in_time ? std::min(absl::Seconds(20), alarm.window * 3 / 4) : absl::Seconds(5));
  if (device.state == DeviceState::kReady) {
    device.asked_for = false;
    return BeginReset(name, deadline);
  }
  Revocation& revocation = resets.at(name);
  if (revocation.deadline <= deadline) return;
  revocation.deadline = deadline;
  std::set<LeaseId> out;
  for (const BufferId buffer : revocation.waiting) out.merge(LeasesOf(buffer));
  Tell(out, RevokeReason::kReset, deadline);
}

void Model::EndReset(const std::string& name) {
  devices.at(name).resetting = false;
  if (devices.at(name).asked_for) resets_ended.emplace_back(name, reset_verdicts_[name]);
}

}  // namespace hlbuf::model
