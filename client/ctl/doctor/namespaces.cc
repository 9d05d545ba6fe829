// SPDX-License-Identifier: Apache-2.0
#include "client/ctl/doctor/namespaces.h"

#include "absl/status/statusor.h"
#include "client/ctl/doctor/files.h"

namespace hlbuf::ctl::doctor {

bool IsInPidNamespace(const Roots& roots) {
  const absl::StatusOr<std::string> link = LinkAt(roots.proc + "/self/ns/pid");
  return link.ok() && *link != kFirstPidNamespace;
}

}  // namespace hlbuf::ctl::doctor
