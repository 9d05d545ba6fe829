// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_CLIENT_CTL_CONSOLE_H_
#define HLBUF_CLIENT_CTL_CONSOLE_H_

#include <string>

#include "client/ctl/exit_code.h"

namespace hlbuf::ctl {

// `text` to standard output, at once. kFailed, with an error printed, when it could not be written.
ExitCode Print(const std::string& text);

// "hl-bufctl: TEXT" to standard error.
void PrintError(const std::string& text);

}  // namespace hlbuf::ctl

#endif  // HLBUF_CLIENT_CTL_CONSOLE_H_
