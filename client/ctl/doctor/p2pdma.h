// SPDX-License-Identifier: Apache-2.0
// Whether the kernel lets one PCI device use another one's memory. Without it every export works
// and every import by a NIC's driver fails with EPERM.
#ifndef HLBUF_CLIENT_CTL_DOCTOR_P2PDMA_H_
#define HLBUF_CLIENT_CTL_DOCTOR_P2PDMA_H_

#include <optional>
#include <string>

#include "client/ctl/doctor/finding.h"
#include "client/ctl/doctor/roots.h"

namespace hlbuf::ctl::doctor {

struct P2pdma {
  std::optional<bool> on;  // nullopt: no source tells
  std::string source;      // "/boot/config-6.12: CONFIG_PCI_P2PDMA is not set"
};

// Asks the kernel's configuration, wherever it lies, then its table of symbols.
P2pdma ReadP2pdma(const Roots& roots, const std::string& kernel);

// `vendors_driver` does not ask the kernel whether two devices may.
Finding JudgeP2pdma(const P2pdma& p2pdma, bool vendors_driver);

}  // namespace hlbuf::ctl::doctor

#endif  // HLBUF_CLIENT_CTL_DOCTOR_P2PDMA_H_
