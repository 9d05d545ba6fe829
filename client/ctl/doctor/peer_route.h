// SPDX-License-Identifier: Apache-2.0
// By which way a NIC reaches a card's memory, computed as the kernel computes it before it lets the
// NIC's driver map it (its P2PDMA distance).
#ifndef HLBUF_CLIENT_CTL_DOCTOR_PEER_ROUTE_H_
#define HLBUF_CLIENT_CTL_DOCTOR_PEER_ROUTE_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "client/ctl/doctor/pci.h"
#include "client/ctl/doctor/roots.h"

namespace hlbuf::ctl::doctor {

struct PeerRoute {
  enum class Kind {
    kSwitch,      // by a bridge above both
    kRedirected,  // there is one, but ACS sends everything through the root
    kHost,        // through the root
    kRefused,     // the kernel lets no driver map it
    kUnknown,     // the configuration of a bridge could not be read
  };
  Kind kind = Kind::kUnknown;
  std::string why;
  std::vector<std::string> redirecting;  // addresses of bridges
};

// `any_host`: processors whose every host bridge passes requests on.
PeerRoute RouteBetween(const PciPlace& card, const PciPlace& nic, bool any_host);

// Whether the processors are of such a kind (AMD since Zen), from /proc/cpuinfo.
bool PassesThroughAnyHost(absl::string_view cpuinfo);

}  // namespace hlbuf::ctl::doctor

#endif  // HLBUF_CLIENT_CTL_DOCTOR_PEER_ROUTE_H_
