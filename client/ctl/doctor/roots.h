// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_CLIENT_CTL_DOCTOR_ROOTS_H_
#define HLBUF_CLIENT_CTL_DOCTOR_ROOTS_H_

#include <string>

namespace hlbuf::ctl::doctor {

// Where this node shows itself; other places in tests.
struct Roots {
  std::string sys = "/sys";
  std::string proc = "/proc";
  std::string dev = "/dev";
  std::string boot = "/boot";
  std::string debug = "/sys/kernel/debug";
  std::string etc = "/etc/hl-bufd";
};

}  // namespace hlbuf::ctl::doctor

#endif  // HLBUF_CLIENT_CTL_DOCTOR_ROOTS_H_
