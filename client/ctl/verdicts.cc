// SPDX-License-Identifier: Apache-2.0
#include "client/ctl/verdicts.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/ctl/format.h"
#include "client/ctl/table.h"

namespace hlbuf::ctl {
namespace {

std::string Holders(const v1::BufferVerdict& verdict) {
  std::vector<std::string> holders;
  for (const v1::Holder& holder : verdict.holders()) holders.push_back(HolderText(holder));
  if (holders.empty() && verdict.verdict().kind() == v1::VERDICT_KIND_HELD)
    return "references that no lease explains";
  return absl::StrJoin(holders, ", ");
}

std::string Sentence(const v1::Revocation& revocation) {
  const absl::Duration took = ToTime(revocation.end_time()) - ToTime(revocation.begin_time());
  return absl::StrCat(
      "revocation ", revocation.id(), ": asked ", CountText(revocation.sessions_told(), "session"),
      " for ", CountText(revocation.leases_told(), "lease"), " of ",
      CountText(static_cast<std::uint64_t>(revocation.verdicts_size()), "buffer"), ", over after ",
      absl::FormatDuration(absl::Trunc(took, absl::Milliseconds(1))), "\n");
}

}  // namespace

std::string RevocationText(const v1::Revocation& revocation) {
  Table table({"BUFFER", "NAME", "OWNER", "VERDICT", "REFERENCES", "HELD BY"});
  for (const v1::BufferVerdict& verdict : revocation.verdicts())
    table.Add({verdict.buffer_id(), verdict.buffer_name(), DomainText(verdict.owner()),
               VerdictText(verdict.verdict().kind()), absl::StrCat(verdict.verdict().references()),
               Holders(verdict)});
  return Sentence(revocation) + (revocation.verdicts().empty() ? "" : table.Text());
}

std::string ResetText(const v1::SimulateResetResponse& response) {
  const v1::Device& device = response.device();
  std::string text = response.has_revocation() ? RevocationText(response.revocation()) : "";
  absl::StrAppend(&text, PrintableText(device.name()), " is ", StateText(device.state()),
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
