// SPDX-License-Identifier: Apache-2.0
#include <grpcpp/grpcpp.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "client/ctl/commands.h"
#include "client/ctl/connection.h"
#include "client/ctl/console.h"
#include "client/ctl/json.h"
#include "client/ctl/long_call.h"
#include "client/ctl/options.h"
#include "client/ctl/rpc_error.h"
#include "client/ctl/verdicts.h"

namespace hlbuf::ctl {
namespace {

constexpr const char* kRevoke =
    R"(Waits until every holder has let go or its time is over. All or nothing: when one of the
buffers is unknown, none is asked back. Needs the role operator.

A verdict is PROVEN (the kernel counts no reference but the service's own), ACKNOWLEDGED (every
holder said so) or HELD (somebody still has it: exit status 4). A revocation that was begun goes
on when hl-bufctl is interrupted; `hl-bufctl watch` tells how it ends.)";

constexpr const char* kSimulateReset =
    R"(Asks everything of the device back, shows the verdicts, closes the device and opens it again
with a new epoch. Needs the role operator.

A device that is FAILED has nothing leased: its reset asks nobody and has no verdicts. What is HELD
from before stays so, and `hl-bufctl buffers` shows it.

Exit status 1 when the device did not come back, which is what `--drill fails` is for, and the same
command without it ends; else 4 when somebody still has a buffer. A drill that was begun goes on when
hl-bufctl is interrupted.)";

// How long a device may take from its last holder until it is there again, or has failed.
constexpr absl::Duration kDeviceAwayMax = absl::Minutes(10);

using Calls = v1::Control::StubInterface::async_interface;

// What failed hides who holds, not the other way round: the verdicts are printed, too.
ExitCode Concluded(ExitCode code, const v1::Revocation& revocation) {
  return code == ExitCode::kOk && HasHeld(revocation) ? ExitCode::kHeld : code;
}

ExitCode Revoke(const Invocation& invocation, const v1::RevokeBuffersRequest& request) {
  LongCall call;
  const absl::StatusOr<std::unique_ptr<Stub>> stub = Connect(invocation);
  if (!stub.ok()) return Unreachable(stub.status());
  v1::RevokeBuffersResponse response;
  const grpc::Status status =
      call.Run(**stub, &Calls::RevokeBuffers, request, PatienceFor(request), response);
  if (!status.ok()) return call.Conclude(status);
  const ExitCode printed =
      Print(invocation.output == Output::kJson ? JsonDocument(response)
                                               : RevocationText(response.revocation()));
  return Concluded(printed, response.revocation());
}

// A drill that fails has done what it was for; the device stays away.
std::string HowToEnd(const v1::SimulateResetRequest& request) {
  if (request.drill() != v1::DRILL_FAILS) return "";
  return "; `hl-bufctl simulate-reset " + request.device() + "` brings it back";
}

ExitCode SimulateReset(const Invocation& invocation, const v1::SimulateResetRequest& request) {
  LongCall call;
  const absl::StatusOr<std::unique_ptr<Stub>> stub = Connect(invocation);
  if (!stub.ok()) return Unreachable(stub.status());
  v1::SimulateResetResponse response;
  const grpc::Status status = call.Run(**stub, &Calls::SimulateReset, request,
                                       PatienceFor(request) + kDeviceAwayMax, response);
  if (!status.ok()) return call.Conclude(status);
  ExitCode code =
      Print(invocation.output == Output::kJson ? JsonDocument(response) : ResetText(response));
  if (response.outcome().code() != 0) {
    PrintError(ErrorText(response.outcome()) + HowToEnd(request));
    code = ExitCode::kFailed;
  }
  return Concluded(code, response.revocation());
}

void AddNoWait(CLI::App& command, const std::function<void()>& set) {
  command.add_flag_callback(
      "--no-wait", set, "end as soon as holders have been asked; `hl-bufctl watch` tells the rest");
}

}  // namespace

void AddRevokeCommand(CLI::App& app, Invocation& invocation) {
  CLI::App& command =
      *app.add_subcommand("revoke", "Ask buffers back from everybody, and wait for the verdicts.");
  Explain(command, kRevoke);
  const auto request = std::make_shared<v1::RevokeBuffersRequest>();
  command
      .add_option_function<std::vector<std::string>>(
          "BUFFER",
          [request](const std::vector<std::string>& ids) {
            request->mutable_buffer_ids()->Assign(ids.begin(), ids.end());
          },
          "ids, as `hl-bufctl buffers` shows them; 1 to 1000")
      ->type_name("")
      ->required();
  AddGrace(
      command, [request] { return request->mutable_grace(); }, "as configured (operator_grace)");
  AddNoWait(command, [request] { request->set_no_wait(true); });
  command.callback([&invocation, request] {
    invocation.run = [request](const Invocation& asked) { return Revoke(asked, *request); };
  });
}

void AddSimulateResetCommand(CLI::App& app, Invocation& invocation) {
  CLI::App& command =
      *app.add_subcommand("simulate-reset", "Drill a reset of a device that takes drills.");
  Explain(command, kSimulateReset);
  const auto request = std::make_shared<v1::SimulateResetRequest>();
  AddName(
      command, "DEVICE", "", [request](auto& name) { request->set_device(name); },
      "its name, as `hl-bufctl devices` shows it")
      ->required();
  AddText(
      command, "--drill", "none|fails",
      [request](auto& drill) {
        request->set_drill(drill == "fails" ? v1::DRILL_FAILS : v1::DRILL_NONE);
      },
      "what goes wrong: nothing, or the device stays FAILED until the next reset")
      ->check([](const std::string& drill) -> std::string {
        return drill == "none" || drill == "fails" ? "" : "it is none or fails";
      });
  AddGrace(
      command, [request] { return request->mutable_grace(); }, "as configured (reset_grace)");
  AddNoWait(command, [request] { request->set_no_wait(true); });
  command.callback([&invocation, request] {
    invocation.run = [request](const Invocation& asked) { return SimulateReset(asked, *request); };
  });
}

}  // namespace hlbuf::ctl
