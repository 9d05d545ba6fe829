// SPDX-License-Identifier: Apache-2.0
#include "daemon/session/cgroup.h"

#include <algorithm>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_split.h"

namespace hlbuf {
namespace {

constexpr std::size_t kContainerIdDigits = 64;

absl::string_view PathOf(absl::string_view text) {
  absl::string_view systemd;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    const std::vector<absl::string_view> fields = absl::StrSplit(line, absl::MaxSplits(':', 2));
    if (fields.size() != 3) continue;
    // A hybrid hierarchy has both lines, and the unified one then says nothing but "/".
    if (fields[0] == "0" && fields[1].empty() && fields[2] != "/") return fields[2];
    if (fields[1] == "name=systemd") systemd = fields[2];
  }
  return systemd;
}

// "docker-<id>.scope", "cri-containerd-<id>.scope", "<id>": the id is the run of 64 hexadecimal
// digits.
absl::string_view ContainerIn(absl::string_view component) {
  const auto is_digit = [](char c) { return absl::ascii_isxdigit(static_cast<unsigned char>(c)); };
  const char* const end = component.data() + component.size();
  for (const char* from = component.data(); from != end;) {
    from = std::find_if(from, end, is_digit);
    const char* to = std::find_if_not(from, end, is_digit);
    if (static_cast<std::size_t>(to - from) == kContainerIdDigits)
      return {from, kContainerIdDigits};
    from = to;
  }
  return {};
}

bool IsUnit(absl::string_view component) {
  return absl::EndsWith(component, ".service") || absl::EndsWith(component, ".scope");
}

}  // namespace

CgroupPlace ParseCgroup(absl::string_view text) {
  CgroupPlace place;
  const std::vector<absl::string_view> components =
      absl::StrSplit(PathOf(text), '/', absl::SkipEmpty());
  for (auto it = components.rbegin(); it != components.rend(); ++it) {
    if (place.container.empty()) place.container = std::string(ContainerIn(*it));
    if (place.unit.empty() && IsUnit(*it)) place.unit = std::string(*it);
  }
  return place;
}

}  // namespace hlbuf
