// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_CLIENT_CTL_DOCTOR_FINDING_H_
#define HLBUF_CLIENT_CTL_DOCTOR_FINDING_H_

#include <string>

namespace hlbuf::ctl::doctor {

enum class Verdict {
  kOk,
  kWarning,  // the job can be done, but worse than it could be
  kProblem,  // it cannot
  kUnknown,  // it could not be found out; the evidence says why
};

// What one check says.
struct Finding {
  std::string check;  // "p2pdma"; published in the JSON output
  std::string on;     // PCI address of the card that it is about; empty: the whole node
  Verdict verdict = Verdict::kUnknown;
  std::string evidence;  // what was seen, and where
  std::string remedy;    // what to do; empty when it is kOk
};

}  // namespace hlbuf::ctl::doctor

#endif  // HLBUF_CLIENT_CTL_DOCTOR_FINDING_H_
