// SPDX-License-Identifier: Apache-2.0
#include "client/ctl/doctor/openers.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <cstddef>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/ctl/doctor/files.h"
#include "client/ctl/doctor/namespaces.h"

namespace hlbuf::ctl::doctor {
namespace {

// The card whose compute node a descriptor is. By its number: a container may have other names.
std::optional<std::size_t> CardBehind(const std::string& link, const std::vector<Card>& cards) {
  struct statx seen = {};
  // Without asking a file server, which may be gone.
  const bool is_device =
      ::statx(AT_FDCWD, link.c_str(), AT_STATX_DONT_SYNC, STATX_TYPE, &seen) == 0 &&
      S_ISCHR(seen.stx_mode);
  if (!is_device) return std::nullopt;
  const dev_t number = makedev(seen.stx_rdev_major, seen.stx_rdev_minor);
  for (std::size_t i = 0; i < cards.size(); ++i)
    if (cards[i].compute.meant == number) return i;
  return std::nullopt;
}

// Of whoever may not be looked into, the kernel still tells the name that it has given itself.
std::string ProgramOf(const std::string& process) {
  const auto link = LinkAt(process + "/exe");
  if (link.ok()) return BaseName(*link);
  return absl::StrCat("\"", FileText(process + "/comm").value_or("?"), "\"");
}

// 0: it has ended.
pid_t ParentOf(const std::string& process) {
  pid_t parent = 0;
  const std::string status = FileText(process + "/status").value_or("");
  return absl::SimpleAtoi(ValueIn(status, "PPid:"), &parent) ? parent : 0;
}

// By its control group, in a slice where only root makes some.
bool HasKeepersUnit(const std::string& process) {
  const std::string path = ValueIn(FileText(process + "/cgroup").value_or(""), "0::");
  return absl::StartsWith(path, "/system.slice/") &&
         absl::StartsWith(path.substr(path.rfind('/')), "/hl-bufd-keeper@");
}

void LookInto(const std::string& process, pid_t pid, const std::vector<Card>& cards,
              Openers& openers, std::size_t& closed) {
  const auto descriptors = NamesIn(process + "/fd");
  if (!descriptors.ok() && !absl::IsNotFound(descriptors.status())) ++closed;
  if (!descriptors.ok()) return;
  for (const std::string& descriptor : *descriptors) {
    const auto card = CardBehind(absl::StrCat(process, "/fd/", descriptor), cards);
    if (!card) continue;
    std::vector<Opener>& of_card = openers.of_card[*card];
    if (of_card.empty() || of_card.back().pid != pid)
      of_card.push_back({.pid = pid,
                         .parent = ParentOf(process),
                         .program = ProgramOf(process),
                         .has_unit = HasKeepersUnit(process)});
  }
}

std::string TextOf(const std::vector<Opener>& openers) {
  return absl::StrJoin(openers, ", ", [](std::string* out, const Opener& opener) {
    absl::StrAppend(out, opener.program, " (pid ", opener.pid, ")");
  });
}

}  // namespace

Openers FindOpeners(const Roots& roots, const std::vector<Card>& cards) {
  Openers openers{.of_card = std::vector<std::vector<Opener>>(cards.size())};
  const auto names = NamesIn(roots.proc);
  if (!names.ok()) {
    openers.gap = WhyUnknown(names.status());
    return openers;
  }
  std::size_t closed = 0;
  for (const std::string& name : *names)
    if (pid_t pid = 0; absl::ascii_isdigit(name[0]) && absl::SimpleAtoi(name, &pid))
      LookInto(absl::StrCat(roots.proc, "/", name), pid, cards, openers, closed);
  if (closed > 0)
    openers.gap =
        absl::StrCat("the descriptors of ", closed, " processes (needs root of the node)");
  else if (IsInPidNamespace(roots))
    openers.gap = "processes outside of this pid namespace";
  return openers;
}

Finding JudgeOpeners(const Card& card, const std::vector<Opener>& openers, const std::string& gap,
                     const Answers& answers, pid_t service) {
  Finding finding{.check = "opener", .on = card.pci};
  const std::string where = absl::StrCat(card.compute.path, " (/proc/*/fd): ");
  std::vector<Opener> others;
  std::copy_if(openers.begin(), openers.end(), std::back_inserter(others),
               [service](const Opener& opener) { return !opener.is_services(service); });
  const bool in_use = answers.ok() && answers->in_use;
  if (!others.empty()) {
    finding.verdict = Verdict::kProblem;
    finding.evidence = absl::StrCat(where, "open in ", TextOf(others),
                                    ", which is not hl-bufd; a card opens once");
    finding.remedy = "end it, and have it ask hl-bufd for memory instead";
  } else if (!openers.empty()) {
    finding.verdict = Verdict::kOk;
    finding.evidence = absl::StrCat(where, "open in ", TextOf(openers));
  } else if (!gap.empty()) {
    finding.evidence =
        absl::StrCat(where, "could not be looked at: ", gap,
                     in_use ? "; the card says that somebody has it (OPEN_STATS)" : "");
    finding.remedy = "run `hl-bufctl doctor` as root, outside of containers";
  } else if (in_use) {
    finding.verdict = Verdict::kWarning;
    finding.evidence = where +
                       "open in no process, but the card is in use (OPEN_STATS): a dma-buf "
                       "of an earlier opener is out somewhere";
    finding.remedy =
        "end the processes that hold it; as root, `hl-bufctl holders DEVICE` names those of "
        "hl-bufd's buffers, and `ls -l /proc/*/fd | grep dmabuf` all";
  } else {
    finding.verdict = Verdict::kOk;
    finding.evidence = where + "open in no process";
  }
  return finding;
}

}  // namespace hlbuf::ctl::doctor
