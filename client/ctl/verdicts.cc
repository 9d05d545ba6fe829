// SPDX-License-Identifier: Apache-2.0
#include "client/ctl/verdicts.h"

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/ctl/format.h"
#include "client/ctl/table.h"

namespace hlbuf::ctl {
namespace {

// Those that no session names already.
void AddOutside(const v1::BufferVerdict& verdict, std::vector<std::string>& holders) {
  for (const v1::OutsideHolder& outside : verdict.outside())
    if (!outside.has_lease())
      holders.push_back(absl::StrCat(OutsideText(outside), " with ", HeldText(outside),
                                     outside.has_has_lease() ? " and no lease" : ""));
  if (verdict.outside_left_out() > 0)
    holders.push_back(absl::StrCat(verdict.outside_left_out(), " more processes"));
  for (const std::string& importer : verdict.importers()) holders.push_back("importer " + importer);
  if (verdict.importers_left_out() > 0)
    holders.push_back(CountText(verdict.importers_left_out(), "more attachment"));
  if (verdict.unexplained() > 0)
    holders.push_back(CountText(verdict.unexplained(), "unexplained reference"));
}

std::string Holders(const v1::BufferVerdict& verdict) {
  std::vector<std::string> holders;
  for (const v1::Holder& holder : verdict.holders()) holders.push_back(HolderText(holder));
  if (verdict.holders_left_out() > 0)
    holders.push_back(absl::StrCat("and ", verdict.holders_left_out(), " more"));
  AddOutside(verdict, holders);
  if (holders.empty() && verdict.verdict().kind() == v1::VERDICT_KIND_HELD)
    return "references that no lease explains";
  return absl::StrJoin(holders, ", ");
}

// Empty where the kernel counts none. Of a HELD one that is how many leases are out, for that is
// what is known of it then.
std::string References(const v1::Verdict& verdict) {
  const bool uncounted = verdict.kind() == v1::VERDICT_KIND_ACKNOWLEDGED;
  return uncounted ? "" : absl::StrCat(verdict.references());
}

// Where references are out that are nobody's known.
std::string HowToAsk(const v1::Revocation& revocation) {
  for (const v1::BufferVerdict& verdict : revocation.verdicts())
    if (verdict.verdict().kind() == v1::VERDICT_KIND_HELD &&
        (!verdict.outside_known() || verdict.outside_incomplete()))
      return absl::StrCat("`hl-bufctl holders ", PrintableText(verdict.buffer_id()),
                          "`, as root, shows which processes and drivers have it\n");
  return "";
}

std::uint64_t BufferCount(const v1::Revocation& revocation) {
  return std::uint64_t{revocation.proven_count()} + revocation.acknowledged_count() +
         revocation.held_count();
}

// "1 PROVEN, 2 HELD"
std::string Counts(const v1::Revocation& revocation) {
  std::vector<std::string> counts;
  const std::pair<v1::VerdictKind, std::uint32_t> all[] = {
      {v1::VERDICT_KIND_PROVEN, revocation.proven_count()},
      {v1::VERDICT_KIND_ACKNOWLEDGED, revocation.acknowledged_count()},
      {v1::VERDICT_KIND_HELD, revocation.held_count()}};
  for (const auto& [kind, count] : all)
    if (count > 0) counts.push_back(absl::StrCat(count, " ", VerdictText(kind)));
  return absl::StrJoin(counts, ", ");
}

// What was asked back before is not asked back again.
std::string Asked(const v1::Revocation& revocation) {
  const std::string buffers = CountText(BufferCount(revocation), "buffer");
  if (revocation.leases_told() == 0)
    return absl::StrCat("nobody was left to be asked for ", buffers);
  return absl::StrCat("asked ", CountText(revocation.sessions_told(), "session"), " for ",
                      CountText(revocation.leases_told(), "lease"), " of ", buffers);
}

std::string Sentence(const v1::Revocation& revocation) {
  if (revocation.leases_told() == 0 && BufferCount(revocation) == 0)
    return absl::StrCat("revocation ", revocation.id(), ": there was nothing to ask back\n");
  const absl::Duration took = ToTime(revocation.end_time()) - ToTime(revocation.begin_time());
  return absl::StrCat("revocation ", revocation.id(), ": ", Asked(revocation), ", over after ",
                      absl::FormatDuration(absl::Trunc(took, absl::Milliseconds(1))), ": ",
                      Counts(revocation), "\n");
}

std::string LeftOut(const v1::Revocation& revocation) {
  const std::uint64_t all = BufferCount(revocation);
  const auto shown = static_cast<std::uint64_t>(revocation.verdicts_size());
  if (shown >= all) return "";
  return absl::StrCat("and ", CountText(all - shown, "verdict"),
                      " more, which `hl-bufctl watch` tells\n");
}

}  // namespace

std::string RevocationText(const v1::Revocation& revocation) {
  if (!revocation.has_end_time())
    return absl::StrCat("revocation ", revocation.id(),
                        ": begun; `hl-bufctl watch` tells how it ends\n");
  Table table({"BUFFER", "NAME", "OWNER", "VERDICT", "REFERENCES", "HELD BY"});
  for (const v1::BufferVerdict& verdict : revocation.verdicts())
    table.Add({verdict.buffer_id(), verdict.buffer_name(), DomainText(verdict.owner()),
               VerdictText(verdict.verdict().kind()), References(verdict.verdict()),
               Holders(verdict)});
  return Sentence(revocation) + (revocation.verdicts().empty() ? "" : table.Text()) +
         HowToAsk(revocation) + LeftOut(revocation);
}

std::string ResetText(const v1::SimulateResetResponse& response) {
  return (response.has_revocation() ? RevocationText(response.revocation()) : "") +
         DeviceText(response.device());
}

std::string DeviceText(const v1::Device& device) {
  std::string text = absl::StrCat(PrintableText(device.name()), " is ", StateText(device.state()),
                                  ", epoch ", device.epoch());
  if (!device.failure().empty()) absl::StrAppend(&text, ": ", PrintableText(device.failure()));
  return text + "\n";
}

bool HasHeld(const v1::Revocation& revocation) {
  return std::any_of(revocation.verdicts().begin(), revocation.verdicts().end(),
                     [](const v1::BufferVerdict& verdict) {
                       return verdict.verdict().kind() == v1::VERDICT_KIND_HELD;
                     });
}

}  // namespace hlbuf::ctl
