// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_CLIENT_CTL_INVOCATION_H_
#define HLBUF_CLIENT_CTL_INVOCATION_H_

#include <functional>
#include <string>

#include "client/ctl/exit_code.h"

namespace hlbuf::ctl {

enum class Output { kTable, kJson };

// A service on another machine, and the files with which both ends show who they are.
struct TlsServer {
  std::string address;  // "node7:9443"; empty: the service of this machine is meant
  std::string ca;
  std::string certificate;
  std::string key;
};

// What the command line asked for.
struct Invocation {
  std::string socket;
  TlsServer server;
  Output output = Output::kTable;
  // Set by the subcommand that was named; run when the whole command line has been read.
  std::function<ExitCode(const Invocation&)> run;
};

}  // namespace hlbuf::ctl

#endif  // HLBUF_CLIENT_CTL_INVOCATION_H_
