// SPDX-License-Identifier: Apache-2.0
// What a history checks beside the state: verdicts, reports, notices, and that all comes to an end.
#include "absl/strings/str_cat.h"
#include "tests/model/history.h"

namespace hlbuf::model {
namespace {

std::string Text(const Verdict& verdict) {
  return absl::StrCat(VerdictText(verdict.kind), " ", verdict.references);
}

// The first verdict that differs, or empty.
std::string Difference(const std::map<BufferId, Verdict>& expected,
                       const std::vector<BufferVerdict>& told) {
  if (expected.size() != told.size())
    return absl::StrCat(told.size(), " verdicts instead of ", expected.size());
  for (const BufferVerdict& each : told) {
    const auto it = expected.find(each.buffer);
    if (it == expected.end())
      return absl::StrCat("buffer ", IdText(each.buffer), " is not asked for");
    const bool same =
        it->second.kind == each.verdict.kind && it->second.references == each.verdict.references;
    if (!same)
      return absl::StrCat("buffer ", IdText(each.buffer), " is ", Text(each.verdict),
                          " instead of ", Text(it->second));
  }
  return "";
}

bool SameNotice(const Told& expected, const FakeNotices::Revoke& told) {
  std::set<LeaseId> leases;
  for (const RevokedLease& each : told.leases) leases.insert(each.lease);
  return expected.reason == told.reason && expected.deadline == told.deadline &&
         expected.leases == leases && leases.size() == told.leases.size();
}

}  // namespace

// PROVEN is a promise about the kernel; no other check of the model may soften it.
void History::CheckVerdicts() {
  const std::vector<Event>& events = rig_.observer.events;
  for (; events_seen_ < events.size(); ++events_seen_) {
    const Event& event = events[events_seen_];
    if (event.kind != EventKind::kBufferVerdict || !event.verdict) continue;
    Log(absl::StrCat("  buffer ", IdText(event.buffer), ": ", event.text));
    const bool counted = event.device != "fake1";
    const auto kind = event.verdict->kind;
    const auto it = model_.buffers.find(event.buffer);
    const std::uint32_t others =
        it == model_.buffers.end() ? 0 : DeviceOf(event.buffer).others(it->second.inode);
    if (kind == Verdict::Kind::kProven && (!counted || others > 0))
      wrong_ = "PROVEN, though others hold it or nobody can know";
    if (kind == Verdict::Kind::kAcknowledged && counted) wrong_ = "ACKNOWLEDGED where counts exist";
    if (kind == Verdict::Kind::kHeld && event.verdict->references == 0) wrong_ = "HELD by nobody";
  }
}

void History::CheckReports() {
  for (; reports_seen_ < rig_.reports.size(); ++reports_seen_) {
    const RevocationReport& report = rig_.reports[reports_seen_];
    const auto it = model_.ended.find(report.id);
    if (it == model_.ended.end())
      wrong_ = "a revocation ended early";
    else if (const std::string wrong = Difference(it->second.verdicts, report.verdicts);
             !wrong.empty())
      wrong_ = absl::StrCat("of a revocation, ", wrong);
  }
  if (rig_.reports.size() != model_.ended.size())
    wrong_ =
        absl::StrCat(rig_.reports.size(), " revocations ended instead of ", model_.ended.size());
  if (resets_.size() != model_.resets_ended.size()) {
    wrong_ = "a reset did not end, or ended early";
  } else if (!resets_.empty()) {
    const auto& [device, report] = resets_.back();
    const auto& [expected_device, expected] = model_.resets_ended.back();
    if (device != expected_device) wrong_ = "another reset ended";
    if (const std::string wrong = Difference(expected, report.revocation.verdicts); !wrong.empty())
      wrong_ = absl::StrCat("of a reset, ", wrong);
    if (report.epoch > model_.devices.at(device).epoch) wrong_ = "the epoch of a reset differs";
  }
}

void History::CheckNotices() {
  for (const auto& [id, session] : model_.sessions) {
    const std::vector<FakeNotices::Revoke>& revokes = clients_.at(id)->notices.revokes;
    if (revokes.size() != session.told.size())
      wrong_ = absl::StrCat("session ", IdText(id), " got another number of notices");
    else if (!revokes.empty() && !SameNotice(session.told.back(), revokes.back()))
      wrong_ = "the notice to a session differs";
  }
}

std::string History::Finish() {
  rig_.Advance(absl::Minutes(5));
  if (rig_.reports.size() != revocations_begun_) return "a revocation never ended";
  if (resets_.size() != resets_begun_) return "a reset never ended";
  for (const auto& device : rig_.broker.devices())
    if (device->state() != DeviceState::kReady && device->state() != DeviceState::kFailed)
      return absl::StrCat(device->name(), " is stuck: ", StateText(device->state()));
  return rig_.Empty();
}

}  // namespace hlbuf::model
