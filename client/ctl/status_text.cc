// SPDX-License-Identifier: Apache-2.0
#include "client/ctl/status_text.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/ctl/format.h"
#include "client/ctl/table.h"

namespace hlbuf::ctl {
namespace {

bool HasFailed(const v1::Device& device) { return device.state() == v1::DEVICE_STATE_FAILED; }

std::string Verdict(const v1::ServiceStatus& status) {
  switch (HealthOf(status)) {
    case ExitCode::kOk:
      return "healthy";
    case ExitCode::kLost:
      return status.losses().empty() ? "works, but a restart would lose something"
                                     : "works, but something was lost";
    default:
      return "a device has FAILED";
  }
}

std::string KeeperText(v1::KeeperRole role) {
  switch (role) {
    case v1::KEEPER_ROLE_COPIES:
      return "copies";
    case v1::KEEPER_ROLE_OPENED:
      return "copies, opener";
    case v1::KEEPER_ROLE_SUCCESSOR:
      return "copies, no opener";
    default:
      return "nobody";
  }
}

std::string Note(const v1::Device& device) {
  std::vector<std::string> notes;
  for (const std::string& note : {device.failure(), device.warning()})
    if (!note.empty()) notes.push_back(note);
  if (!device.drained_by().empty())
    notes.push_back(absl::StrCat("drained by ", device.drained_by()));
  return absl::StrJoin(notes, ", ");
}

std::string Devices(const v1::ServiceStatus& status) {
  Table table({"DEVICE", "STATE", "EPOCH", "USED", "KEEPER", "NOTE"});
  for (const v1::Device& device : status.devices())
    table.Add({device.name(), StateText(device.state()), absl::StrCat(device.epoch()),
               SizeText(device.used_bytes()), KeeperText(device.keeper()), Note(device)});
  return table.Text();
}

std::string Away(const v1::AwaySessions& away) {
  if (away.session_count() == 0) return "Away: nobody\n";
  std::string text = absl::StrCat(
      "Away since the service was started anew: ", CountText(away.session_count(), "session"),
      " with ", CountText(away.lease_count(), "lease"), ", which can come back for ",
      AgeText(absl::Seconds(away.left().seconds())), "\n");
  Table table({"SESSION", "CLIENT", "PEER", "UNIT", "LEASES"});
  for (const v1::Session& session : away.sessions())
    table.Add({session.id(), session.client(), PeerText(session.peer()), session.peer().unit(),
               absl::StrCat(session.lease_count())});
  absl::StrAppend(&text, table.Text());
  const auto more = away.session_count() - static_cast<std::uint32_t>(away.sessions_size());
  if (more > 0) absl::StrAppend(&text, "and ", more, " more\n");
  return text;
}

std::string SignalName(v1::Signal signal) {
  switch (signal) {
    case v1::SIGNAL_TERMINATE:
      return "SIGTERM";
    case v1::SIGNAL_KILL:
      return "SIGKILL";
    default:
      return "off";
  }
}

std::string Place(const v1::KeptState& state) {
  switch (state.place()) {
    case v1::STATE_PLACE_FD_STORE:
      if (state.verified()) return "in the store of the service manager, which has all of it";
      return state.troubles().empty()
                 ? "in the store of the service manager, which has not answered yet"
                 : "in the store of the service manager";
    case v1::STATE_PLACE_DIRECTORY:
      return absl::StrCat("in ", PrintableText(state.directory()));
    default:
      return "nowhere";
  }
}

std::string State(const v1::KeptState& state) {
  std::string text = absl::StrCat("Kept for a restart: ", Place(state), "\n");
  for (const std::string& trouble : state.troubles())
    absl::StrAppend(&text, "  ", PrintableText(trouble), "\n");
  return text;
}

std::string Losses(const v1::ServiceStatus& status) {
  if (status.losses().empty()) return "Lost since the service was started: nothing\n";
  std::string text = "Lost since the service was started:\n";
  for (const v1::Loss& loss : status.losses()) {
    absl::StrAppend(&text, "  ", KindText(loss.kind()), ": ", loss.count(), "\n");
    for (const v1::Event& event : loss.events()) {
      const std::string device = event.device().empty() ? "" : event.device() + ": ";
      absl::StrAppend(&text, "    ", ClockText(event.time()), " ",
                      PrintableText(absl::StrCat(device, event.text())), "\n");
    }
  }
  return text;
}

}  // namespace

ExitCode HealthOf(const v1::ServiceStatus& status) {
  if (std::any_of(status.devices().begin(), status.devices().end(), HasFailed))
    return ExitCode::kFailed;
  const bool at_risk = !status.state().troubles().empty();
  return at_risk || !status.losses().empty() ? ExitCode::kLost : ExitCode::kOk;
}

std::string StatusText(const v1::ServiceStatus& status, absl::Time now) {
  return absl::StrCat("hl-bufd ", PrintableText(status.version()), ", life ", status.life(),
                      ", up ", AgeText(status.start_time(), now), ": ", Verdict(status), "\n\n",
                      Devices(status), "\n", "Held: ", CountText(status.buffer_count(), "buffer"),
                      ", ", CountText(status.lease_count(), "lease"), ", ",
                      CountText(status.session_count(), "session"), "\n", Away(status.away()),
                      "Enforcement: resets ", SignalName(status.reset_enforcement()),
                      ", operators ", SignalName(status.revocation_enforcement()), "\n",
                      State(status.state()), Losses(status));
}

}  // namespace hlbuf::ctl
