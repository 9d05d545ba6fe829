// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_CLIENT_CTL_DOCTOR_IOMMU_H_
#define HLBUF_CLIENT_CTL_DOCTOR_IOMMU_H_

#include <string>
#include <vector>

#include "client/ctl/doctor/finding.h"
#include "client/ctl/doctor/roots.h"

namespace hlbuf::ctl::doctor {

struct Iommu {
  std::vector<std::string> units;  // of the node; empty: none is in use
  std::string group;               // the card's, as a path; empty: it has none
  std::string type;                // of its domain: "identity", "DMA", "DMA-FQ"; empty: unknown
};

Iommu ReadIommu(const Roots& roots, const std::string& pci);
Finding JudgeIommu(const std::string& pci, const Iommu& iommu);

}  // namespace hlbuf::ctl::doctor

#endif  // HLBUF_CLIENT_CTL_DOCTOR_IOMMU_H_
