// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_CLIENT_CTL_DOCTOR_DEBUGFS_H_
#define HLBUF_CLIENT_CTL_DOCTOR_DEBUGFS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/ctl/doctor/finding.h"
#include "client/ctl/doctor/roots.h"

namespace hlbuf::ctl::doctor {

// What names the kernel's own holders of a dma-buf, RDMA registrations for instance.
struct Debugfs {
  std::string root;
  absl::StatusOr<std::vector<std::string>> names = absl::UnknownError("");
  std::string bufinfo;
  absl::Status bufinfo_read;
};

Debugfs ReadDebugfs(const Roots& roots);
Finding JudgeDebugfs(const Debugfs& debugfs);

}  // namespace hlbuf::ctl::doctor

#endif  // HLBUF_CLIENT_CTL_DOCTOR_DEBUGFS_H_
