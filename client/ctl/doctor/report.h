// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_CLIENT_CTL_DOCTOR_REPORT_H_
#define HLBUF_CLIENT_CTL_DOCTOR_REPORT_H_

#include <string>
#include <vector>

#include "client/ctl/doctor/finding.h"
#include "client/ctl/exit_code.h"

namespace hlbuf::ctl::doctor {

// "ok", "warning", "problem", "unknown".
std::string VerdictText(Verdict verdict);

// A table of the checks, then what to do about each that is not ok, then how many are what.
std::string ReportText(const std::vector<Finding>& findings);

// One document: {"problems": N, "findings": [{"check", "on", "verdict", "evidence", "remedy"}]}.
std::string ReportJson(const std::vector<Finding>& findings);

// kFailed when something is a problem; what is unknown keeps nobody from the job.
ExitCode ExitCodeOf(const std::vector<Finding>& findings);

}  // namespace hlbuf::ctl::doctor

#endif  // HLBUF_CLIENT_CTL_DOCTOR_REPORT_H_
