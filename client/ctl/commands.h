// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_CLIENT_CTL_COMMANDS_H_
#define HLBUF_CLIENT_CTL_COMMANDS_H_

#include <CLI/CLI.hpp>

#include "client/ctl/invocation.h"

namespace hlbuf::ctl {

// Each adds its subcommands to `app`; the one that is named puts itself into `invocation`, which
// outlives the parsing.
void AddStatusCommand(CLI::App& app, Invocation& invocation);
void AddListCommands(CLI::App& app, Invocation& invocation);
void AddDrainCommands(CLI::App& app, Invocation& invocation);
void AddRevokeCommand(CLI::App& app, Invocation& invocation);
void AddSimulateResetCommand(CLI::App& app, Invocation& invocation);
void AddHoldersCommand(CLI::App& app, Invocation& invocation);
void AddJournalCommand(CLI::App& app, Invocation& invocation);
void AddMetricsCommand(CLI::App& app, Invocation& invocation);
void AddWatchCommand(CLI::App& app, Invocation& invocation);
void AddDoctorCommand(CLI::App& app, Invocation& invocation);

// Reads the command line and does what it says.
ExitCode Main(int argc, const char* const* argv);

}  // namespace hlbuf::ctl

#endif  // HLBUF_CLIENT_CTL_COMMANDS_H_
