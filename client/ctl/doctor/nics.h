// SPDX-License-Identifier: Apache-2.0
// The RDMA NICs of this node, and whether they reach a card.
#ifndef HLBUF_CLIENT_CTL_DOCTOR_NICS_H_
#define HLBUF_CLIENT_CTL_DOCTOR_NICS_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "client/ctl/doctor/finding.h"
#include "client/ctl/doctor/pci.h"
#include "client/ctl/doctor/peer_route.h"
#include "client/ctl/doctor/roots.h"

namespace hlbuf::ctl::doctor {

struct Nic {
  std::string name;                // "mlx5_0"
  absl::StatusOr<PciPlace> place;  // NOT_FOUND: it is software, which imports no device memory
};

std::vector<Nic> FindNics(const Roots& roots);

// The routes from the card at `pci` to each NIC that is hardware, with the NIC's name.
using Routes = std::vector<std::pair<std::string, PeerRoute>>;
Routes RoutesTo(const PciPlace& card, const std::vector<Nic>& nics, bool any_host);

// `place`: of the card. `vendors_driver`: does not ask which way it is.
Finding JudgeRoutes(const std::string& pci, const absl::StatusOr<PciPlace>& place,
                    const Routes& routes, bool vendors_driver);

}  // namespace hlbuf::ctl::doctor

#endif  // HLBUF_CLIENT_CTL_DOCTOR_NICS_H_
