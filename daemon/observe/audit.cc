// SPDX-License-Identifier: Apache-2.0
#include "daemon/observe/audit.h"

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "daemon/core/absences.h"
#include "daemon/core/enforcement.h"
#include "daemon/observe/message_ids.h"

namespace hlbuf {
namespace {

LogLevel LevelOf(const Event& event) {
  switch (event.kind) {
    case EventKind::kDeviceState:
    case EventKind::kOperatorRequest:
      return LogLevel::kNotice;
    case EventKind::kHolderSignalled:
      return absl::StartsWith(event.text, kNotSent) ? LogLevel::kWarning : LogLevel::kNotice;
    // Without an id it is a client that takes a SHARE back.
    case EventKind::kRevocationBegan:
      return event.revocation ? LogLevel::kNotice : LogLevel::kDebug;
    case EventKind::kRevocationEnded:
      return event.revocation ? LogLevel::kNotice : LogLevel::kWarning;
    case EventKind::kBufferVerdict:
      return event.verdict.has_value() && event.verdict->kind == Verdict::Kind::kHeld
                 ? LogLevel::kWarning
                 : LogLevel::kDebug;
    case EventKind::kRequestRefused:
    case EventKind::kProtocolBroken:
    case EventKind::kPingUnanswered:
    case EventKind::kReferencesOutliveLeases:
    case EventKind::kHoldersFound:
    case EventKind::kOpenerLost:
      return LogLevel::kWarning;
    case EventKind::kStateLost:
    case EventKind::kBuffersLost:
    case EventKind::kLeasesLost:
    case EventKind::kHandlesLost:
    case EventKind::kJournalFailed:
    case EventKind::kStateUnkept:
    case EventKind::kKeeperLost:
      return LogLevel::kError;
    case EventKind::kBufferAllocated:
    case EventKind::kBufferFreed:
    case EventKind::kLeaseGranted:
    case EventKind::kLeaseEnded:
    case EventKind::kSessionBegan:
      return LogLevel::kDebug;
    case EventKind::kSessionEnded:
      return absl::StartsWith(event.text, kNotBack) ? LogLevel::kWarning : LogLevel::kDebug;
  }
  return LogLevel::kDebug;
}

// Whether peers decide how often it happens, or how many buffers there are. Debug messages are not
// limited: whoever asks for them wants all.
bool IsLimited(const Event& event) { return LevelOf(event) == LogLevel::kWarning; }

bool HasDomain(const Event& event) {
  return event.buffer || event.session || event.domain != Domain();
}

std::string Line(const Event& event, std::uint64_t left_out) {
  std::string line(EventKindText(event.kind));
  if (!event.device.empty()) absl::StrAppend(&line, " ", event.device);
  if (event.revocation) absl::StrAppend(&line, " revocation ", IdText(event.revocation));
  if (event.buffer) absl::StrAppend(&line, " buffer ", IdText(event.buffer));
  if (event.session) absl::StrAppend(&line, " session ", IdText(event.session));
  if (HasDomain(event)) absl::StrAppend(&line, " of ", event.domain.Text());
  if (event.pid != 0) absl::StrAppend(&line, ", pid ", event.pid);
  if (!event.text.empty()) absl::StrAppend(&line, ": ", event.text);
  if (left_out > 0) absl::StrAppend(&line, " (", left_out, " more before were not logged)");
  return line;
}

// Of what an administrator looks for; the journal's catalog explains it.
absl::string_view MessageIdOf(const Event& event) {
  if (event.verdict.has_value() && event.verdict->kind == Verdict::Kind::kHeld) return kBufferHeld;
  if (event.state == DeviceState::kRevoking) return kResetBegan;
  if (event.state == DeviceState::kReady) return kDeviceReady;
  if (event.state == DeviceState::kDrained) return kDeviceDrained;
  if (event.state == DeviceState::kFailed) return kDeviceFailed;
  switch (event.kind) {
    case EventKind::kHoldersFound:
      return kHoldersNamed;
    case EventKind::kHolderSignalled:
      return kSignalSent;
    case EventKind::kOpenerLost:
      return kOpenerDied;
    case EventKind::kStateLost:
      return kStateSetAside;
    case EventKind::kBuffersLost:
    case EventKind::kLeasesLost:
    case EventKind::kHandlesLost:
      return kDidNotComeBack;
    case EventKind::kJournalFailed:
      return kJournalBroken;
    case EventKind::kStateUnkept:
      return event.device.empty() ? kNotStored : kCopiesLost;
    case EventKind::kKeeperLost:
      return kCopiesLost;
    default:
      return "";
  }
}

std::vector<LogField> Fields(const NumberedEvent& numbered) {
  const Event& event = numbered.event;
  std::vector<LogField> fields = {{"HLBUFD_EVENT", std::string(EventKindText(event.kind))},
                                  {"HLBUFD_SEQUENCE", absl::StrCat(numbered.sequence)}};
  const auto add = [&fields](bool known, absl::string_view name, std::string value) {
    if (known) fields.push_back({name, std::move(value)});
  };
  add(!event.device.empty(), "HLBUFD_DEVICE", event.device);
  add(static_cast<bool>(event.buffer), "HLBUFD_BUFFER", IdText(event.buffer));
  add(static_cast<bool>(event.lease), "HLBUFD_LEASE", IdText(event.lease));
  add(static_cast<bool>(event.session), "HLBUFD_SESSION", IdText(event.session));
  add(static_cast<bool>(event.revocation), "HLBUFD_REVOCATION", IdText(event.revocation));
  add(HasDomain(event), "HLBUFD_UID", absl::StrCat(event.domain.uid));
  add(!event.domain.container.empty(), "HLBUFD_CONTAINER", event.domain.container);
  add(event.pid != 0, "HLBUFD_PID", absl::StrCat(event.pid));
  if (event.verdict.has_value())
    add(true, "HLBUFD_VERDICT", std::string(VerdictText(event.verdict->kind)));
  if (event.state.has_value()) add(true, "HLBUFD_STATE", std::string(StateText(*event.state)));
  add(event.count > 0, "HLBUFD_COUNT", absl::StrCat(event.count));
  const absl::string_view message_id = MessageIdOf(event);
  add(!message_id.empty(), "MESSAGE_ID", std::string(message_id));
  return fields;
}

}  // namespace

Audit::Audit(EventLog& log, const Clock& clock, LogLevel level, Write write)
    : level_(level),
      write_(std::move(write)),
      of_domain_(clock, kOfDomain, kDomainsMax),
      of_all_(clock, kOfAll, kEventKindCount),
      subscription_(log.Subscribe(*this, /*leases=*/false)) {}

Audit::~Audit() {
  for (std::size_t i = 0; i < left_out_.size(); ++i)
    if (left_out_[i] > 0)
      write_(LogLevel::kWarning,
             absl::StrCat(EventKindText(static_cast<EventKind>(i)), ": ", left_out_[i],
                          " more before were not logged"),
             {});
}

void Audit::OnEvent(const NumberedEvent& numbered) {
  const Event& event = numbered.event;
  const LogLevel level = LevelOf(event);
  if (level > level_) return;
  std::uint64_t& left_out = left_out_[static_cast<std::size_t>(event.kind)];
  if (IsLimited(event) && !Admit(event)) {
    ++left_out;
    return;
  }
  write_(level, Line(event, std::exchange(left_out, 0)), Fields(numbered));
}

bool Audit::Admit(const Event& event) {
  return of_domain_.Admit({event.domain, event.kind}) && of_all_.Admit(event.kind);
}

}  // namespace hlbuf
