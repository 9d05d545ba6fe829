// SPDX-License-Identifier: Apache-2.0
// What is said of the service, from what was read of it. Where `process` is an error, it is unknown
// which process is hl-bufd.
#ifndef HLBUF_CLIENT_CTL_DOCTOR_SERVICE_CHECKS_H_
#define HLBUF_CLIENT_CTL_DOCTOR_SERVICE_CHECKS_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/ctl/doctor/ask_service.h"
#include "client/ctl/doctor/finding.h"
#include "client/ctl/doctor/roots.h"
#include "client/ctl/doctor/service_config.h"
#include "client/ctl/doctor/service_process.h"

namespace hlbuf::ctl::doctor {

using Process = absl::StatusOr<ServiceProcess>;

// `has_card`: a device of kind habanalabs is to be expected.
Finding JudgeService(const std::string& socket, const ServiceAnswer& answer, bool has_card);
Finding JudgeDescriptors(const Process& process);
Finding JudgeUserNamespace(const Process& process);
Finding JudgePidNamespace(const Process& process);
// Whether the service can signal whom its configuration has it signal.
Finding JudgeEnforcement(const absl::StatusOr<ServiceConfig>& config, const Process& process,
                         const std::string& kernel);

// A program of the package, looked for beside hl-bufd, then in `directories`.
struct Program {
  std::string path;                 // empty: it is nowhere
  std::vector<std::string> looked;  // in these directories
  absl::Status unknown;             // why it is not known where hl-bufd lies, which decides
};
Program FindProgram(const std::string& name, const Process& process,
                    const std::vector<std::string>& directories);
Finding JudgeKeeper(const Program& keeper, bool has_card);
// Whether the service can have itself told who else has a buffer. Only the socket counts for that:
// the program alone is for hl-bufctl. `look_for`: whether something is at a path, as LookFor().
Finding JudgeHolders(const Program& holders, const absl::StatusOr<ServiceConfig>& config,
                     const std::function<absl::Status(const std::string&)>& look_for);

}  // namespace hlbuf::ctl::doctor

#endif  // HLBUF_CLIENT_CTL_DOCTOR_SERVICE_CHECKS_H_
