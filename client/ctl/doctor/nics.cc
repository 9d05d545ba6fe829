// SPDX-License-Identifier: Apache-2.0
#include "client/ctl/doctor/nics.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/ctl/doctor/files.h"

namespace hlbuf::ctl::doctor {
namespace {

namespace fs = std::filesystem;
using Kind = PeerRoute::Kind;

std::size_t Count(const Routes& routes, Kind kind) {
  return static_cast<std::size_t>(
      std::count_if(routes.begin(), routes.end(),
                    [kind](const auto& route) { return route.second.kind == kind; }));
}

std::string TextOf(const Routes& routes) {
  return absl::StrJoin(routes, "; ", [](std::string* out, const auto& route) {
    absl::StrAppend(out, route.first, ": ", route.second.why);
  });
}

std::string WithoutRedirection(const Routes& routes) {
  std::set<std::string> bridges;
  for (const auto& [nic, route] : routes)
    bridges.insert(route.redirecting.begin(), route.redirecting.end());
  if (bridges.empty())
    return "put the card and a NIC below one PCIe switch, or take a machine whose host bridges "
           "pass peer-to-peer requests on";
  return absl::StrCat(
      "unless guests need it, switch ACS redirection off, in the firmware setup or by the kernel "
      "parameter pci=disable_acs_redir=",
      absl::StrJoin(bridges, ";"));
}

}  // namespace

std::vector<Nic> FindNics(const Roots& roots) {
  std::vector<Nic> nics;
  const std::string directory = roots.sys + "/class/infiniband";
  for (const std::string& name : NamesIn(directory).value_or(std::vector<std::string>())) {
    std::error_code error;
    const fs::path device = fs::canonical(absl::StrCat(directory, "/", name, "/device"), error);
    nics.push_back({.name = name, .place = PlaceOf(roots, device.filename().string())});
  }
  return nics;
}

Routes RoutesTo(const PciPlace& card, const std::vector<Nic>& nics, bool any_host) {
  Routes routes;
  for (const Nic& nic : nics)
    if (nic.place.ok()) routes.emplace_back(nic.name, RouteBetween(card, *nic.place, any_host));
  return routes;
}

Finding JudgeRoutes(const std::string& pci, const absl::StatusOr<PciPlace>& place,
                    const Routes& routes, bool vendors_driver) {
  Finding finding{.check = "nic-route", .on = pci};
  if (!place.ok()) {
    finding.evidence = WhyUnknown(place.status());
    return finding;
  }
  if (routes.empty()) {
    finding.evidence = "/sys/class/infiniband: no RDMA device that is a PCI function";
    finding.remedy = "none, when no NIC is to use this memory; else load the NIC's driver";
    return finding;
  }
  finding.evidence = TextOf(routes);
  const std::size_t refused = Count(routes, Kind::kRefused);
  const std::size_t redirected = Count(routes, Kind::kRedirected);
  if (refused == routes.size() && !vendors_driver)
    finding.verdict = Verdict::kProblem;
  else if (refused + redirected > 0)
    finding.verdict = Verdict::kWarning;
  else if (Count(routes, Kind::kUnknown) > 0)
    finding.verdict = Verdict::kUnknown;
  else
    finding.verdict = Verdict::kOk;
  if (refused + redirected > 0)
    finding.remedy = WithoutRedirection(routes);
  else if (finding.verdict == Verdict::kUnknown)
    finding.remedy = "run `hl-bufctl doctor` as root";
  return finding;
}

}  // namespace hlbuf::ctl::doctor
