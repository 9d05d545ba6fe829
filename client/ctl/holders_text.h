// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_CLIENT_CTL_HOLDERS_TEXT_H_
#define HLBUF_CLIENT_CTL_HOLDERS_TEXT_H_

#include <string>

#include "hlbuf/v1/holders.pb.h"

namespace hlbuf::ctl {

// A table of who has what; for each buffer that the kernel counts, the sum; and what could not be
// looked at, with what to do about it.
std::string HoldersText(const v1::HoldersReport& report);

}  // namespace hlbuf::ctl

#endif  // HLBUF_CLIENT_CTL_HOLDERS_TEXT_H_
