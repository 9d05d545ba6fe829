// SPDX-License-Identifier: Apache-2.0
#include "client/ctl/event_lines.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/ctl/format.h"
#include "client/ctl/json.h"

namespace hlbuf::ctl {
namespace {

constexpr int kNumberWidth = 8;
constexpr int kTimeWidth = 12;
constexpr int kKindWidth = 25;

std::string Line(const v1::WatchEventsResponse& response, const std::string& position,
                 const std::string& time, const std::string& kind, const std::string& what) {
  const int width = static_cast<int>(response.life().size()) + 1 + kNumberWidth;
  return absl::StrFormat("%-*s  %-*s  %-*s  %s\n", width, position, kTimeWidth, time, kKindWidth,
                         kind, PrintableText(what));
}

std::string Position(const v1::WatchEventsResponse& response, std::uint64_t number) {
  return absl::StrCat(response.life(), ":", number);
}

// The last number in front of what follows the gap: who resumes there misses nothing.
std::uint64_t LastOfGap(const v1::WatchEventsResponse& response) {
  const std::uint64_t follows =
      response.events().empty() ? response.next() : response.events(0).sequence();
  return std::min(response.gap().to(), follows - 1);
}

std::string What(const v1::Event& event) {
  std::vector<std::string> parts;
  const std::pair<const char*, const std::string&> ids[] = {{"device ", event.device()},
                                                            {"buffer ", event.buffer_id()},
                                                            {"lease ", event.lease_id()},
                                                            {"session ", event.session_id()},
                                                            {"revocation ", event.revocation_id()}};
  for (const auto& [noun, id] : ids)
    if (!id.empty()) parts.push_back(noun + id);
  if (event.has_domain()) parts.push_back(DomainText(event.domain()));
  if (event.pid() != 0) parts.push_back(absl::StrCat("pid ", event.pid()));
  // The text of a verdict begins with its word, and says what was counted.
  if (event.has_verdict() && !absl::StartsWith(event.text(), VerdictText(event.verdict().kind())))
    parts.push_back(VerdictText(event.verdict().kind()) + ", " +
                    CountText(event.verdict().references(), "reference"));
  const std::string what = absl::StrJoin(parts, ", ");
  if (event.text().empty()) return what;
  return what.empty() ? event.text() : absl::StrCat(what, ": ", event.text());
}

}  // namespace

std::string EventTableLines(const v1::WatchEventsResponse& response) {
  if (!response.has_gap() && response.events().empty())
    return Line(response, "POSITION", "TIME", "EVENT", "WHAT");
  std::string lines;
  if (response.has_gap())
    lines += Line(response, Position(response, LastOfGap(response)), "-", "gap",
                  absl::StrCat("events from ", response.gap().from(), " to ", response.gap().to(),
                               " were forgotten before they could be told"));
  for (const v1::Event& event : response.events())
    lines += Line(response, Position(response, event.sequence()), ClockText(event.time()),
                  KindText(event.kind()), What(event));
  return lines;
}

std::string EventJsonLines(const v1::WatchEventsResponse& response) {
  v1::WatchEventsResponse one;
  one.set_life(response.life());
  if (!response.has_gap() && response.events().empty()) one.set_next(response.next());
  std::string lines = one.next() != 0 ? JsonLine(one) : "";
  if (response.has_gap()) {
    *one.mutable_gap() = response.gap();
    one.set_next(LastOfGap(response) + 1);
    lines += JsonLine(one);
    one.clear_gap();
  }
  for (const v1::Event& event : response.events()) {
    one.clear_events();
    *one.add_events() = event;
    one.set_next(event.sequence() + 1);
    lines += JsonLine(one);
  }
  return lines;
}

bool ResumeAfter(const std::string& position, v1::WatchEventsRequest& request) {
  const std::size_t colon = position.find(':');
  std::uint64_t number = 0;
  if (colon == 0 || colon == std::string::npos ||
      !absl::SimpleAtoi(position.substr(colon + 1), &number) ||
      number == std::numeric_limits<std::uint64_t>::max())
    return false;
  request.set_life(position.substr(0, colon));
  request.set_next(number + 1);
  return true;
}

}  // namespace hlbuf::ctl
