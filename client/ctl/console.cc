// SPDX-License-Identifier: Apache-2.0
#include "client/ctl/console.h"

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "client/ctl/format.h"

namespace hlbuf::ctl {

ExitCode Print(const std::string& text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0)
    return ExitCode::kOk;
  PrintError(absl::StrCat("cannot write the output: ", std::strerror(errno)));
  return ExitCode::kFailed;
}

void PrintError(const std::string& text) {
  std::fprintf(stderr, "hl-bufctl: %s\n", PrintableText(text).c_str());
}

}  // namespace hlbuf::ctl
