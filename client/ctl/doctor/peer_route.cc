// SPDX-License-Identifier: Apache-2.0
#include "client/ctl/doctor/peer_route.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <iterator>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/ctl/doctor/files.h"

namespace hlbuf::ctl::doctor {
namespace {

using Kind = PeerRoute::Kind;

constexpr std::uint32_t kIntel = 0x8086;
constexpr int kZen = 0x17;  // family

// Host bridges that pass requests on, as the kernel lists them.
struct KnownHost {
  std::uint32_t device;
  bool to_others;  // also to those below another host bridge
};
constexpr std::array kKnownHosts = {
    KnownHost{0x3c00, false}, KnownHost{0x3c01, false}, KnownHost{0x2f00, false},
    KnownHost{0x2f01, false}, KnownHost{0x2030, true},  KnownHost{0x2031, true},
    KnownHost{0x2032, true},  KnownHost{0x2033, true},  KnownHost{0x2020, true},
    KnownHost{0x09a2, true},
};

bool Passes(const HostBridge& host, bool to_itself) {
  if (host.vendor != kIntel) return false;
  return std::any_of(kKnownHosts.begin(), kKnownHosts.end(), [&](const KnownHost& known) {
    return known.device == host.device && (to_itself || known.to_others);
  });
}

std::string TextOf(const HostBridge& host) {
  return absl::StrFormat("%s (%04x:%04x)", host.name, host.vendor, host.device);
}

// The way through the root; `why` says why no other one is taken.
PeerRoute ThroughHost(const PciPlace& card, const PciPlace& nic, bool any_host, Kind kind,
                      std::string why) {
  const bool same = card.host.name == nic.host.name;
  const bool passes = any_host || (Passes(card.host, same) && (same || Passes(nic.host, false)));
  const std::string hosts =
      same ? TextOf(card.host) : absl::StrCat(TextOf(card.host), " and ", TextOf(nic.host));
  if (passes) return {.kind = kind, .why = absl::StrCat(why, ", through ", hosts)};
  return {.kind = Kind::kRefused,
          .why = absl::StrCat(why, ", and the kernel does not trust the host bridge ", hosts,
                              " to pass it on")};
}

// All that the kernel asks for ACS: from the card to what is above both, and from the NIC up to it.
std::vector<PciFunction> Between(const std::vector<PciFunction>& card,
                                 std::vector<PciFunction>::const_iterator common_of_card,
                                 const std::vector<PciFunction>& nic,
                                 std::vector<PciFunction>::const_iterator common_of_nic) {
  std::vector<PciFunction> path(card.begin(), std::next(common_of_card));
  path.insert(path.end(), nic.begin(), common_of_nic);
  return path;
}

std::vector<std::string> AddressesWith(const std::vector<PciFunction>& path, Acs acs) {
  std::vector<std::string> addresses;
  for (const PciFunction& function : path)
    if (function.acs == acs) addresses.push_back(function.address);
  return addresses;
}

}  // namespace

PeerRoute RouteBetween(const PciPlace& card, const PciPlace& nic, bool any_host) {
  auto common_of_nic = nic.upstream.end();
  const auto common =
      std::find_if(card.upstream.begin(), card.upstream.end(), [&](const PciFunction& function) {
        common_of_nic = std::find_if(
            nic.upstream.begin(), nic.upstream.end(),
            [&](const PciFunction& other) { return other.address == function.address; });
        return common_of_nic != nic.upstream.end();
      });
  if (common == card.upstream.end())
    return ThroughHost(card, nic, any_host, Kind::kHost, "no bridge above both");
  const std::vector<PciFunction> path = Between(card.upstream, common, nic.upstream, common_of_nic);
  const std::string shared = absl::StrCat("below ", common->address);
  if (auto redirecting = AddressesWith(path, Acs::kRedirects); !redirecting.empty()) {
    PeerRoute route = ThroughHost(
        card, nic, any_host, Kind::kRedirected,
        absl::StrCat(shared, ", but ACS redirects at ", absl::StrJoin(redirecting, ", ")));
    route.redirecting = std::move(redirecting);
    return route;
  }
  if (const auto unread = AddressesWith(path, Acs::kUnknown); !unread.empty())
    return {.kind = Kind::kUnknown,
            .why = absl::StrCat(shared, ", ACS of ", absl::StrJoin(unread, ", "),
                                " not readable (needs root)")};
  return {.kind = Kind::kSwitch, .why = shared};
}

bool PassesThroughAnyHost(absl::string_view cpuinfo) {
  int family = 0;
  return ValueIn(cpuinfo, "vendor_id\t:") == "AuthenticAMD" &&
         absl::SimpleAtoi(ValueIn(cpuinfo, "cpu family\t:"), &family) && family >= kZen;
}

}  // namespace hlbuf::ctl::doctor
