// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_CLIENT_CTL_DOCTOR_SERVICE_PROCESS_H_
#define HLBUF_CLIENT_CTL_DOCTOR_SERVICE_PROCESS_H_

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/ctl/doctor/credentials.h"
#include "client/ctl/doctor/roots.h"

namespace hlbuf::ctl::doctor {

// hl-bufd, as /proc shows it.
struct ServiceProcess {
  pid_t pid = 0;
  std::optional<Credentials> who;
  absl::StatusOr<std::string> program = absl::UnknownError("");  // its path
  std::string config;                                            // path of its configuration
  std::string status;                                            // /proc/PID/status
  absl::StatusOr<std::string> limits = absl::UnknownError("");
  absl::StatusOr<std::string> uid_map = absl::UnknownError("");
  absl::StatusOr<std::string> gid_map = absl::UnknownError("");
  absl::StatusOr<std::string> pid_namespace = absl::UnknownError("");
};

// The process that listens at the control socket, if that is known, or the only one of this name
// that is of one of `users`: anybody else can call a process so.
//
// Errors: NOT_FOUND  there is none; UNAVAILABLE  there are several
absl::StatusOr<ServiceProcess> FindService(const Roots& roots, std::optional<pid_t> listener,
                                           const std::vector<uid_t>& users);

}  // namespace hlbuf::ctl::doctor

#endif  // HLBUF_CLIENT_CTL_DOCTOR_SERVICE_PROCESS_H_
