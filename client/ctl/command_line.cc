// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdint>
#include <functional>
#include <iostream>
#include <iterator>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "client/ctl/commands.h"
#include "client/ctl/console.h"

namespace hlbuf::ctl {
namespace {

constexpr const char* kDefaultSocket = "/run/hl-bufd/control/control.sock";

constexpr const char* kFooter =
    "`hl-bufctl COMMAND --help` explains a command. Options of hl-bufctl may stand before or "
    "after\n"
    "the command.\n"
    "\n"
    "What you see and may do follows from your groups, as the daemon's configuration names them:\n"
    "everybody sees the devices and what is his own, a viewer sees everything, an operator also\n"
    "revokes, drains and drills. The service's own user and root are admin. With --server it "
    "follows\n"
    "from the names in your certificate.\n"
    "\n"
    "With --output json a list is one document, {\"buffers\": [...]}, with the names of the fields "
    "as\n"
    "in proto/hlbuf/v1/; watch writes a line of JSON for each event. Sizes are exact there.\n"
    "\n"
    "Exit status: 0 done; 1 refused or failed; 2 bad command line; 3 the daemon cannot be reached, "
    "or\n"
    "             did not answer; 4 nothing failed, but somebody still has a buffer: what "
    "`revoke`,\n"
    "             `drain --wait` and `simulate-reset` ended with, or `plan-reset` expects, or\n"
    "             `holders` found without a lease; 5 `status`: all works, but something was lost, "
    "or\n"
    "             would not survive a restart. status: 1 when a device has FAILED; doctor: 1 when "
    "it\n"
    "             found a problem, else 0.\n"
    "Errors are written to standard error as \"hl-bufctl: TEXT (REASON)\", with a reason of\n"
    "proto/hlbuf/v1/errors.proto.";

std::string UsageError(const CLI::App* app, const CLI::Error& error) {
  std::string name = app->get_name();
  for (const CLI::App* command : app->get_subcommands()) name += " " + command->get_name();
  return "hl-bufctl: " + std::string(error.what()) + "\nRun `" + name +
         " --help` for more information.\n";
}

// A word where a command belongs. CLI11 would miss a command, or with --help explain all of them.
std::optional<CLI::ParseError> UnknownCommand(const CLI::App& app) {
  const std::vector<std::string> words = app.remaining();
  if (!app.get_subcommands().empty() || words.empty() || words[0].starts_with('-'))
    return std::nullopt;
  return CLI::ParseError("unknown command '" + words[0] + "'", CLI::ExitCodes::ExtrasError);
}

// HOST:PORT, with a bracket around what has colons itself.
std::string CheckServer(const std::string& address) {
  const std::size_t colon = address.rfind(':');
  std::uint32_t port = 0;
  const bool good = colon != std::string::npos && colon > 0 &&
                    absl::SimpleAtoi(address.substr(colon + 1), &port) && port > 0 &&
                    port <= UINT16_MAX && (address.find(':') == colon || address[colon - 1] == ']');
  if (good) return "";
  return absl::StrCat("'", address, "' is no HOST:PORT; write node7:9443 or [::1]:9443");
}

void AddServerOptions(CLI::App& app, TlsServer& server) {
  app.add_option("--server", server.address,
                 "the daemon of another machine, over TCP with TLS, instead of the socket")
      ->type_name("HOST:PORT")
      ->check(CheckServer);
  const auto add = [&app](const std::string& name, std::string& path, const std::string& what) {
    app.add_option(name, path, "with --server, " + what)->type_name("FILE");
  };
  add("--ca", server.ca, "who signs its certificate, in PEM form");
  add("--cert", server.certificate, "your certificate");
  add("--key", server.key, "the key of your certificate");
}

// All of them or none: CLI11 can say so, but does it in the middle of --help.
void CheckIsWhole(const TlsServer& server) {
  const bool wanted[] = {server.address.empty(), server.ca.empty(), server.certificate.empty(),
                         server.key.empty()};
  if (std::adjacent_find(std::begin(wanted), std::end(wanted), std::not_equal_to<>()) !=
      std::end(wanted))
    throw CLI::ValidationError("--server", "it takes --ca, --cert and --key, and none goes alone");
}

void AddGlobalOptions(CLI::App& app, Invocation& invocation) {
  invocation.socket = kDefaultSocket;
  app.add_option("--socket", invocation.socket,
                 "the daemon's control socket; default: $HLBUF_CONTROL, or else\n" +
                     std::string(kDefaultSocket))
      ->type_name("PATH")
      ->envname("HLBUF_CONTROL");
  AddServerOptions(app, invocation.server);
  app.add_option_function<std::string>(
         "--output",
         [&invocation](const std::string& output) {
           invocation.output = output == "json" ? Output::kJson : Output::kTable;
         },
         "a table for people (default) or JSON for programs")
      ->type_name("table|json")
      ->check([](const std::string& output) -> std::string {
        return output == "table" || output == "json" ? "" : "it is table or json";
      });
}

}  // namespace

ExitCode Main(int argc, const char* const* argv) {
  Invocation invocation;
  CLI::App app("hl-bufctl: shows what hl-bufd has handed out to whom, and asks it back",
               "hl-bufctl");
  app.set_version_flag("--version", HLBUF_VERSION);
  app.failure_message(UsageError);
  app.fallthrough();
  app.require_subcommand(1);
  AddGlobalOptions(app, invocation);
  AddStatusCommand(app, invocation);
  AddListCommands(app, invocation);
  AddHoldersCommand(app, invocation);
  AddRevokeCommand(app, invocation);
  AddDrainCommands(app, invocation);
  AddSimulateResetCommand(app, invocation);
  AddWatchCommand(app, invocation);
  AddMetricsCommand(app, invocation);
  AddJournalCommand(app, invocation);
  AddDoctorCommand(app, invocation);
  app.footer(kFooter);  // after them: commands inherit it
  try {
    app.parse(argc, argv);
    CheckIsWhole(invocation.server);
  } catch (const CLI::ParseError& error) {
    if (app.exit(UnknownCommand(app).value_or(error)) != 0) return ExitCode::kBadUsage;
    std::cout.flush();
    if (std::cout.good()) return ExitCode::kOk;
    PrintError("cannot write the output");
    return ExitCode::kFailed;
  }
  return invocation.run(invocation);
}

}  // namespace hlbuf::ctl
