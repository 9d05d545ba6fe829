// SPDX-License-Identifier: Apache-2.0
#include "daemon/persist/journal_reader.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "daemon/base/status_macros.h"
#include "daemon/persist/journal_rows.h"
#include "daemon/persist/row_writer.h"

namespace hlbuf {
namespace {

using journal::RowHead;
using journal::RowKind;

using Bytes = absl::Span<const std::uint8_t>;

constexpr std::uint16_t kKindMask = (1 << journal::kKindBits) - 1;

absl::Time TimeOf(std::int64_t nanos) { return absl::FromUnixNanos(nanos); }

// A row as it was written, with its texts put together.
class Row {
 public:
  explicit Row(Bytes fixed, std::string texts) : fixed_(fixed), texts_(std::move(texts)) {}

  template <class Struct>
  Struct As() const {
    Struct row = {};
    std::memcpy(&row, fixed_.data(), std::min(fixed_.size(), sizeof(row)));
    return row;
  }
  // The next text, or nullopt behind the last.
  std::optional<std::string> Text() {
    std::uint32_t bytes = 0;
    if (texts_.size() - at_ < sizeof(bytes)) return std::nullopt;
    std::memcpy(&bytes, texts_.data() + at_, sizeof(bytes));
    if (texts_.size() - at_ - sizeof(bytes) < bytes) return std::nullopt;
    std::string text = texts_.substr(at_ + sizeof(bytes), bytes);
    at_ += sizeof(bytes) + bytes;
    return text;
  }
  std::string TextOrNone() { return Text().value_or(""); }

 private:
  Bytes fixed_;
  std::string texts_;
  std::size_t at_ = 0;
};

class Reader {
 public:
  explicit Reader(const Journal& journal) : records_(journal.Records()) {
    for (const Journal::Record& record : records_) contents_[record.key] = record.content;
  }

  absl::StatusOr<ReadJournal> Read() {
    for (const Journal::Record& record : records_) RETURN_IF_ERROR(ReadOne(record));
    for (auto& [device, note] : notes_) RETURN_IF_ERROR(AddNote(device, std::move(note)));
    RETURN_IF_ERROR(Check(read_.kept));
    for (const Journal::Record& record : records_)
      if (contents_.contains(record.key)) read_.leftover.push_back(record.key);
    return std::move(read_);
  }

 private:
  absl::Status ReadOne(const Journal::Record& record);
  absl::StatusOr<Row> RowOf(const Journal::Record& record);
  absl::Status AddDevice(Row& row);
  absl::Status AddSession(std::uint64_t key, Row& row);
  absl::Status AddBuffer(std::uint64_t key, Row& row);
  absl::Status AddShares(std::uint64_t key, std::uint16_t rows, std::vector<Grantee>& shares);
  absl::Status AddLease(std::uint64_t key, const Row& row);
  absl::Status AddRevocation(std::uint64_t key, const Row& row);
  absl::Status AddNote(const std::string& device, DeviceNote note);

