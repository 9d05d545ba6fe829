// SPDX-License-Identifier: Apache-2.0
#include "client/ctl/doctor/iommu.h"

#include "absl/strings/str_cat.h"
#include "client/ctl/doctor/files.h"

namespace hlbuf::ctl::doctor {

Iommu ReadIommu(const Roots& roots, const std::string& pci) {
  Iommu iommu;
  iommu.units = NamesIn(roots.sys + "/class/iommu").value_or(std::vector<std::string>());
  const auto link = LinkAt(absl::StrCat(roots.sys, "/bus/pci/devices/", pci, "/iommu_group"));
  if (!link.ok()) return iommu;
  iommu.group = absl::StrCat(roots.sys, "/kernel/iommu_groups/", BaseName(*link));
  iommu.type = FileText(iommu.group + "/type").value_or("");
  return iommu;
}

Finding JudgeIommu(const std::string& pci, const Iommu& iommu) {
  Finding finding{.check = "iommu", .on = pci};
  if (iommu.group.empty()) {
    finding.verdict = Verdict::kOk;
    finding.evidence = iommu.units.empty() ? "/sys/class/iommu is empty: none is in use"
                                           : "the card is in no iommu_group: nothing translates";
    return finding;
  }
  finding.evidence =
      absl::StrCat(iommu.group, "/type is ", iommu.type.empty() ? "not readable" : iommu.type);
  if (iommu.type == "identity") {
    finding.verdict = Verdict::kOk;
  } else if (iommu.type.empty()) {
    finding.remedy = "run `hl-bufctl doctor` as root";
  } else {
    finding.verdict = Verdict::kWarning;
    absl::StrAppend(&finding.evidence,
                    ": addresses are translated, so what goes between card and NIC takes the way "
                    "through the root, if the NIC's translation reaches the card at all");
    finding.remedy = "boot with iommu=pt, unless guests get devices of this node";
  }
  return finding;
}

}  // namespace hlbuf::ctl::doctor
