// SPDX-License-Identifier: Apache-2.0
#include "client/ctl/plans.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "client/ctl/enum_names.h"
#include "client/ctl/format.h"
#include "client/ctl/table.h"

namespace hlbuf::ctl {
namespace {

std::string Holders(const v1::HeldBuffer& held) {
  std::vector<std::string> holders;
  for (const v1::Holder& holder : held.holders()) holders.push_back(HolderText(holder));
  if (holders.empty()) return "references that no lease explains";
  if (held.holders_left_out() > 0)
    holders.push_back(absl::StrCat("and ", held.holders_left_out(), " more"));
  return absl::StrJoin(holders, ", ");
}

std::string HeldTable(const google::protobuf::RepeatedPtrField<v1::HeldBuffer>& all) {
  if (all.empty()) return "";
  Table table({"BUFFER", "NAME", "OWNER", "STATE", "SIZE", "REFERENCES", "HELD BY"});
  for (const v1::HeldBuffer& held : all) {
    const v1::Buffer& buffer = held.buffer();
    table.Add({buffer.id(), buffer.name(), DomainText(buffer.owner()), StateText(buffer.state()),
               SizeText(buffer.size_bytes()),
               buffer.references() == 0 ? "" : absl::StrCat(buffer.references()), Holders(held)});
  }
  return table.Text();
}

std::string SessionTable(const v1::ResetPlan& plan) {
  if (plan.sessions().empty()) return "";
  Table table({"SESSION", "CLIENT", "PEER", "LEASES", "IN THE WAY"});
  for (const v1::PlannedSession& planned : plan.sessions()) {
    std::vector<std::string> obstacles;
    for (const int obstacle : planned.obstacles())
      obstacles.push_back(absl::StrReplaceAll(
          absl::AsciiStrToLower(ShortName(static_cast<v1::ResetObstacle>(obstacle))),
          {{"_", " "}}));
    table.Add({planned.session().id(), planned.session().client(),
               PeerText(planned.session().peer()), absl::StrCat(planned.lease_count()),
               absl::StrJoin(obstacles, ", ")});
  }
  return table.Text();
}

std::string LeftOut(std::uint64_t all, int shown, const std::string& noun) {
  const auto listed = static_cast<std::uint64_t>(shown);
  return listed >= all ? "" : absl::StrCat("and ", CountText(all - listed, noun), " more\n");
}

absl::Duration ToDuration(const google::protobuf::Duration& duration) {
  return absl::Seconds(duration.seconds()) + absl::Nanoseconds(duration.nanos());
}

std::string TimeText(const v1::ResetPlan& plan) {
  const absl::Duration grace = ToDuration(plan.grace());
  const std::string holders =
      absl::StrCat("time: holders would have ", absl::FormatDuration(grace), " to let go");
  if (!plan.has_window()) return holders + "\n";
  const absl::Duration window = ToDuration(plan.window());
  return absl::StrCat(holders, ", of the ", absl::FormatDuration(window),
                      " for which the driver waits; ", absl::FormatDuration(window - grace),
                      " are left for closing\n");
}

// Whom it would ask for what. What was asked back before is not asked back again.
std::string Asked(const v1::ResetPlan& plan) {
  const std::string sessions = CountText(plan.session_count(), "session");
  const std::string held =
      absl::StrCat(CountText(plan.lease_count(), "lease"), " of ",
                   CountText(plan.buffer_count(), "buffer"), ", ", SizeText(plan.held_bytes()));
  const std::uint32_t before = plan.asked_lease_count();
  if (before > 0 && before == plan.lease_count())
    return absl::StrCat("it would ask nobody: ", sessions,
                        plan.session_count() == 1 ? " has " : " have ", held,
                        ", asked back already\n");
  return absl::StrCat(
      "it would ask ", sessions, " for ", held,
      before > 0 ? absl::StrCat("; ", CountText(before, "lease"), " of these asked back already")
                 : "",
      "\n");
}

// What is in the way, in a sentence.
std::string Obstacles(const v1::ResetPlan& plan) {
  std::vector<std::string> obstacles;
  const v1::DeviceState state = plan.device().state();
  if (state != v1::DEVICE_STATE_READY && state != v1::DEVICE_STATE_DRAINED &&
      state != v1::DEVICE_STATE_FAILED)
    obstacles.push_back(absl::StrCat("it is ", StateText(state)));
  if (plan.obstructed_session_count() > 0)
    obstacles.push_back(absl::StrCat(plan.obstructed_session_count(), " of ",
                                     CountText(plan.session_count(), "session"),
                                     " will probably not let go in time"));
  if (plan.unexplained_buffer_count() > 0)
    obstacles.push_back(absl::StrCat(CountText(plan.unexplained_buffer_count(), "buffer"),
                                     " somebody has without a lease, who cannot be told"));
  return absl::StrJoin(obstacles, "; ");
}

}  // namespace

std::string DrainText(const v1::DrainDeviceResponse& response) {
  const v1::Device& device = response.device();
  std::string text = absl::StrCat(PrintableText(device.name()), " is ", StateText(device.state()));
  if (device.state() != v1::DEVICE_STATE_DRAINED)
    absl::StrAppend(&text, ", and will be DRAINED when it is open");
  if (response.held_count() == 0)
    return text + (device.used_bytes() == 0 ? "; nothing of it is held\n"
                                            : "; what was held is on its way back\n");
  absl::StrAppend(&text, "; ", CountText(response.held_count(), "buffer"), ", ",
                  SizeText(device.used_bytes()), ", held\n");
  return text + HeldTable(response.held()) +
         LeftOut(response.held_count(), response.held_size(), "buffer");
}

std::string WaitingText(const v1::DrainDeviceResponse& response) {
  constexpr std::size_t kShown = 3;
  std::vector<std::string> holders;  // each once
  for (const v1::HeldBuffer& held : response.held())
    if (const std::string text = Holders(held);
        std::find(holders.begin(), holders.end(), text) == holders.end())
      holders.push_back(text);
  const std::size_t all = holders.size();
  if (all > kShown) holders.resize(kShown);
  return absl::StrCat("waits for ", CountText(response.held_count(), "buffer"), ", ",
                      SizeText(response.device().used_bytes()), ", of ", response.device().name(),
                      holders.empty() ? "" : ": ", absl::StrJoin(holders, ", "),
                      all > kShown ? ", and others" : "");
}

std::string PlanText(const v1::ResetPlan& plan) {
  const std::string name = PrintableText(plan.device().name());
  std::string text = plan.clear()
                         ? absl::StrCat("yes: nothing stands in the way of a reset of ", name)
                         : absl::StrCat("no: something stands in the way of a reset of ", name,
                                        ": ", Obstacles(plan));
  absl::StrAppend(&text, "\n", Asked(plan), TimeText(plan));
  return text + SessionTable(plan) +
         LeftOut(plan.session_count(), plan.sessions_size(), "session") +
         HeldTable(plan.unexplained_buffers()) +
         LeftOut(plan.unexplained_buffer_count(), plan.unexplained_buffers_size(), "buffer");
}

}  // namespace hlbuf::ctl
