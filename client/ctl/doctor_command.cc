// SPDX-License-Identifier: Apache-2.0
#include <filesystem>
#include <system_error>
#include <vector>

#include "client/ctl/commands.h"
#include "client/ctl/connection.h"
#include "client/ctl/console.h"
#include "client/ctl/doctor/examination.h"
#include "client/ctl/doctor/report.h"
#include "client/ctl/options.h"

namespace hlbuf::ctl {
namespace {

constexpr const char* kDoctor =
    R"(Looks at the driver, the kernel, each card and its way to the RDMA NICs, and the service. It
opens the control nodes of cards and asks them; it changes nothing. Ask as root: others are not
shown who has a card open, nor what PCI bridges redirect.

A verdict is ok, warning (the job can be done, but worse), problem (it cannot) or unknown (the
evidence says why). What to do about each stands below the table. With --output json all of it is
{"problems": N, "findings": [{"check", "on", "verdict", "evidence", "remedy"}, ...]}.

Exit status 1 when there is a problem; what is unknown, or a warning, is none. That the service
does not answer is a problem among the others, not exit status 3.)";

// Where hl-bufd and its programs are when the service does not run and cannot be asked: beside this
// program, as it is installed, or where it was to be installed.
std::vector<std::string> ProgramDirectories() {
  std::error_code unreadable;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", unreadable);
  return {(self.parent_path().parent_path() / "libexec").string(), HLBUF_LIBEXECDIR};
}

ExitCode Doctor(const Invocation& invocation) {
  if (!IsHere(invocation, "doctor")) return ExitCode::kBadUsage;
  const std::vector<doctor::Finding> findings =
      doctor::Examine({.socket = invocation.socket, .program_directories = ProgramDirectories()});
  const ExitCode printed = Print(invocation.output == Output::kJson ? doctor::ReportJson(findings)
                                                                    : doctor::ReportText(findings));
  return printed == ExitCode::kOk ? doctor::ExitCodeOf(findings) : printed;
}

}  // namespace

void AddDoctorCommand(CLI::App& app, Invocation& invocation) {
  CLI::App& command = *app.add_subcommand(
      "doctor", "Say whether this node can do the job, and what is in the way.");
  Explain(command, kDoctor);
  command.callback([&invocation] { invocation.run = Doctor; });
}

}  // namespace hlbuf::ctl
