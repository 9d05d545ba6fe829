// SPDX-License-Identifier: Apache-2.0
#include "client/ctl/doctor/service_process.h"

#include <algorithm>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "client/ctl/doctor/files.h"

namespace hlbuf::ctl::doctor {
namespace {

constexpr const char* kName = "hl-bufd";

// By its program, where that may be read; everybody gives oneself a name.
bool IsCalledSo(const std::string& process) {
  if (FileText(process + "/comm").value_or("") != kName) return false;
  const absl::StatusOr<std::string> program = LinkAt(process + "/exe");
  return !program.ok() || BaseName(*program) == kName;
}

std::vector<pid_t> ProcessesOfThatName(const Roots& roots) {
  std::vector<pid_t> found;
  for (const std::string& name : NamesIn(roots.proc).value_or(std::vector<std::string>()))
    if (pid_t pid = 0; absl::ascii_isdigit(name[0]) && absl::SimpleAtoi(name, &pid) &&
                       IsCalledSo(absl::StrCat(roots.proc, "/", name)))
      found.push_back(pid);
  return found;
}

bool IsOneOf(const Roots& roots, pid_t pid, const std::vector<uid_t>& users) {
  const auto who =
      CredentialsIn(FileText(absl::StrCat(roots.proc, "/", pid, "/status")).value_or(""));
  return who && std::find(users.begin(), users.end(), who->uid) != users.end();
}

// The value of --config; the default without one.
std::string ConfigPath(const Roots& roots, const std::string& process) {
  const std::string command = FileBytes(process + "/cmdline").value_or("");
  const std::vector<std::string> words = absl::StrSplit(command, '\0');
  std::string path = roots.etc + "/hl-bufd.toml";
  for (std::size_t i = 0; i < words.size(); ++i) {
    absl::string_view word = words[i];
    if (word == "--config" && i + 1 < words.size()) path = words[i + 1];
    if (absl::ConsumePrefix(&word, "--config=")) path = std::string(word);
  }
  return absl::StartsWith(path, "/") ? path : absl::StrCat(process, "/cwd/", path);
}

ServiceProcess Read(const Roots& roots, pid_t pid) {
  const std::string process = absl::StrCat(roots.proc, "/", pid);
  ServiceProcess service{.pid = pid};
  service.status = FileText(process + "/status").value_or("");
  service.who = CredentialsIn(service.status);
  if (service.who)
    service.who->source = absl::StrCat("hl-bufd (pid ", pid, "), uid ", service.who->uid);
  service.program = LinkAt(process + "/exe");
  if (service.program.ok())
    service.program = std::string(absl::StripSuffix(*service.program, " (deleted)"));
  service.config = ConfigPath(roots, process);
  service.limits = FileText(process + "/limits");
  service.uid_map = FileText(process + "/uid_map");
  service.gid_map = FileText(process + "/gid_map");
  service.pid_namespace = LinkAt(process + "/ns/pid");
  return service;
}

}  // namespace

absl::StatusOr<ServiceProcess> FindService(const Roots& roots, std::optional<pid_t> listener,
                                           const std::vector<uid_t>& users) {
  std::vector<pid_t> found = ProcessesOfThatName(roots);
  if (listener && std::find(found.begin(), found.end(), *listener) != found.end())
    return Read(roots, *listener);
  found.erase(std::remove_if(found.begin(), found.end(),
                             [&](pid_t pid) { return !IsOneOf(roots, pid, users); }),
              found.end());
  if (found.empty()) return absl::NotFoundError(absl::StrCat("no process hl-bufd in ", roots.proc));
  if (found.size() > 1)
    return absl::UnavailableError(
        absl::StrCat("several processes are hl-bufd: pid ", absl::StrJoin(found, ", ")));
  return Read(roots, found.front());
}

}  // namespace hlbuf::ctl::doctor
