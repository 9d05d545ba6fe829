// SPDX-License-Identifier: Apache-2.0
#include "client/ctl/doctor/service_checks.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "client/ctl/doctor/files.h"
#include "client/ctl/doctor/namespaces.h"

namespace hlbuf::ctl::doctor {
namespace {

constexpr std::uint64_t kNofileComfortable = 8192;
constexpr std::uint64_t kCapKill = 1 << 5;
constexpr std::pair<unsigned, unsigned> kVouchesForPeers = {6, 5};
constexpr std::uint64_t kAllIds = 4294967295;  // 2^32 - 1 is no id
constexpr const char* kAskAgain = "start hl-bufd, and ask again";

Finding Unknown(Finding finding, const absl::Status& why) {
  finding.evidence = WhyUnknown(why);
  finding.remedy = absl::IsNotFound(why) ? kAskAgain : HowToKnow(why);
  return finding;
}

std::string TextOf(const std::vector<ServiceAnswer::Device>& devices) {
  return absl::StrJoin(devices, ", ", [](std::string* out, const ServiceAnswer::Device& device) {
    absl::StrAppend(out, device.name, " (", device.kind, ") is ", device.state,
                    device.failure.empty() ? "" : ": ", device.failure);
  });
}

// "Max open files            1024                 524288               files"
std::optional<std::uint64_t> HardNofile(const std::string& limits) {
  const std::vector<std::string> words =
      absl::StrSplit(ValueIn(limits, "Max open files"), ' ', absl::SkipEmpty());
  std::uint64_t hard = 0;
  if (words.size() < 2) return std::nullopt;
  if (words[1] == "unlimited") return UINT64_MAX;
  return absl::SimpleAtoi(words[1], &hard) ? std::optional(hard) : std::nullopt;
}

// How many ids a map has: lines of "inside outside count".
std::uint64_t IdsIn(const std::string& map) {
  std::uint64_t ids = 0;
  for (const absl::string_view line : absl::StrSplit(map, '\n')) {
    const std::vector<std::string> words = absl::StrSplit(line, ' ', absl::SkipEmpty());
    if (std::uint64_t count = 0; words.size() == 3 && absl::SimpleAtoi(words[2], &count))
      ids += count;
  }
  return ids;
}

}  // namespace

Finding JudgeService(const std::string& socket, const ServiceAnswer& answer, bool has_card) {
  Finding finding{.check = "service"};
  if (absl::IsPermissionDenied(answer.status)) return Unknown(finding, answer.status);
  if (!answer.status.ok()) {
    finding.verdict = Verdict::kProblem;
    finding.evidence = std::string(answer.status.message());
    finding.remedy = "start hl-bufd; where its control socket lies elsewhere, say so by --socket";
    return finding;
  }
  const auto any = [&](auto is) {
    return std::any_of(answer.devices.begin(), answer.devices.end(), is);
  };
  using Device = ServiceAnswer::Device;
  finding.verdict = Verdict::kOk;
  finding.evidence = absl::StrCat(socket, ": ", TextOf(answer.devices));
  if (any([](const Device& device) { return device.state == "FAILED"; })) {
    finding.verdict = Verdict::kProblem;
    finding.remedy = "do what its failure says; hl-bufd tries again by itself to open it";
  } else if (has_card && !any([](const Device& device) { return device.kind == "habanalabs"; })) {
    finding.verdict = Verdict::kWarning;
    absl::StrAppend(&finding.evidence, "; none of kind habanalabs, so the card is not served");
    finding.remedy = "give it a [[device]] of kind \"habanalabs\" (/etc/hl-bufd/hl-bufd.toml)";
  } else if (any([](const Device& device) { return device.state != "READY"; })) {
    finding.verdict = Verdict::kWarning;
    finding.remedy = "`hl-bufctl watch` tells when it is READY";
  }
  return finding;
}

Finding JudgeDescriptors(const Process& process) {
  Finding finding{.check = "descriptors"};
  if (!process.ok()) return Unknown(finding, process.status());
  if (!process->limits.ok()) return Unknown(finding, process->limits.status());
  const std::optional<std::uint64_t> hard = HardNofile(*process->limits);
  if (!hard)
    return Unknown(finding, absl::UnknownError(absl::StrCat("/proc/", process->pid,
                                                            "/limits has no \"Max open files\"")));
  finding.evidence = absl::StrCat("/proc/", process->pid, "/limits: at most ",
                                  *hard == UINT64_MAX ? "any number of" : absl::StrCat(*hard),
                                  " descriptors; a buffer takes one, a session two, and at most ",
                                  *hard / 2 - 1, " may be in flight");
  finding.verdict = Verdict::kOk;
  if (*hard >= kNofileComfortable) return finding;
  finding.verdict = Verdict::kWarning;
  finding.remedy = "raise LimitNOFILE= of its unit, to 524288 for instance";
  return finding;
}

Finding JudgeUserNamespace(const Process& process) {
  Finding finding{.check = "user-namespace"};
  if (!process.ok()) return Unknown(finding, process.status());
  for (const auto* map : {&process->uid_map, &process->gid_map})
    if (!map->ok()) return Unknown(finding, map->status());
  const std::uint64_t ids = std::min(IdsIn(*process->uid_map), IdsIn(*process->gid_map));
  finding.evidence = absl::StrCat(
      "/proc/", process->pid, "/uid_map and gid_map: ", ids == kAllIds ? "all" : absl::StrCat(ids),
      " ids have a name there");
  if (ids == kAllIds) {
    finding.verdict = Verdict::kOk;
    return finding;
  }
  finding.verdict = Verdict::kProblem;
  absl::StrAppend(&finding.evidence,
                  "; everybody else is nobody (65534) to it, and is refused everything");
  finding.remedy =
      "run hl-bufd in the node's own user namespace (no PrivateUsers=, no hostUsers: "
      "false)";
  return finding;
}

Finding JudgePidNamespace(const Process& process) {
  Finding finding{.check = "pid-namespace"};
  if (!process.ok()) return Unknown(finding, process.status());
  // The link needs the right to trace; the list of its pids tells who looks from further out.
  const std::vector<std::string> pids =
      absl::StrSplit(ValueIn(process->status, "NSpid:"), absl::ByAnyChar("\t "), absl::SkipEmpty());
  const auto& link = process->pid_namespace;
  const bool own = pids.size() > 1 || (link.ok() && *link != kFirstPidNamespace);
  if (!own && !link.ok()) return Unknown(finding, link.status());
  finding.evidence = pids.size() > 1 ? absl::StrCat("/proc/", process->pid, "/status: NSpid ",
                                                    absl::StrJoin(pids, " "))
                                     : absl::StrCat("/proc/", process->pid, "/ns/pid is ", *link);
  finding.verdict = own ? Verdict::kWarning : Verdict::kOk;
  if (!own) return finding;
  absl::StrAppend(
      &finding.evidence,
      ": one of its own; clients outside of it show as pid 0, without unit, job or pod, "
      "and are refused");
  finding.remedy = "run hl-bufd in the node's own pid namespace (hostPID: true)";
  return finding;
}

Finding JudgeEnforcement(const absl::StatusOr<ServiceConfig>& config, const Process& process,
                         const std::string& kernel) {
  Finding finding{.check = "enforcement"};
  if (!config.ok()) return Unknown(finding, config.status());
  finding.verdict = Verdict::kOk;
  finding.evidence = absl::StrCat(
      config->path, ": [enforcement] is off: clients that do not let go are never signalled");
  if (!config->enforces) return finding;
  finding.verdict = Verdict::kUnknown;
  if (!process.ok()) return Unknown(finding, process.status());
  std::uint64_t capabilities = 0;
  const auto version = KernelVersion(kernel);
  if (!version || !absl::SimpleHexAtoi(ValueIn(process->status, "CapEff:"), &capabilities))
    return Unknown(finding, absl::UnknownError(absl::StrCat(
                                "/proc/", process->pid, "/status has no \"CapEff:\", or kernel ",
                                kernel, " has no version")));
  const bool may = (capabilities & kCapKill) != 0;
  const bool vouches = *version >= kVouchesForPeers;
  finding.evidence = absl::StrCat(config->path, ": [enforcement] is on; hl-bufd (pid ",
                                  process->pid, ") has ", may ? "" : "no ", "CAP_KILL, and kernel ",
                                  kernel, vouches ? " vouches" : " does not vouch",
                                  " for whose process a client is (SO_PEERPIDFD)");
  finding.verdict = may && vouches ? Verdict::kOk : Verdict::kWarning;
  if (!vouches)
    finding.remedy = "run Linux 6.5 or later: until then nobody is ever signalled";
  else if (!may)
    finding.remedy =
        "give its unit the drop-in enforcement.conf (share/doc/hlbuf/drop-ins), and restart it: "
        "without CAP_KILL only processes of its own user are signalled";
  return finding;
}

Program FindProgram(const std::string& name, const Process& process,
                    const std::vector<std::string>& directories) {
  Program program;
  if (process.ok() && !process->program.ok()) {
    program.unknown = process->program.status();
    return program;
  }
  if (process.ok())
    program.looked.push_back(process->program->substr(0, process->program->rfind('/')));
  else
    program.looked = directories;
  for (const std::string& directory : program.looked)
    if (const std::string path = absl::StrCat(directory, "/", name);
        program.path.empty() && Exists(path))
      program.path = path;
  return program;
}

Finding JudgeKeeper(const Program& keeper, bool has_card) {
  Finding finding{.check = "keeper", .verdict = Verdict::kOk, .evidence = keeper.path};
  if (!keeper.unknown.ok()) return Unknown({.check = "keeper"}, keeper.unknown);
  if (!keeper.path.empty()) return finding;
  finding.verdict = has_card ? Verdict::kProblem : Verdict::kWarning;
  finding.evidence = absl::StrCat("no hl-bufd-keeper in ", absl::StrJoin(keeper.looked, ", "),
                                  ": without it hl-bufd opens no card");
  finding.remedy = "install it beside hl-bufd";
  return finding;
}

Finding JudgeHolders(const Program& holders, const absl::StatusOr<ServiceConfig>& config,
                     const std::function<absl::Status(const std::string&)>& look_for) {
  Finding finding{.check = "holders"};
  if (!config.ok()) return Unknown(finding, config.status());
  const std::string& socket = config->holders;
  const absl::Status there = socket.empty() ? absl::NotFoundError("") : look_for(socket);
  if (!there.ok() && !absl::IsNotFound(there)) return Unknown(finding, there);
  if (there.ok()) {
    finding.verdict = Verdict::kOk;
    finding.evidence = socket;
    return finding;
  }
  finding.verdict = Verdict::kWarning;
  finding.evidence = absl::StrCat(
      socket.empty()
          ? absl::StrCat(config->path, ": [sockets] holders is empty")
          : absl::StrCat("no socket ", socket, " ([sockets] holders of ", config->path, ")"),
      ": a verdict HELD names sessions, and no other process");
  const bool missing = holders.path.empty() && holders.unknown.ok();
  if (missing)
    absl::StrAppend(&finding.evidence, "; no hl-bufd-holders in ",
                    absl::StrJoin(holders.looked, ", "), " either");
  finding.remedy = absl::StrCat(
      missing ? "install hl-bufd-holders beside hl-bufd, and " : "",
      socket.empty() ? "set [sockets] holders, and have a socket unit start hl-bufd-holders there"
                     : "have a socket unit start it there for each connection, as root",
      "; until then ask as root: hl-bufctl holders DEVICE");
  return finding;
}

}  // namespace hlbuf::ctl::doctor
