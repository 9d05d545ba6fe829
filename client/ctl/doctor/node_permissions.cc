// SPDX-License-Identifier: Apache-2.0
#include <sys/sysmacros.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/ctl/doctor/card_checks.h"
#include "client/ctl/doctor/files.h"

namespace hlbuf::ctl::doctor {
namespace {

constexpr const char* kUdevRule =
    "install the rule of this service, lib/udev/rules.d/70-hl-bufd.rules, if it is not there, and "
    "have udev apply it: udevadm control --reload; udevadm trigger --subsystem-match=accel "
    "--subsystem-match=habanalabs";

std::string TextOf(const DeviceFile& file) {
  return absl::StrFormat("%s (%d:%d, mode %04o, uid %d, gid %d)", file.path, major(file.number),
                         minor(file.number), file.mode, file.uid, file.gid);
}

std::string NumberText(dev_t number) { return absl::StrCat(major(number), ":", minor(number)); }

// What keeps a node from being the one of the card; "" when nothing does.
std::string WrongWith(const DeviceFile& file) {
  if (absl::IsNotFound(file.looked))
    return absl::StrCat(file.path, " is not there; sysfs says that it is device ",
                        NumberText(file.meant));
  if (!file.looked.ok()) return "";
  if (!file.is_device) return file.path + " is no character device";
  if (file.number != file.meant)
    return absl::StrCat(file.path, " is device ", NumberText(file.number),
                        ", but sysfs says that the card is ", NumberText(file.meant));
  return "";
}

Finding JudgeModes(Finding finding, const Card& card, const Credentials& service) {
  for (const DeviceFile* file : {&card.compute, &*card.control}) {
    if (MayOpen(service, *file)) continue;
    finding.verdict = Verdict::kProblem;
    absl::StrAppend(&finding.evidence, "; ", service.source, ", may not open ", file->path);
    finding.remedy = kUdevRule;
    return finding;
  }
  absl::StrAppend(&finding.evidence, "; ", service.source, ", may open both");
  finding.verdict = Verdict::kOk;
  if ((card.compute.mode & 06) != 06) return finding;
  finding.verdict = Verdict::kWarning;
  absl::StrAppend(&finding.evidence, ", and so may everybody: who opens the card first keeps it");
  finding.remedy = kUdevRule;
  return finding;
}

}  // namespace

Finding JudgeNodes(const Card& card, const std::optional<Credentials>& service) {
  Finding finding{.check = "nodes", .on = card.pci};
  std::string wrong = WrongWith(card.compute);
  if (wrong.empty() && !card.control) wrong = card.compute.path + ": there is no control node";
  if (wrong.empty()) wrong = WrongWith(*card.control);
  if (!wrong.empty()) {
    finding.verdict = Verdict::kProblem;
    finding.evidence = wrong;
    finding.remedy =
        "remove what was left over or made by hand, and let udev make the nodes anew "
        "(udevadm trigger); in a container, pass both nodes on";
    return finding;
  }
  for (const DeviceFile* file : {&card.compute, &*card.control}) {
    if (file->looked.ok()) continue;
    finding.evidence = WhyUnknown(file->looked);
    finding.remedy = HowToKnow(file->looked);
    return finding;
  }
  finding.evidence = absl::StrCat(TextOf(card.compute), ", ", TextOf(*card.control));
  if (service) return JudgeModes(std::move(finding), card, *service);
  absl::StrAppend(&finding.evidence, "; hl-bufd does not run, and there is no user hl-bufd");
  finding.remedy = "start hl-bufd, and ask again";
  return finding;
}

}  // namespace hlbuf::ctl::doctor
