// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_CLIENT_CTL_INVOCATION_H_
#define HLBUF_CLIENT_CTL_INVOCATION_H_

#include <functional>
#include <string>

#include "client/ctl/exit_code.h"

namespace hlbuf::ctl {

enum class Output { kTable, kJson };

// What the command line asked for.
struct Invocation {
  std::string socket;
  Output output = Output::kTable;
  // Set by the subcommand that was named; run when the whole command line has been read.
  std::function<ExitCode(const Invocation&)> run;
};

}  // namespace hlbuf::ctl

#endif  // HLBUF_CLIENT_CTL_INVOCATION_H_
