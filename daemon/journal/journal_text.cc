// SPDX-License-Identifier: Apache-2.0
#include "daemon/journal/journal_text.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "daemon/core/states.h"
#include "daemon/journal/text_table.h"

namespace hlbuf {
namespace {

std::string OrNone(std::uint64_t value) { return value == 0 ? "" : absl::StrCat(value); }
template <class Tag>
std::string OrNone(Id<Tag> id) {
  return id ? IdText(id) : "";
}

std::string InContainer(const Domain& domain) {
  return absl::StrCat("uid ", domain.uid, domain.container.empty() ? "" : " in ", domain.container);
}

std::string ResetText(const KeptDevice& device) {
  if (!device.closing) return "";
  return absl::StrCat("by ", BootTimeText(device.closing->deadline), ": ", device.closing->why);
}

std::string DevicesText(const Kept& kept) {
  TextTable table({"DEVICE", "EPOCH", "DRAINED BY", "RESET", "NOTES"});
  for (const KeptDevice& device : kept.devices)
    table.Add({device.name, absl::StrCat(device.epoch), device.drain ? device.drain->by : "",
               ResetText(device), absl::StrCat(device.notes.size())});
  return table.Text();
}

std::string NotesText(const Kept& kept) {
  TextTable table({"NOTE", "DEVICE", "BYTES"});
  for (const KeptDevice& device : kept.devices)
    for (const DeviceNote& note : device.notes)
      table.Add({IdText(note.key), device.name, absl::StrCat(note.bytes.size())});
  return table.Text();
}

std::string SessionsText(const Kept& kept) {
  TextTable table({"SESSION", "CLIENT", "UID", "PID", "CONTAINER", "UNIT", "JOB", "SINCE BOOT"});
  for (const KeptSession& session : kept.sessions)
    table.Add({IdText(session.id), session.client, absl::StrCat(session.peer.uid),
               absl::StrCat(session.peer.pid), session.peer.container, session.peer.unit,
               OrNone(session.peer.job), BootTimeText(session.since)});
  return table.Text();
}

std::string BuffersText(const Kept& kept) {
  TextTable table({"BUFFER", "NAME", "DEVICE", "BYTES", "STATE", "OWNER", "SHARES", "INODE",
                   "VERDICT", "SINCE BOOT"});
  for (const KeptBuffer& buffer : kept.buffers)
    table.Add({IdText(buffer.id), buffer.name, buffer.device, absl::StrCat(buffer.size_bytes),
               absl::StrCat(StateText(buffer.state), buffer.blind ? ", blind" : ""),
               InContainer(buffer.owner), absl::StrCat(buffer.shares.size()), OrNone(buffer.inode),
               buffer.verdict ? std::string(VerdictText(buffer.verdict->kind)) : "",
               BootTimeText(buffer.since)});
  return table.Text();
}

std::string LeasesText(const Kept& kept) {
  TextTable table({"LEASE", "BUFFER", "SESSION", "STATE", "SHARE", "DUE", "SINCE BOOT"});
  for (const KeptLease& lease : kept.leases)
    table.Add({IdText(lease.id), IdText(lease.buffer), OrNone(lease.session),
               std::string(StateText(lease.state)), lease.share ? GranteeText(*lease.share) : "",
               BootTimeText(lease.due), BootTimeText(lease.since)});
  return table.Text();
}

std::string RevocationsText(const Kept& kept) {
  TextTable table({"REVOCATION", "REASON", "SESSIONS", "LEASES", "DEADLINE", "SINCE BOOT"});
  for (const KeptRevocation& revocation : kept.revocations)
    table.Add({IdText(revocation.id), std::string(ReasonName(revocation.reason)),
               absl::StrCat(revocation.sessions_told), absl::StrCat(revocation.leases_told),
               BootTimeText(revocation.deadline), BootTimeText(revocation.began)});
  return table.Text();
}

constexpr const char* kChanging =
    "The service wrote all the time: more or less may be there; ask again.\n";

}  // namespace

std::string BootTimeText(absl::Time time) {
  return time <= absl::UnixEpoch() ? "" : absl::FormatDuration(time - absl::UnixEpoch());
}

absl::string_view ReasonName(RevokeReason reason) {
  switch (reason) {
    case RevokeReason::kReset:
      return "RESET";
    case RevokeReason::kOperator:
      return "OPERATOR";
    case RevokeReason::kUnshared:
      return "UNSHARED";
    case RevokeReason::kLost:
      return "LOST";
  }
  return "";
}

std::string GranteeText(const Grantee& grantee) {
  return absl::StrCat(grantee.kind == Grantee::Kind::kUid ? "uid " : "gid ", grantee.id);
}

std::string VerifyText(const JournalLook& look, absl::string_view this_boot) {
  const auto counts = absl::StrJoin(look.records, ", ", [](std::string* out, const auto& record) {
    absl::StrAppend(out, record.count, " ", record.kind);
  });
  const bool here = look.boot_id == this_boot;
  return absl::StrCat(
      "Written by: hl-bufd ", Printable(look.written_by), "\nBoot: ", look.boot_id,
      here ? ", this one" : ", not this one: what it is about is gone", "\nRecords: ", counts,
      "\nSlots: ", look.capacity, ", ", look.damaged,
      " damaged\nBelong to nothing: ", look.leftover, "\nConsistent: ",
      look.consistent.ok() ? "yes" : absl::StrCat("no: ", Printable(look.consistent.message())),
      "\n", look.changing ? kChanging : "");
}

std::string DumpText(const JournalLook& look) {
  const Kept& kept = look.kept;
  std::vector<std::string> tables;
  if (!kept.devices.empty()) tables.push_back(DevicesText(kept));
  for (const KeptDevice& device : kept.devices) {
    if (device.notes.empty()) continue;
    tables.push_back(NotesText(kept));
    break;
  }
  if (!kept.sessions.empty()) tables.push_back(SessionsText(kept));
  if (!kept.buffers.empty()) tables.push_back(BuffersText(kept));
  if (!kept.leases.empty()) tables.push_back(LeasesText(kept));
  if (!kept.revocations.empty()) tables.push_back(RevocationsText(kept));
  if (tables.empty()) tables.push_back("The journal has no records.\n");
  return absl::StrCat(absl::StrJoin(tables, "\n"), look.changing ? kChanging : "");
}

}  // namespace hlbuf
