// SPDX-License-Identifier: Apache-2.0
#include "daemon/persist/journal_recorder.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "daemon/core/error.h"

namespace hlbuf {
namespace {

using journal::RowKind;
using journal::SharesRow;

// Texts of a device change, so they have to have room in its row: who reads them are people.
constexpr std::size_t kWordsMax = 160;

std::int64_t Nanos(absl::Time time) { return absl::ToUnixNanos(time); }

absl::string_view Cut(absl::string_view words) { return words.substr(0, kWordsMax); }

absl::string_view BytesOf(const std::vector<gid_t>& groups) {
  static_assert(sizeof(gid_t) == 4);
  return {reinterpret_cast<const char*>(groups.data()), groups.size() * sizeof(gid_t)};
}

std::size_t SharesRows(std::size_t shares) {
  return (shares + SharesRow::kGranteesPerRow - 1) / SharesRow::kGranteesPerRow;
}

journal::BufferRow RowOf(const BufferRecord& buffer) {
  journal::BufferRow row = {};
  row.epoch = buffer.epoch;
  row.size_bytes = buffer.bytes.amount();
  row.window = buffer.allocation.window;
  row.inode = buffer.allocation.inode;
  row.allocated_by_session = buffer.allocated_by.session.value;
  row.allocated_by_cookie = buffer.allocated_by.cookie;
  row.since = Nanos(buffer.since);
  row.draining_since = Nanos(buffer.draining_since);
  row.unleased_since = Nanos(buffer.unleased_since);
  const std::size_t waiting = std::min(buffer.revocations.size(), row.revocations.size());
  for (std::size_t i = 0; i < waiting; ++i)
    row.revocations[i] = buffer.revocations[buffer.revocations.size() - waiting + i].value;
  row.owner_uid = buffer.owner->domain.uid;
  row.job = buffer.job;
  row.references = buffer.references;
  row.state = static_cast<std::uint8_t>(buffer.state);
  row.blind = buffer.blind;
  row.given_up = buffer.given_up;
  if (buffer.revoked.has_value()) row.revoked = static_cast<std::uint8_t>(*buffer.revoked);
  if (buffer.verdict.has_value()) {
    row.verdict = static_cast<std::uint8_t>(static_cast<int>(buffer.verdict->kind) + 1);
    row.verdict_references = buffer.verdict->references;
    row.counted_late = buffer.verdict->counted_late;
  }
  row.shares = static_cast<std::uint16_t>(SharesRows(buffer.shares.size()));
  row.epoch_slot = buffer.epoch_slot;
  return row;
}

}  // namespace

absl::Status JournalRecorder::Reserve(std::size_t records) {
  const absl::Status room = journal_.Reserve(records);
  if (room.ok()) return room;
  return Error(ErrorCode::kQuotaExceeded,
               absl::StrCat("there is no memory to write down more (", room.message(),
                            "); release some buffers, or tell the administrator"));
}

void JournalRecorder::Judge(const absl::Status& written) {
  if (written.ok() || std::exchange(broken_, true)) return;
  journal_.GiveUp();
  given_up_(written);
}

void JournalRecorder::Write(const Device& device) {
  journal::DeviceRow row = {};
  texts_.Clear();
  texts_.Add(device.name());
  row.epoch = device.epoch();
  if (const auto& drain = device.drain(); drain.has_value()) {
    row.drained = 1;
    row.drained_since = Nanos(drain->since);
  }
  texts_.Add(device.drain().has_value() ? Cut(device.drain()->by) : "");
  if (const auto& closing = device.closing(); closing.has_value()) {
    row.closing = 1;
    row.closing_deadline = Nanos(closing->deadline);
    row.closing_revocation = closing->revocation.value;
    row.drill = static_cast<std::uint8_t>(closing->drill);
  }
  texts_.Add(device.closing().has_value() ? Cut(device.closing()->why) : "");
  Judge(rows_.Put(RowKind::kDevice, HashOfText(device.name()), row, texts_.bytes()));
}

void JournalRecorder::Write(const SessionRecord& session) {
  const Peer& peer = session.peer;
  const journal::SessionRow row = {.since = Nanos(session.since),
                                   .pidfd_inode = peer.pidfd_inode,
                                   .start_ticks = peer.start_ticks,
                                   .uid = peer.uid,
                                   .gid = peer.gid,
                                   .pid = peer.pid,
                                   .job = peer.job,
                                   .secret = session.secret.bytes,
                                   .secret_before = session.secret_before.bytes};
  texts_.Clear();
  for (const absl::string_view text :
       {absl::string_view(session.client), absl::string_view(peer.container),
        absl::string_view(peer.unit), BytesOf(peer.groups)})
    texts_.Add(text);
  Judge(rows_.Put(RowKind::kSession, session.id.value, row, texts_.bytes()));
}

void JournalRecorder::Write(const BufferRecord& buffer) {
  // A withdrawn one stays in the rows that are written first: it is gone when all are.
  WriteShares(buffer.id, buffer.shares);
  texts_.Clear();
  texts_.Add(buffer.device->name());
  texts_.Add(buffer.owner->domain.container);
  texts_.Add(buffer.name);
  for (const std::string& label : buffer.labels) texts_.Add(label);
  Judge(rows_.Put(RowKind::kBuffer, buffer.id.value, RowOf(buffer), texts_.bytes()));
}

// Each row is good without the others: of a grantee that moves from one to the one before there are
// two for a moment, never none.
void JournalRecorder::WriteShares(BufferId id, const std::vector<Grantee>& shares) {
  for (std::size_t part = 0; part < SharesRows(shares.size()); ++part) {
    SharesRow row = {};
    const std::size_t from = part * SharesRow::kGranteesPerRow;
    row.count = std::min(SharesRow::kGranteesPerRow, shares.size() - from);
    for (std::size_t i = 0; i < row.count; ++i)
      row.entries[i] = {.kind = static_cast<std::uint32_t>(shares[from + i].kind),
                        .id = shares[from + i].id};
    Judge(rows_.Put(RowKind::kShares, id.value, row, {}, part));
  }
  for (std::size_t part = SharesRows(shares.size());
       !journal_.Find(RowKey(RowKind::kShares, id.value, part)).empty(); ++part)
    rows_.Erase(RowKind::kShares, id.value, part);
}

void JournalRecorder::Write(const LeaseRecord& lease) {
  journal::LeaseRow row = {.session = lease.session->id.value,
                           .buffer = lease.buffer->id.value,
                           .asked_alone_by = lease.asked_alone_by.value,
                           .due = Nanos(lease.due),
                           .since = Nanos(lease.since),
                           .share_id = 0,
                           .share_kind = 0,
                           .state = static_cast<std::uint8_t>(lease.state),
                           .signalled = static_cast<std::uint8_t>(lease.signalled),
                           .reserved = 0};
  if (lease.share.has_value()) {
    row.share_kind = static_cast<std::uint8_t>(lease.share->kind);
    row.share_id = lease.share->id;
  }
  Judge(rows_.Put(RowKind::kLease, lease.id.value, row));
}

void JournalRecorder::Write(const RevocationReport& report) {
  const KeptRevocation kept = Keep(report);
  const journal::RevocationRow row = {.began = Nanos(kept.began),
                                      .deadline = Nanos(kept.deadline),
                                      .sessions_told = kept.sessions_told,
                                      .leases_told = kept.leases_told,
                                      .reason = static_cast<std::uint8_t>(kept.reason),
                                      .reserved = {}};
  Judge(rows_.Put(RowKind::kRevocation, kept.id.value, row));
}

void JournalRecorder::Write(const Device& device, const DeviceNote& note) {
  const std::uint64_t key = HashOfText(device.name(), note.key);
  if (note.bytes.empty()) return rows_.Erase(RowKind::kNote, key);
  texts_.Clear();
  texts_.Add(device.name());
  texts_.Add(note.bytes);
  Judge(rows_.Put(RowKind::kNote, key, journal::NoteRow{.key = note.key}, texts_.bytes()));
}

void JournalRecorder::Forget(SessionId id) { rows_.Erase(RowKind::kSession, id.value); }

// Its shares are of nothing then.
void JournalRecorder::Forget(BufferId id) {
  rows_.Erase(RowKind::kBuffer, id.value);
  WriteShares(id, {});
}

void JournalRecorder::Forget(LeaseId id) { rows_.Erase(RowKind::kLease, id.value); }

void JournalRecorder::Forget(RevocationId id) { rows_.Erase(RowKind::kRevocation, id.value); }

}  // namespace hlbuf