  const std::vector<Journal::Record> records_;
  absl::flat_hash_map<JournalKey, Bytes> contents_;  // not read yet
  std::vector<std::pair<std::string, DeviceNote>> notes_;
  ReadJournal read_;
};

absl::Status Wrong(JournalKey key, absl::string_view what) {
  return absl::DataLossError(
      absl::StrCat("record ", IdText(key.key), " of kind ", key.kind & kKindMask, ": ", what));
}

absl::StatusOr<Row> Reader::RowOf(const Journal::Record& record) {
  RowHead head = {};
  if (record.content.size() < sizeof(head)) return Wrong(record.key, "it has no head");
  std::memcpy(&head, record.content.data(), sizeof(head));
  const Bytes rest = record.content.subspan(sizeof(head));
  if (head.fixed_bytes > rest.size()) return Wrong(record.key, "it is too short");
  std::string texts;
  if (head.text_parts == 0) {
    const Bytes bytes = rest.subspan(head.fixed_bytes);
    texts.assign(bytes.begin(), bytes.end());
  }
  const auto kind = static_cast<RowKind>(record.key.kind & kKindMask);
  for (std::size_t part = 1; part <= head.text_parts; ++part) {
    const auto piece = contents_.find(RowKey(kind, head.text_key, part));
    if (piece == contents_.end()) return Wrong(record.key, "a part of it is missing");
    texts.append(piece->second.begin(), piece->second.end());
    contents_.erase(piece);
  }
  if (texts.size() != head.text_bytes) return Wrong(record.key, "its texts are not whole");
  contents_.erase(record.key);
  return Row(rest.first(head.fixed_bytes), std::move(texts));
}

absl::Status Reader::ReadOne(const Journal::Record& record) {
  if (record.key.kind > kKindMask) return absl::OkStatus();  // part of another one
  const auto kind = static_cast<RowKind>(record.key.kind);
  if (kind < RowKind::kDevice || kind > RowKind::kNote) return absl::OkStatus();
  ASSIGN_OR_RETURN(Row row, RowOf(record));
  absl::Status added;
  switch (kind) {
    case RowKind::kDevice:
      added = AddDevice(row);
      break;
    case RowKind::kSession:
      added = AddSession(record.key.key, row);
      break;
    case RowKind::kBuffer:
      added = AddBuffer(record.key.key, row);
      break;
    case RowKind::kLease:
      added = AddLease(record.key.key, row);
      break;
    case RowKind::kRevocation:
      added = AddRevocation(record.key.key, row);
      break;
    default: {
      std::string device = row.TextOrNone();
      notes_.emplace_back(std::move(device), DeviceNote{.key = row.As<journal::NoteRow>().key,
                                                        .bytes = row.TextOrNone()});
    }
  }
  return added.ok() ? added : Wrong(record.key, added.message());
}

absl::Status Reader::AddDevice(Row& row) {
  const auto fixed = row.As<journal::DeviceRow>();
  KeptDevice device = {.name = row.TextOrNone(), .epoch = fixed.epoch};
  std::string by = row.TextOrNone();
  if (fixed.drained != 0)
    device.drain = Drain{.by = std::move(by), .since = TimeOf(fixed.drained_since)};
  if (fixed.closing != 0) {
    if (fixed.drill > static_cast<std::uint8_t>(Drill::kFails) || fixed.closing_revocation == 0)
      return absl::DataLossError("its reset is none");
    device.closing = Closing{.why = row.TextOrNone(),
                             .drill = static_cast<Drill>(fixed.drill),
                             .deadline = TimeOf(fixed.closing_deadline),
                             .revocation = RevocationId{fixed.closing_revocation}};
  }
  read_.kept.devices.push_back(std::move(device));
  return absl::OkStatus();
}

absl::Status Reader::AddSession(std::uint64_t key, Row& row) {
  const auto fixed = row.As<journal::SessionRow>();
  KeptSession session = {.id = SessionId{key}, .since = TimeOf(fixed.since)};
  session.peer.uid = fixed.uid;
  session.peer.gid = fixed.gid;
  session.peer.pid = fixed.pid;
  session.peer.job = fixed.job;
  session.peer.pidfd_inode = fixed.pidfd_inode;
  session.peer.start_ticks = fixed.start_ticks;
  session.secret.bytes = fixed.secret;
  session.secret_before.bytes = fixed.secret_before;
  session.client = row.TextOrNone();
  session.peer.container = row.TextOrNone();
  session.peer.unit = row.TextOrNone();
  const std::string groups = row.TextOrNone();
  session.peer.groups.resize(groups.size() / sizeof(gid_t));
  groups.copy(reinterpret_cast<char*>(session.peer.groups.data()),
              session.peer.groups.size() * sizeof(gid_t));
  std::sort(session.peer.groups.begin(), session.peer.groups.end());
  read_.kept.sessions.push_back(std::move(session));
  return absl::OkStatus();
}

absl::Status Reader::AddBuffer(std::uint64_t key, Row& row) {
  const auto fixed = row.As<journal::BufferRow>();
  if (fixed.revoked > static_cast<std::uint8_t>(RevokeReason::kUnshared))
    return absl::DataLossError("it is revoked for no known reason");
  if (fixed.verdict > static_cast<int>(Verdict::Kind::kHeld) + 1)
    return absl::DataLossError("its verdict is none");
  KeptBuffer buffer = {.id = BufferId{key},
                       .device = row.TextOrNone(),
                       .epoch = fixed.epoch,
                       .owner = {.uid = fixed.owner_uid, .container = row.TextOrNone()}};
  buffer.name = row.TextOrNone();
  while (std::optional<std::string> label = row.Text()) buffer.labels.push_back(*std::move(label));
  buffer.size_bytes = fixed.size_bytes;
  buffer.window = fixed.window;
  buffer.inode = fixed.inode;
  buffer.allocated_by = {.session = SessionId{fixed.allocated_by_session},
                         .cookie = fixed.allocated_by_cookie};
  buffer.job = fixed.job;
  buffer.state = static_cast<BufferState>(fixed.state);
  buffer.blind = fixed.blind != 0;
  buffer.given_up = fixed.given_up != 0;
  if (fixed.revoked != 0) buffer.revoked = static_cast<RevokeReason>(fixed.revoked);
  if (fixed.verdict != 0)
    buffer.verdict = Verdict{.kind = static_cast<Verdict::Kind>(fixed.verdict - 1),
                             .references = fixed.verdict_references,
                             .counted_late = fixed.counted_late != 0};
  buffer.references = fixed.references;
  buffer.epoch_slot = fixed.epoch_slot;
  buffer.since = TimeOf(fixed.since);
  buffer.draining_since = TimeOf(fixed.draining_since);
  buffer.unleased_since = TimeOf(fixed.unleased_since);
  for (const std::uint64_t waiting : fixed.revocations)
    if (waiting != 0) buffer.revocations.push_back(RevocationId{waiting});
  RETURN_IF_ERROR(AddShares(key, fixed.shares, buffer.shares));
  read_.kept.buffers.push_back(std::move(buffer));
  return absl::OkStatus();
}

absl::Status Reader::AddShares(std::uint64_t key, std::uint16_t rows,
                               std::vector<Grantee>& shares) {
  for (std::uint16_t part = 0; part < rows; ++part) {
    const JournalKey row_key = RowKey(RowKind::kShares, key, part);
    const auto content = contents_.find(row_key);
    // The last one, of the last grantee of it, was erased before the buffer could say so.
    if (content == contents_.end()) break;
    ASSIGN_OR_RETURN(const Row row, RowOf({.key = row_key, .content = content->second}));
    const auto fixed = row.As<journal::SharesRow>();
    if (fixed.count > journal::SharesRow::kGranteesPerRow)
      return absl::DataLossError("it is shared with too many");
    for (std::size_t i = 0; i < fixed.count; ++i) {
      const Grantee grantee = {.kind = static_cast<Grantee::Kind>(fixed.entries[i].kind),
                               .id = fixed.entries[i].id};
      if (grantee.kind != Grantee::Kind::kUid && grantee.kind != Grantee::Kind::kGid)
        return absl::DataLossError("it is shared with nobody that there is");
      if (std::find(shares.begin(), shares.end(), grantee) == shares.end())
        shares.push_back(grantee);
    }
  }
  return absl::OkStatus();
}

absl::Status Reader::AddLease(std::uint64_t key, const Row& row) {
  const auto fixed = row.As<journal::LeaseRow>();
  if (fixed.signalled > static_cast<std::uint8_t>(Force::kKill))
    return absl::DataLossError("it was sent a signal that is none");
  if (fixed.share_kind > static_cast<std::uint8_t>(Grantee::Kind::kGid))
    return absl::DataLossError("it is shared by nobody that there is");
  KeptLease lease = {.id = LeaseId{key},
                     .session = SessionId{fixed.session},
                     .buffer = BufferId{fixed.buffer},
                     .share = std::nullopt,
                     .state = static_cast<LeaseState>(fixed.state),
                     .signalled = static_cast<Force>(fixed.signalled),
                     .asked_alone_by = RevocationId{fixed.asked_alone_by},
                     .due = TimeOf(fixed.due),
                     .since = TimeOf(fixed.since)};
  if (fixed.share_kind != 0)
    lease.share =
        Grantee{.kind = static_cast<Grantee::Kind>(fixed.share_kind), .id = fixed.share_id};
  read_.kept.leases.push_back(lease);
  return absl::OkStatus();
}

absl::Status Reader::AddRevocation(std::uint64_t key, const Row& row) {
  const auto fixed = row.As<journal::RevocationRow>();
  if (fixed.reason == 0 || fixed.reason > static_cast<std::uint8_t>(RevokeReason::kUnshared))
    return absl::DataLossError("it has no known reason");
  read_.kept.revocations.push_back({.id = RevocationId{key},
                                    .reason = static_cast<RevokeReason>(fixed.reason),
                                    .began = TimeOf(fixed.began),
                                    .deadline = TimeOf(fixed.deadline),
                                    .sessions_told = fixed.sessions_told,
                                    .leases_told = fixed.leases_told});
  return absl::OkStatus();
}

absl::Status Reader::AddNote(const std::string& device, DeviceNote note) {
  for (KeptDevice& kept : read_.kept.devices) {
    if (kept.name != device) continue;
    kept.notes.push_back(std::move(note));
    return absl::OkStatus();
  }
  return absl::DataLossError(
      absl::StrCat("a note is of device '", device, "', which is not there"));
}

}  // namespace

absl::StatusOr<ReadJournal> Read(const Journal& journal) {
  if (journal.damaged() > 0)
    return absl::DataLossError(absl::StrCat(journal.damaged(), " of its records are damaged"));
  return Reader(journal).Read();
}

}  // namespace hlbuf
