// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_CLIENT_CTL_DOCTOR_NAMESPACES_H_
#define HLBUF_CLIENT_CTL_DOCTOR_NAMESPACES_H_

#include <string>

#include "absl/strings/string_view.h"
#include "client/ctl/doctor/roots.h"

namespace hlbuf::ctl::doctor {

// The number that the kernel gives the first pid namespace, since Linux 3.8.
inline constexpr absl::string_view kFirstPidNamespace = "pid:[4026531836]";

// Whether this program sees only a part of the processes of the node.
bool IsInPidNamespace(const Roots& roots);

}  // namespace hlbuf::ctl::doctor

#endif  // HLBUF_CLIENT_CTL_DOCTOR_NAMESPACES_H_
