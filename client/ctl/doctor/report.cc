// SPDX-License-Identifier: Apache-2.0
#include "client/ctl/doctor/report.h"

#include <algorithm>
#include <cstddef>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "client/ctl/format.h"
#include "client/ctl/table.h"

namespace hlbuf::ctl::doctor {
namespace {

std::size_t Count(const std::vector<Finding>& findings, Verdict verdict) {
  return static_cast<std::size_t>(
      std::count_if(findings.begin(), findings.end(),
                    [verdict](const Finding& finding) { return finding.verdict == verdict; }));
}

std::string Name(const Finding& finding) {
  return finding.on.empty() ? finding.check : absl::StrCat(finding.check, " of ", finding.on);
}

// Printable ASCII leaves two characters that JSON does not take as they are.
std::string Quoted(const std::string& text) {
  return absl::StrCat(
      "\"", absl::StrReplaceAll(PrintableText(text), {{"\\", "\\\\"}, {"\"", "\\\""}}), "\"");
}

std::string Json(const Finding& finding) {
  return absl::StrCat("  {\"check\": ", Quoted(finding.check), ", \"on\": ", Quoted(finding.on),
                      ", \"verdict\": ", Quoted(VerdictText(finding.verdict)),
                      ",\n   \"evidence\": ", Quoted(finding.evidence),
                      ",\n   \"remedy\": ", Quoted(finding.remedy), "}");
}

std::string Remedies(const std::vector<Finding>& findings) {
  std::string text;
  for (const Finding& finding : findings)
    if (finding.verdict != Verdict::kOk && !finding.remedy.empty())
      absl::StrAppend(&text, "  ", PrintableText(Name(finding)), " (", VerdictText(finding.verdict),
                      "):\n    ", PrintableText(finding.remedy), "\n");
  return text.empty() ? "" : absl::StrCat("\nWhat to do:\n", text);
}

}  // namespace

std::string VerdictText(Verdict verdict) {
  switch (verdict) {
    case Verdict::kOk:
      return "ok";
    case Verdict::kWarning:
      return "warning";
    case Verdict::kProblem:
      return "problem";
    case Verdict::kUnknown:
      break;
  }
  return "unknown";
}

std::string ReportText(const std::vector<Finding>& findings) {
  Table table({"CHECK", "ON", "VERDICT", "EVIDENCE"});
  for (const Finding& finding : findings)
    table.Add({finding.check, finding.on, VerdictText(finding.verdict), finding.evidence});
  return absl::StrCat(table.Text(), Remedies(findings), "\n",
                      CountText(Count(findings, Verdict::kProblem), "problem"), ", ",
                      CountText(Count(findings, Verdict::kWarning), "warning"), ", ",
                      Count(findings, Verdict::kUnknown), " unknown, ",
                      Count(findings, Verdict::kOk), " ok\n");
}

std::string ReportJson(const std::vector<Finding>& findings) {
  return absl::StrCat(
      "{\"problems\": ", Count(findings, Verdict::kProblem), ",\n \"findings\": [\n",
      absl::StrJoin(
          findings, ",\n",
          [](std::string* out, const Finding& finding) { absl::StrAppend(out, Json(finding)); }),
      "\n]}\n");
}

ExitCode ExitCodeOf(const std::vector<Finding>& findings) {
  return Count(findings, Verdict::kProblem) > 0 ? ExitCode::kFailed : ExitCode::kOk;
}

}  // namespace hlbuf::ctl::doctor
