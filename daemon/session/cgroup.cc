// SPDX-License-Identifier: Apache-2.0
#include "daemon/session/cgroup.h"

#include <algorithm>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace hlbuf {
namespace {

constexpr std::size_t kContainerIdDigits = 64;

struct Paths {
  absl::string_view chosen;
  std::vector<absl::string_view> all;
};

Paths PathsIn(absl::string_view text) {
  Paths paths;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    const std::vector<absl::string_view> fields = absl::StrSplit(line, absl::MaxSplits(':', 2));
    if (fields.size() != 3) continue;
    paths.all.push_back(fields[2]);
    // A hybrid hierarchy has both lines, and the unified one then says nothing but "/".
    const bool unified = fields[0] == "0" && fields[1].empty() && fields[2] != "/";
    if (unified || (fields[1] == "name=systemd" && paths.chosen.empty())) paths.chosen = fields[2];
  }
  return paths;
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

std::string ContainersIn(absl::string_view path) {
  std::vector<absl::string_view> ids = absl::StrSplit(path, '/');
  std::transform(ids.begin(), ids.end(), ids.begin(), ContainerIn);
  std::erase(ids, "");
  return absl::StrJoin(ids, "/");
}

std::string UnitIn(absl::string_view path) {
  std::string unit;
  for (const absl::string_view component : absl::StrSplit(path, '/'))
    if (absl::EndsWith(component, ".service") || absl::EndsWith(component, ".scope"))
      unit = std::string(component);
  return unit;
}

}  // namespace

CgroupPlace ParseCgroup(absl::string_view text) {
  const Paths paths = PathsIn(text);
  CgroupPlace place = {.container = ContainersIn(paths.chosen), .unit = UnitIn(paths.chosen)};
  for (auto path = paths.all.begin(); path != paths.all.end() && place.container.empty(); ++path)
    place.container = ContainersIn(*path);
  return place;
}

}  // namespace hlbuf
