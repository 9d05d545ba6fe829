// SPDX-License-Identifier: Apache-2.0
// The driver habanalabs and the kernel that it is in.
#ifndef HLBUF_CLIENT_CTL_DOCTOR_DRIVER_H_
#define HLBUF_CLIENT_CTL_DOCTOR_DRIVER_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/ctl/doctor/finding.h"
#include "client/ctl/doctor/roots.h"

namespace hlbuf::ctl::doctor {

struct Driver {
  bool loaded = false;
  std::string module;  // its directory in sysfs, for what is said of it
  // Only the vendor's own package gives its module one; NOT_FOUND: it is the kernel's own.
  absl::StatusOr<std::string> version = absl::UnknownError("");
  std::string kernel;  // its release
  absl::StatusOr<std::string> memory_scrub = absl::UnknownError("");
  // PCI functions of the maker of these cards, by address, and "" or the driver that each has.
  struct Function {
    std::string address;
    std::string driver;
  };
  std::vector<Function> functions;

  bool is_vendors() const { return version.ok(); }
};

Driver ReadDriver(const Roots& roots);

Finding JudgeDriver(const Driver& driver);
Finding JudgeMemoryScrub(const Driver& driver);

}  // namespace hlbuf::ctl::doctor

#endif  // HLBUF_CLIENT_CTL_DOCTOR_DRIVER_H_
