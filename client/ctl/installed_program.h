// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_CLIENT_CTL_INSTALLED_PROGRAM_H_
#define HLBUF_CLIENT_CTL_INSTALLED_PROGRAM_H_

#include <string>

namespace hlbuf::ctl {

// Where the service's program `name` is: beside this program, or where it is installed; empty:
// nowhere. Nowhere else, for whoever may write there would have it run as root.
std::string FindInstalledProgram(const std::string& name);
// `here`: the directory of this program.
std::string FindInstalledProgram(const std::string& name, const std::string& here);

}  // namespace hlbuf::ctl

#endif  // HLBUF_CLIENT_CTL_INSTALLED_PROGRAM_H_
