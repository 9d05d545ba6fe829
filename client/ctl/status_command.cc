// SPDX-License-Identifier: Apache-2.0
#include <grpcpp/grpcpp.h>

#include <memory>

#include "absl/time/clock.h"
#include "client/ctl/commands.h"
#include "client/ctl/connection.h"
#include "client/ctl/console.h"
#include "client/ctl/fetch.h"
#include "client/ctl/json.h"
#include "client/ctl/options.h"
#include "client/ctl/rpc_error.h"
#include "client/ctl/status_text.h"

namespace hlbuf::ctl {
namespace {

constexpr const char* kStatus =
    R"(Shows how the service is, on one screen: devices, what is held, who has not come back since it
was restarted, what is sent to clients that do not let go, whether what is held would survive a
restart, and what was lost.

KEEPER is who has copies of what a device has when the service ends; of a card also whether it is
the process that opened it, which the driver ends at a hard reset.

What was lost are facts of this life of the service: they stay, whatever was done about them, until
it is started anew; `journalctl -u hl-bufd` has those of earlier lives. A client that did not come
back in time is no loss.

Exit status: 0 healthy; 1 a device has FAILED, or the question was refused; 3 the service cannot be
reached; 5 all works, but something was lost, or would not survive a restart. Needs the role
viewer.)";

ExitCode PrintStatus(const Invocation& invocation) {
  const absl::StatusOr<std::unique_ptr<Stub>> stub = Connect(invocation);
  if (!stub.ok()) return Unreachable(stub.status());
  v1::ServiceStatus answer;
  const grpc::Status status = FetchOne(**stub, &Stub::GetStatus, v1::GetStatusRequest(), answer);
  if (!status.ok()) return Conclude(status);
  const ExitCode printed = Print(
      invocation.output == Output::kJson ? JsonDocument(answer) : StatusText(answer, absl::Now()));
  return printed == ExitCode::kOk ? HealthOf(answer) : printed;
}

}  // namespace

void AddStatusCommand(CLI::App& app, Invocation& invocation) {
  CLI::App& command = *app.add_subcommand("status", "Show how the service is, and what was lost.");
  Explain(command, kStatus);
  command.callback([&invocation] { invocation.run = PrintStatus; });
}

}  // namespace hlbuf::ctl
