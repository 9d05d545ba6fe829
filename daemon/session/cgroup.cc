// SPDX-License-Identifier: Apache-2.0
#include "daemon/session/cgroup.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

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

// Whoever may make cgroups chooses their names: %XX for what people and protobuf could not read.
// `others` are kept beside letters and digits.
std::string Escaped(absl::string_view name, absl::string_view others) {
  std::string text;
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    if (absl::ascii_isalnum(byte) || absl::StrContains(others, c))
      text.push_back(c);
    else
      absl::StrAppendFormat(&text, "%%%02x", byte);
  }
  return text;
}

// "lxc:web": a name as its runtime's.
std::string OfRuntime(absl::string_view runtime, absl::string_view name) {
  return name.empty() ? "" : absl::StrCat(runtime, ":", Escaped(name, "._-\\"));
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

// Of runtimes that name a container as its administrator does: systemd-nspawn (and what else
// machined registers), LXC. Names have their runtime before them, so that none is taken for
// another's.
std::string NamedContainerIn(absl::string_view parent, absl::string_view component) {
  absl::string_view name = component;
  if (parent == "machine.slice" && absl::ConsumePrefix(&name, "machine-") &&
      absl::ConsumeSuffix(&name, ".scope"))
    return OfRuntime("machine", name);
  name = component;
  if (absl::ConsumePrefix(&name, "systemd-nspawn@") && absl::ConsumeSuffix(&name, ".service"))
    return OfRuntime("machine", name);
  name = component;
  if (parent == "lxc" || parent == "lxc.payload" || absl::ConsumePrefix(&name, "lxc.payload."))
    return OfRuntime("lxc", name);
  return "";
}

std::string ContainersIn(absl::string_view path) {
  std::vector<std::string> ids;
  absl::string_view parent;
  for (const absl::string_view component : absl::StrSplit(path, '/')) {
    std::string id(ContainerIn(component));
    if (id.empty()) id = NamedContainerIn(parent, component);
    if (!id.empty()) ids.push_back(std::move(id));
    parent = component;
  }
  return absl::StrJoin(ids, "/");
}

std::string UnitIn(absl::string_view path) {
  absl::string_view unit;
  for (const absl::string_view component : absl::StrSplit(path, '/'))
    if (absl::EndsWith(component, ".service") || absl::EndsWith(component, ".scope"))
      unit = component;
  std::string name = Escaped(unit, ":-_.\\@");  // what systemd.unit(5) allows in a name
  if (name.size() <= kPlaceBytesMax) return name;
  constexpr absl::string_view kCut = "...";
  return name.substr(0, kPlaceBytesMax - kCut.size()) + std::string(kCut);
}

// Of "job_123".
std::uint32_t JobNumber(absl::string_view component) {
  std::uint32_t job = 0;
  const bool is_job = absl::ConsumePrefix(&component, "job_") && !component.empty() &&
                      std::all_of(component.begin(), component.end(), absl::ascii_isdigit) &&
                      absl::SimpleAtoi(component, &job);
  return is_job ? job : 0;
}

// "NAME", or "NODE_NAME" and "NAME_NODE" where one machine plays several nodes.
bool IsSlurms(absl::string_view component, absl::string_view name) {
  return component == name || absl::EndsWith(component, absl::StrCat("_", name)) ||
         absl::StartsWith(component, absl::StrCat(name, "_"));
}

// "/system.slice/slurmstepd.scope/job_N/..." in the unified hierarchy, "/slurm/uid_U/job_N/..." in
// the others.
std::uint32_t JobIn(absl::string_view path) {
  const std::vector<absl::string_view> parts = absl::StrSplit(path, absl::MaxSplits('/', 4));
  if (parts.size() < 4 || !parts[0].empty()) return 0;
  const bool unified = absl::EndsWith(parts[1], ".slice") && IsSlurms(parts[2], "slurmstepd.scope");
  const bool legacy = IsSlurms(parts[1], "slurm") && absl::StartsWith(parts[2], "uid_");
  return unified || legacy ? JobNumber(parts[3]) : 0;
}

}  // namespace

CgroupPlace ParseCgroup(absl::string_view text) {
  const Paths paths = PathsIn(text);
  CgroupPlace place = {.container = ContainersIn(paths.chosen), .unit = UnitIn(paths.chosen)};
  for (auto path = paths.all.begin(); path != paths.all.end() && place.container.empty(); ++path)
    place.container = ContainersIn(*path);
  for (auto path = paths.all.begin(); path != paths.all.end() && place.job == 0; ++path)
    place.job = JobIn(*path);
  return place;
}

absl::Status CheckPlace(const CgroupPlace& place) {
  if (place.container.size() <= kPlaceBytesMax) return absl::OkStatus();
  return absl::OutOfRangeError(
      absl::StrCat("the peer's container has a name of ", place.container.size(), " bytes, and ",
                   kPlaceBytesMax, " is the most; name it otherwise, or nest fewer containers"));
}

}  // namespace hlbuf
