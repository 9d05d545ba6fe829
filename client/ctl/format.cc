// SPDX-License-Identifier: Apache-2.0
#include "client/ctl/format.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "client/ctl/enum_names.h"

namespace hlbuf::ctl {
namespace {

std::string InContainer(const std::string& container) {
  return container.empty() ? "" : absl::StrCat(" in ", container);
}

std::string SignalText(v1::Signal signal) {
  switch (signal) {
    case v1::SIGNAL_TERMINATE:
      return ", SIGTERM sent";
    case v1::SIGNAL_KILL:
      return ", SIGKILL sent";
    default:
      return "";
  }
}

}  // namespace

std::string SizeText(std::uint64_t bytes) {
  constexpr std::array<const char*, 7> kUnits = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  double value = static_cast<double>(bytes);
  std::size_t unit = 0;
  // From 1023.95 on a decimal would show 1024.0.
  for (; value >= 1023.95 && unit + 1 < kUnits.size(); ++unit) value /= 1024;
  const bool whole = value == std::floor(value);
  return absl::StrFormat("%.*f%s", whole ? 0 : 1, value, kUnits[unit]);
}

std::string CountText(std::uint64_t count, const std::string& noun) {
  return absl::StrCat(count, " ", noun, count == 1 ? "" : "s");
}

std::string AgeText(absl::Duration age) {
  const std::int64_t seconds = std::max<std::int64_t>(absl::ToInt64Seconds(age), 0);
  const std::int64_t minutes = seconds / 60;
  const std::int64_t hours = minutes / 60;
  if (minutes == 0) return absl::StrFormat("%ds", seconds);
  if (hours == 0) return absl::StrFormat("%dm%02ds", minutes, seconds % 60);
  if (hours < 24) return absl::StrFormat("%dh%02dm", hours, minutes % 60);
  return absl::StrFormat("%dd%02dh", hours / 24, hours % 24);
}

std::string AgeText(const google::protobuf::Timestamp& since, absl::Time now) {
  return AgeText(now - ToTime(since));
}

std::string ClockText(const google::protobuf::Timestamp& time) {
  return absl::FormatTime("%H:%M:%E3S", ToTime(time), absl::LocalTimeZone());
}

std::string PrintableText(const std::string& text) {
  std::string printable;
  for (const char c : text) {
    if (absl::ascii_isprint(static_cast<unsigned char>(c)))
      printable += c;
    else
      absl::StrAppendFormat(&printable, "\\x%02x", static_cast<unsigned char>(c));
  }
  return printable;
}

std::string DomainText(const v1::Domain& domain) {
  return absl::StrCat("uid ", domain.uid(), InContainer(domain.container()));
}

std::string PeerText(const v1::Peer& peer) {
  return absl::StrCat("uid ", peer.uid(), " pid ", peer.pid(), InContainer(peer.container()),
                      peer.job() == 0 ? "" : absl::StrCat(" job ", peer.job()));
}

std::string HolderText(const v1::Holder& holder) {
  return absl::StrCat(
      "session ", holder.session_id(), " (uid ", holder.domain().uid(), " pid ", holder.pid(),
      InContainer(holder.domain().container()), SignalText(holder.signalled()),
      holder.unread_grant() ? ", has not read its last grant; only its end frees it" : "", ")");
}

std::string OutsideText(const v1::OutsideHolder& holder) {
  return absl::StrCat("pid ", holder.pid(), " (", holder.command(), ", uid ", holder.uid(), ")");
}

std::string HeldText(const v1::OutsideHolder& holder) {
  std::vector<std::string> held;
  if (holder.descriptors() > 0) held.push_back(CountText(holder.descriptors(), "descriptor"));
  if (holder.mappings() > 0) held.push_back(CountText(holder.mappings(), "mapping"));
  return absl::StrJoin(held, ", ");
}

std::string GranteeText(const v1::Grantee& grantee) {
  switch (grantee.who_case()) {
    case v1::Grantee::kUid:
      return absl::StrCat("uid ", grantee.uid());
    case v1::Grantee::kGid:
      return absl::StrCat("gid ", grantee.gid());
    case v1::Grantee::WHO_NOT_SET:
      break;
  }
  return "";
}

std::string StateText(v1::DeviceState state) { return ShortName(state); }
std::string StateText(v1::BufferState state) { return ShortName(state); }
std::string StateText(v1::LeaseState state) { return ShortName(state); }
std::string StateText(v1::SessionState state) { return ShortName(state); }
std::string VerdictText(v1::VerdictKind kind) { return ShortName(kind); }

std::string ReasonText(v1::RevokeReason reason) { return absl::AsciiStrToLower(ShortName(reason)); }

std::string KindText(v1::EventKind kind) {
  return absl::StrReplaceAll(absl::AsciiStrToLower(ShortName(kind)), {{"_", "-"}});
}

absl::Time ToTime(const google::protobuf::Timestamp& time) {
  return absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos());
}

}  // namespace hlbuf::ctl
