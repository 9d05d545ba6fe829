// SPDX-License-Identifier: Apache-2.0
#include "daemon/core/kept.h"

#include <algorithm>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "daemon/base/status_macros.h"
#include "daemon/core/names.h"
#include "daemon/core/revocations.h"

namespace hlbuf {
namespace {

template <class... Words>
absl::Status Wrong(const Words&... words) {
  return absl::DataLossError(absl::StrCat(words...));
}

absl::Status CheckBuffer(const KeptBuffer& buffer) {
  if (!buffer.id) return Wrong("a buffer has no id");
  const std::string name = absl::StrCat("buffer ", IdText(buffer.id));
  if (buffer.size_bytes == 0 || buffer.size_bytes > kChargeMax)
    return Wrong(name, " has ", buffer.size_bytes, " bytes");
  if (buffer.state > BufferState::kDraining) return Wrong(name, " is in no state that is kept");
  if (buffer.state == BufferState::kRevoking && !buffer.revoked.has_value())
    return Wrong(name, " is being revoked for no reason");
  if (!buffer.name.empty() && !CheckName("buffer name", buffer.name).ok())
    return Wrong(name, " has a name that is none");
  return absl::OkStatus();
}

// Of what was given up the leases are kept for who asks who had it, and their sessions may be gone.
absl::Status CheckLease(const KeptLease& lease, const KeptBuffer* buffer, bool has_session) {
  if (!lease.id) return Wrong("a lease has no id");
  const std::string name = absl::StrCat("lease ", IdText(lease.id));
  if (buffer == nullptr) return Wrong(name, " is of no buffer");
  if (!has_session && !buffer->given_up) return Wrong(name, " is of no session");
  if (buffer->state == BufferState::kAllocating)
    return Wrong(name, " is of a buffer that nobody has got");
  if (lease.state >= LeaseState::kEnded) return Wrong(name, " is in no state that is kept");
  return absl::OkStatus();
}

template <class Values, class Key>
absl::Status CheckUnique(const Values& values, Key key, absl::string_view what) {
  absl::flat_hash_set<std::decay_t<decltype(key(*values.begin()))>> seen;
  for (const auto& value : values)
    if (!seen.insert(key(value)).second) return Wrong("there are two ", what, " of one name");
  return absl::OkStatus();
}

constexpr auto kId = [](const auto& value) { return value.id; };

// As the registry sees it; what was never granted is not restored.
bool HasName(const KeptBuffer& buffer) {
  return (buffer.state == BufferState::kLive || buffer.state == BufferState::kRevoking) &&
         !buffer.given_up;
}

absl::Status CheckNames(const Kept& kept) {
  absl::flat_hash_set<std::pair<Domain, std::string>> names;
  for (const KeptBuffer& buffer : kept.buffers)
    if (!buffer.name.empty() && HasName(buffer) && !names.emplace(buffer.owner, buffer.name).second)
      return Wrong("two buffers of ", buffer.owner.Text(), " have one name");
  return absl::OkStatus();
}

}  // namespace

KeptDevice Keep(const Device& device) {
  return {.name = device.name(),
          .epoch = device.epoch(),
          .drain = device.drain(),
          .closing = device.closing(),
          .notes = {}};
}

KeptSession Keep(const SessionRecord& session) {
  return {.id = session.id,
          .peer = session.peer,
          .secret = session.secret,
          .secret_before = session.secret_before,
          .client = session.client,
          .since = session.since};
}

KeptBuffer Keep(const BufferRecord& buffer) {
  const std::size_t waiting = std::min(buffer.revocations.size(), KeptBuffer::kRevocationsMax);
  return {.id = buffer.id,
          .device = buffer.device->name(),
          .epoch = buffer.epoch,
          .owner = buffer.owner->domain,
          .name = buffer.name,
          .labels = buffer.labels,
          .shares = buffer.shares,
          .size_bytes = buffer.bytes.amount(),
          .window = buffer.allocation.window,
          .inode = buffer.allocation.inode,
          .allocated_by = buffer.allocated_by,
          .job = buffer.job,
          .state = buffer.state,
          .blind = buffer.blind,
          .given_up = buffer.given_up,
          .revoked = buffer.revoked,
          .verdict = buffer.verdict,
          .references = buffer.references,
          .epoch_slot = buffer.epoch_slot,
          .since = buffer.since,
          .draining_since = buffer.draining_since,
          .unleased_since = buffer.unleased_since,
          .revocations = {buffer.revocations.end() - static_cast<std::ptrdiff_t>(waiting),
                          buffer.revocations.end()}};
}

KeptLease Keep(const LeaseRecord& lease) {
  return {.id = lease.id,
          .session = lease.session->id,
          .buffer = lease.buffer->id,
          .share = lease.share,
          .state = lease.state,
          .signalled = lease.signalled,
          .asked_alone_by = lease.asked_alone_by,
          .due = lease.due,
          .since = lease.since};
}

KeptRevocation Keep(const RevocationReport& report) {
  return {.id = report.id,
          .reason = report.reason,
          .began = report.began,
          .deadline = report.deadline,
          .sessions_told = report.sessions_told,
          .leases_told = report.leases_told};
}

absl::Status Check(const Kept& kept) {
  RETURN_IF_ERROR(CheckUnique(
      kept.devices, [](const KeptDevice& device) { return device.name; }, "devices"));
  RETURN_IF_ERROR(CheckUnique(kept.sessions, kId, "sessions"));
  RETURN_IF_ERROR(CheckUnique(kept.buffers, kId, "buffers"));
  RETURN_IF_ERROR(CheckUnique(kept.leases, kId, "leases"));
  RETURN_IF_ERROR(CheckUnique(kept.revocations, kId, "revocations"));
  RETURN_IF_ERROR(CheckNames(kept));
  absl::flat_hash_set<SessionId> sessions;
  for (const KeptSession& session : kept.sessions) {
    if (!session.id) return Wrong("a session has no id");
    sessions.insert(session.id);
  }
  absl::flat_hash_map<BufferId, const KeptBuffer*> buffers;
  for (const KeptBuffer& buffer : kept.buffers) {
    RETURN_IF_ERROR(CheckBuffer(buffer));
    buffers[buffer.id] = &buffer;
  }
  for (const KeptLease& lease : kept.leases) {
    const auto of = buffers.find(lease.buffer);
    RETURN_IF_ERROR(CheckLease(lease, of == buffers.end() ? nullptr : of->second,
                               sessions.contains(lease.session)));
  }
  return absl::OkStatus();
}

}  // namespace hlbuf
