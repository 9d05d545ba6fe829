// SPDX-License-Identifier: Apache-2.0
#include "daemon/journal/journal_json.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "daemon/core/states.h"
#include "daemon/journal/journal_text.h"
#include "daemon/journal/json_writer.h"

namespace hlbuf {
namespace {

template <class Tag>
void WriteId(JsonWriter& json, absl::string_view name, Id<Tag> id) {
  json.Text(name, id ? IdText(id) : "");
}

void WriteTime(JsonWriter& json, absl::string_view name, absl::Time time) {
  json.Text(name, absl::StrCat(absl::ToUnixNanos(time)));
}

void WriteDevice(JsonWriter& json, const KeptDevice& device) {
  json.BeginObject();
  json.Text("name", device.name);
  json.Number64("epoch", device.epoch);
  if (device.drain) {
    json.BeginObject("drain");
    json.Text("by", device.drain->by);
    WriteTime(json, "since_boottime_ns", device.drain->since);
    json.End();
  }
  if (device.closing) {
    json.BeginObject("reset");
    json.Text("why", device.closing->why);
    json.Bool("drill", device.closing->drill != Drill::kNone);
    WriteTime(json, "deadline_boottime_ns", device.closing->deadline);
    WriteId(json, "revocation_id", device.closing->revocation);
    json.End();
  }
  json.BeginList("notes");
  for (const DeviceNote& note : device.notes) {
    json.BeginObject();
    json.Text("key", IdText(note.key));
    json.Number("bytes", static_cast<std::int64_t>(note.bytes.size()));
    json.End();
  }
  json.End();
  json.End();
}

void WriteSession(JsonWriter& json, const KeptSession& session) {
  json.BeginObject();
  WriteId(json, "id", session.id);
  json.Text("client", session.client);
  json.BeginObject("peer");
  json.Number("uid", session.peer.uid);
  json.Number("gid", session.peer.gid);
  json.BeginList("groups");
  for (const gid_t group : session.peer.groups) json.Number("", group);
  json.End();
  json.Number("pid", session.peer.pid);
  json.Text("container", session.peer.container);
  json.Text("unit", session.peer.unit);
  json.Number("job", session.peer.job);
  json.Number64("start_ticks", session.peer.start_ticks);
  json.End();
  WriteTime(json, "since_boottime_ns", session.since);
  json.End();
}

void WriteVerdict(JsonWriter& json, const Verdict& verdict) {
  json.BeginObject("verdict");
  json.Text("kind", VerdictText(verdict.kind));
  json.Number("references", verdict.references);
  json.Bool("counted_late", verdict.counted_late);
  json.End();
}

void WriteLists(JsonWriter& json, const KeptBuffer& buffer) {
  json.BeginList("labels");
  for (const std::string& label : buffer.labels) json.Text("", label);
  json.End();
  json.BeginList("shares");
  for (const Grantee& grantee : buffer.shares) json.Text("", GranteeText(grantee));
  json.End();
  json.BeginList("revocation_ids");
  for (const RevocationId id : buffer.revocations) json.Text("", IdText(id));
  json.End();
}

void WriteBuffer(JsonWriter& json, const KeptBuffer& buffer) {
  json.BeginObject();
  WriteId(json, "id", buffer.id);
  json.Text("name", buffer.name);
  json.Text("device", buffer.device);
  json.Number64("epoch", buffer.epoch);
  json.Number64("size_bytes", buffer.size_bytes);
  json.Text("state", StateText(buffer.state));
  json.Bool("blind", buffer.blind);
  json.Bool("given_up", buffer.given_up);
  json.BeginObject("owner");
  json.Number("uid", buffer.owner.uid);
  json.Text("container", buffer.owner.container);
  json.End();
  json.Number("job", buffer.job);
  json.Number64("inode", buffer.inode);
  json.Text("window", IdText(buffer.window));
  WriteId(json, "allocated_by_session_id", buffer.allocated_by.session);
  WriteLists(json, buffer);
  json.Text("revoked", buffer.revoked ? ReasonName(*buffer.revoked) : "");
  if (buffer.verdict) WriteVerdict(json, *buffer.verdict);
  json.Number("references", buffer.references);
  WriteTime(json, "since_boottime_ns", buffer.since);
  json.End();
}

void WriteLease(JsonWriter& json, const KeptLease& lease) {
  json.BeginObject();
  WriteId(json, "id", lease.id);
  WriteId(json, "buffer_id", lease.buffer);
  WriteId(json, "session_id", lease.session);
  json.Text("state", StateText(lease.state));
  json.Text("share", lease.share ? GranteeText(*lease.share) : "");
  json.Text("signalled", lease.signalled == Force::kNone ? "" : ForceText(lease.signalled));
  WriteTime(json, "due_boottime_ns", lease.due);
  WriteTime(json, "since_boottime_ns", lease.since);
  json.End();
}

void WriteRevocation(JsonWriter& json, const KeptRevocation& revocation) {
  json.BeginObject();
  WriteId(json, "id", revocation.id);
  json.Text("reason", ReasonName(revocation.reason));
  json.Number("sessions_told", revocation.sessions_told);
  json.Number("leases_told", revocation.leases_told);
  WriteTime(json, "began_boottime_ns", revocation.began);
  WriteTime(json, "deadline_boottime_ns", revocation.deadline);
  json.End();
}

template <class Each>
void WriteList(JsonWriter& json, absl::string_view name, const std::vector<Each>& list,
               void (*write)(JsonWriter&, const Each&)) {
  json.BeginList(name);
  for (const Each& each : list) write(json, each);
  json.End();
}

}  // namespace

std::string VerifyJson(const JournalLook& look, absl::string_view this_boot) {
  JsonWriter json;
  json.Text("written_by", look.written_by);
  json.Text("boot_id", look.boot_id);
  json.Bool("this_boot", look.boot_id == this_boot);
  json.BeginObject("records");
  for (const RecordCount& record : look.records)
    json.Number(record.kind, static_cast<std::int64_t>(record.count));
  json.End();
  json.Number("slots", static_cast<std::int64_t>(look.capacity));
  json.Number("damaged_slots", static_cast<std::int64_t>(look.damaged));
  json.Number("leftover_records", static_cast<std::int64_t>(look.leftover));
  json.Bool("changing", look.changing);
  json.Bool("consistent", look.consistent.ok());
  json.Text("problem", look.consistent.message());
  return std::move(json).Finish();
}

std::string DumpJson(const JournalLook& look) {
  JsonWriter json;
  json.Text("written_by", look.written_by);
  json.Text("boot_id", look.boot_id);
  json.Bool("changing", look.changing);
  WriteList(json, "devices", look.kept.devices, WriteDevice);
  WriteList(json, "sessions", look.kept.sessions, WriteSession);
  WriteList(json, "buffers", look.kept.buffers, WriteBuffer);
  WriteList(json, "leases", look.kept.leases, WriteLease);
  WriteList(json, "revocations", look.kept.revocations, WriteRevocation);
  return std::move(json).Finish();
}

}  // namespace hlbuf
